"""Text of the lists that Cilium's tool prints of its other maps, row by row.

Rows hold what the text says and no more: an address list does not tell its map's bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from ctconsole.model.readers import lines as reading
from ctconsole.model.readers.lines import LONGEST_TOLD, MOST_TOLD, Sort, Told
from ctconsole.model.whose import NOBODY, Named, Whose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.readers.lines import Line
    from ctconsole.model.readers.printed_lists import PrintedList
    from ctconsole.model.readers.printed_rows import Row
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
        label: the map, where the list tells.
    """

    source: str
    kind: RecordKind
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    told: tuple[Told, ...] = ()
    untold: int = 0
    whose: Whose = NOBODY
    label: str = ""


def read_printed(blocks: Iterable[bytes], one: PrintedList, source: str) -> list[Printed]:
    """Read a list: one for each node that the text names.

    Args:
        blocks: the text's bytes in order.
        one: which list it is.
        source: the file's path, for messages.
    """
    blocks = iter(blocks)
    first = next(blocks, b"")
    reader = _Reader(one, numbered=reading.are_numbered(first))
    for line in reading.lines(chain([first], blocks)):
        reader.line(line)
    return reader.finish(source)


class _Reader:
    """Takes the lines of a list.

    Args:
        one: which list it is.
        numbered: whether each line has its number before it.
    """

    def __init__(self, one: PrintedList, *, numbered: bool) -> None:
        self._one = one
        self._numbered = numbered
        self._rows: dict[Whose, list[Row]] = {}
        self._count = 0
        self._told: list[Told] = []
        self._untold = 0
        self._whose = NOBODY
        self._before: Row | None = None
        self._common: Row = {}
        self._named = Named()
        self._cut = ""
        self._cut_rows: list[tuple[Line, list[Row], Row]] = []
        self._by_host = False

    def line(self, line: Line) -> None:
        """Take one line."""
        one = self._one
        text = self._text(line)
        bare = text.lstrip()
        if not bare or (one.heading and one.heading.match(bare)):
            return
        if one.section and (above := one.section.match(bare)):
            named = {name: value for name, value in above.groupdict().items() if value}
            self._common.update(named)
            return
        found = one.row(text, self._before) or one.row(bare, self._before)
        if found is None and self._cut and self._goes_on(line, text):
            return
        # A terminal may have wrapped it: what is no row by itself, or one that lacks its end, may
        # be one with the next line.
        cut = _may_be_row(text) if found is None else one.is_cut(found)
        self._cut = text if cut else ""
        if found is not None and self._count < MOST_ROWS:
            self._take(found, line, text)
        else:
            self._tell(line, text)

    def _text(self, line: Line) -> str:
        """A line without what stands before it; a host's name only where the title has one."""
        if context := _CONTEXT.match(line.text):
            return line.text[context.end() :].rstrip()
        text = reading.unprefixed(line.text, numbered=self._numbered).rstrip()
        found = _BY_HOST.match(text)
        if found is None:
            return text
        rest = text[found.end() :]
        self._by_host |= bool(self._one.heading and self._one.heading.match(rest.lstrip()))
        return rest if self._by_host else text

    def _leave_out_cut(self) -> None:
        """What lacks its end, which not every release prints, is no row where others have it."""
        cut = [one for one in self._cut_rows if self._one.is_cut(one[2])]
        if not cut or len(cut) == self._count:
            return
        for line, rows, row in cut:
            rows[:] = [one for one in rows if one is not row]
            self._damaged(line, "a row that is cut")
        self._told.sort(key=lambda told: told.number)

    def _goes_on(self, line: Line, text: str) -> bool:
        """Whether the line before has its end here."""
        one, before, cut = self._one, self._before, self._cut
        found = one.row(cut + line.text, before) or one.row(f"{cut.rstrip()} {text}", before)
        if found is None:
            return False
        self._cut = ""
        if before is not None and one.is_cut(before):
            before.update(found)
            return True
        if self._told:
            self._told.pop()
        self._take(found, line, text)
        return True

    def _take(self, found: Row, line: Line, text: str) -> None:
        if found is self._before:
            return
        owner = self._named.one(_owner(line, text) or self._whose)
        self._before = {**self._common, **found}
        rows = self._rows.setdefault(owner, [])
        rows.append(self._before)
        self._count += 1
        if self._one.is_cut(self._before):
            self._cut_rows.append((line, rows, self._before))

    def _tell(self, line: Line, text: str) -> None:
        self._whose = reading.whose_section(line.text) or self._whose
        if not line.number:
            return
        sort = reading.sort_of(line.text)
        if sort is Sort.NOTICE and _may_be_row(text) and not _LOG.match(text):
            sort = Sort.DAMAGE
        if sort is Sort.DAMAGE:
            self._damaged(line, "a line that is no row of its list")
        else:
            self._keep(line, sort, "")

    def _damaged(self, line: Line, reason: str) -> None:
        self._keep(line, Sort.DAMAGE, reason)

    def _keep(self, line: Line, sort: Sort, reason: str) -> None:
        if len(self._told) < MOST_TOLD:
            shown = line.text[:LONGEST_TOLD]
            self._told.append(Told(line.number, line.offset, sort, shown, reason))
        else:
            self._untold += 1

    def finish(self, source: str) -> list[Printed]:
        """The lists; the first one has the lines that are no rows."""
        self._leave_out_cut()
        one = self._one
        lists = [
            Printed(source, one.kind, one.title, one.columns, tuple(found), whose=owner)
            for owner, found in (self._rows or {NOBODY: []}).items()
        ]
        lists[0] = replace(lists[0], told=tuple(self._told), untold=self._untold)
        return lists


def _owner(line: Line, text: str) -> Whose:
    """Whose row it is, by what stood before it."""
    at = line.text.find(text.strip())
    return reading.whose_prefix(line.text[:at]) if at > 0 else NOBODY


_BY_HOST: Final = re.compile(r"[A-Za-z][\w.-]{0,252}: ")
"""What pdsh and the like put before each line."""

_CONTEXT: Final = re.compile(r"[^\s:]{1,400}?\.(?:md|txt|log|out|json)-\d{1,9}-")
"""What ``grep -n`` puts before lines around those that were sought."""

_LOG: Final = re.compile(r"(?:time=|level=)")
_SOME_END: Final = re.compile(r"\d\.\d{1,3}\.\d|[0-9a-f]:[0-9a-f]{0,4}:|\b\d{4,}\b")


def _may_be_row(text: str) -> bool:
    """Whether a line that was not read has something of a row: an address, a long number."""
    return _SOME_END.search(text) is not None and not text.lstrip().startswith(("$", "#"))
