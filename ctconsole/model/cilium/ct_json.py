"""``cilium bpf ct list global -o json`` as Cilium's own tool prints it, byte for byte.

The tool prints raw fields: addresses as stored, ports and RevNAT as the host reads their network
order, entries of protocol 0 too. 1.9 shows a map's last key for every one of its entries
(`LayoutSpec.json_repeats_key`); its values are right.

Sources: ``cilium-dbg/cmd/bpf_ct_list.go`` and what the tools of 1.9 and 1.18 printed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.text.chunks import chunk_jobs, in_order
from ctconsole.model.text.columns import TextColumn, TokenTable, decimal, join, literal, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from ctconsole.model.ct.layout import LayoutSpec
    from ctconsole.model.ct.table import CtTable

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]

_OCTETS: Final = "\n        "
_KEY_FIELDS: Final = (("DestPort", "dport"), ("SourcePort", "sport"))


def render_json(tables: Iterable[CtTable]) -> Iterator[memoryview]:
    """All maps' entries as one JSON array, in chunks."""
    empty = True
    jobs = (job for table in tables for job in chunk_jobs(partial(_entries, table), len(table)))
    for text in in_order(jobs):
        if empty:
            # Every entry brings the comma that separates it from the one before.
            text[0] = ord("[")
            empty = False
        yield text.data
    yield memoryview(b"[]\n\n" if empty else b"\n]\n\n")


def _entries(table: CtTable, rows: slice) -> Bytes:
    """The entries of some rows, each with a comma before it."""
    values = table.values[rows]
    keys = table.keys[rows]
    if table.spec.json_repeats_key:
        keys = np.repeat(table.keys[-1:], len(values))
    columns = [*_key(keys), *_value(values, table.spec), literal(b"\n    }\n  }")]
    return join(columns, len(values))


def _key(keys: Records) -> list[TextColumn]:
    columns = [
        *_address(keys["daddr"], ',\n  {\n    "Key": {\n      "DestAddr": ['),
        *_address(keys["saddr"], '\n      ],\n      "SourceAddr": ['),
    ]
    before = "\n      ],"
    for name, field in _KEY_FIELDS:
        columns += _number(keys[field], f'{before}\n      "{name}": ')
        before = ","
    for name, field in (("NextHeader", "nexthdr"), ("Flags", "flags")):
        columns += _number(keys[field], f',\n      "{name}": ')
    return columns


def _address(raw: Bytes, before: str) -> list[TextColumn]:
    """The octets, each on a line of its own."""
    last = raw.shape[1] - 1
    columns = [literal((before + _OCTETS).encode())]
    columns += [_MIDDLE.column(raw[:, index]) for index in range(last)]
    return [*columns, _LAST.column(raw[:, last])]


def _octet(number: int) -> bytes:
    return f"{number},{_OCTETS}".encode()


_MIDDLE: Final[TokenTable] = rows_of(_octet)
_LAST: Final[TokenTable] = rows_of(lambda number: b"%d" % number)


def _value(values: Records, spec: LayoutSpec) -> list[TextColumn]:
    columns: list[TextColumn] = []
    before = '\n    },\n    "Value": {'
    for name, field in spec.json:
        column, label = values[field], f'{before}\n      "{name}": '
        columns += _number(column, label) if column.ndim == 1 else _numbers(column, label)
        before = ","
    return columns


def _numbers(rows: Records, before: str) -> list[TextColumn]:
    """An array field, each element on a line of its own."""
    columns: list[TextColumn] = []
    for index in range(rows.shape[1]):
        columns += _number(rows[:, index], (before + "[" if not index else ",") + _OCTETS)
    return [*columns, literal(b"\n      ]")]


def _number(column: Records, before: str) -> list[TextColumn]:
    """A field as the host reads its bytes, whatever order they are in."""
    raw = column.view(column.dtype.newbyteorder("<"))
    return [literal(before.encode()), *decimal(raw)]
