"""Names beside the addresses of a conntrack listing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.model.text.cells import CSV, JSON, Style
from ctconsole.model.text.columns import TextColumn, token_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names

LONGEST: Final = 100
"""Characters of a name that are shown; lists of labels can be longer."""

_SLOT: Final = 255
"""Bytes a token can have."""


def name_columns(table: CtTable, names: Names, style: Style) -> list[tuple[str, TextColumn]]:
    """Columns ``source_name``, ``destination_name``, ``service_name`` and ``identity_labels``."""
    ends, values, names = table.ends, table.values, names.of(table.whose)
    rev_nat, services = np.unique(values["rev_nat_index"], return_inverse=True)
    numbers, labels = np.unique(values["src_sec_id"], return_inverse=True)
    return [
        ("source_name", _column(*names.unique(ends.source), style)),
        ("destination_name", _column(*names.unique(ends.destination), style)),
        ("service_name", _column([names.service(int(one)) for one in rev_nat], services, style)),
        ("identity_labels", _column([names.identity(int(one)) for one in numbers], labels, style)),
    ]


def _column(texts: Sequence[str], which: npt.NDArray[np.intp], style: Style) -> TextColumn:
    return token_table(_written(text, style) for text in texts or [""]).column(which.reshape(-1))


def _written(text: str, style: Style) -> bytes:
    """A name as a format writes it; it is a person's and may hold anything."""
    if not text:
        return style.null
    shown = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    if style == JSON:
        # Every letter may become an escape of six bytes.
        while len(text := json.dumps(shown)) > _SLOT:
            shown = shown[: len(shown) // 2]
        return text.encode()
    if style == CSV:
        quoted = shown.replace('"', '""')
        csv = f'"{quoted}"' if set(shown) & set('",\r\n') else shown
        return csv.encode("ascii", "replace")
    printable = "".join(letter if letter.isprintable() else "?" for letter in shown)
    return printable.encode("ascii", "replace")
