"""Text of the lists that Cilium's tool prints of its other maps, row by row.

Rows hold what the text says and no more: an address list does not tell its map's bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.model.readers import lines as reading
from ctconsole.model.readers.lines import LONGEST_TOLD, MOST_TOLD, Sort, Told
from ctconsole.model.whose import NOBODY, Named, Whose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.readers.lines import Line
    from ctconsole.model.readers.printed_lists import PrintedList, Row
    from ctconsole.model.records.spec import RecordKind

MOST_ROWS: Final = 1 << 17
"""Rows of a file that are kept; each takes a kilobyte."""


@dataclass(frozen=True)
class Printed:
    """One list.

    Attributes:
        source: the file.
        kind: what it lists.
        title: of the list.
        columns: names, in their order.
        rows: what each says; a column that is missing is not known.
        told: lines that are no rows.
        untold: how many more there are.
        whose: the node, where it is one of several or a file tells.
    """

    source: str
    kind: RecordKind
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    told: tuple[Told, ...] = ()
    untold: int = 0
    whose: Whose = NOBODY


def read_printed(blocks: Iterable[bytes], one: PrintedList, source: str) -> list[Printed]:
    """Read a list: one for each node that the text names.

    Args:
        blocks: the text's bytes in order.
        one: which list it is.
        source: the file's path, for messages.
    """
    rows: dict[Whose, list[Row]] = {}
    told: list[Told] = []
    untold = count = 0
    whose = NOBODY
    before: Row | None = None
    common: Row = {}
    named = Named()
    for line in reading.lines(blocks):
        text = reading.unprefixed(line.text).rstrip()
        if not text.strip() or (one.heading and one.heading.match(text.lstrip())):
            continue
        if one.section and (above := one.section.match(text.lstrip())):
            common.update({name: value for name, value in above.groupdict().items() if value})
            continue
        found = one.row(text, before) or one.row(text.lstrip(), before)
        if found is not None and count < MOST_ROWS:
            if found is not before:
                owner = named.one(_owner(line, text) or whose)
                rows.setdefault(owner, []).append({**common, **found})
                count += 1
            before = found
            continue
        whose = reading.whose_section(line.text) or whose
        sort = reading.sort_of(line.text)
        if sort is Sort.NOTICE and _may_be_row(text) and not _LOG.match(text):
            sort = Sort.DAMAGE
        if len(told) < MOST_TOLD:
            reason = "a line that is no row of its list" if sort is Sort.DAMAGE else ""
            told.append(Told(line.number, line.offset, sort, line.text[:LONGEST_TOLD], reason))
        else:
            untold += 1
    if not rows:
        rows[NOBODY] = []
    lists = [
        Printed(source, one.kind, one.title, one.columns, tuple(found), whose=owner)
        for owner, found in rows.items()
    ]
    lists[0] = Printed(
        source,
        one.kind,
        one.title,
        one.columns,
        lists[0].rows,
        tuple(told),
        untold,
        lists[0].whose,
    )
    return lists


def _owner(line: Line, text: str) -> Whose:
    """Whose row it is, by what stood before it."""
    at = line.text.find(text.strip())
    return reading.whose_prefix(line.text[:at]) if at > 0 else NOBODY


_LOG: Final = re.compile(r"(?:time=|level=)")
_SOME_END: Final = re.compile(r"\d\.\d{1,3}\.\d|[0-9a-f]:[0-9a-f]{1,4}:|\b\d{4,}\b")


def _may_be_row(text: str) -> bool:
    """Whether a line that was not read has something of a row: an address, a long number."""
    return _SOME_END.search(text) is not None and not text.lstrip().startswith(("$", "#"))
