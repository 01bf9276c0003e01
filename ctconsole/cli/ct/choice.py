"""Which entries of conntrack tables are shown, in which order and by which of their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctconsole.cli.map.naming import MapsMeant
from ctconsole.cli.printing import table_lines
from ctconsole.cli.shown import terminal_width
from ctconsole.model.listing.rows import ColumnForm, RowColumn, TableCell, no_such
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ctconsole.cli.shown import How
    from ctconsole.model.ct.field import OnScreen
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names

_CHUNK: Final = 4096
"""Entries that are drawn at a time."""

_RAW: Final = {"left": "remaining", "packets": "packets", "bytes": "bytes"}
"""Fields with units, and the numbers behind them."""

_ASKED_ONLY: Final = {"risk"}
"""Columns that cost more than a look at the entry."""


def column_names() -> list[str]:
    """What columns can be named."""
    from ctconsole.model.ct import show

    return list(show.screen_columns())


class EntryChoice:
    """What the options say of entries.

    Args:
        asked: the options.
        maps: the maps that are named.
        for_people: whether no program reads it.

    Raises:
        UsageError: a field was named that there is not.
    """

    def __init__(self, asked: How, maps: Sequence[str], *, for_people: bool) -> None:
        self.output = asked.output
        self.meant = MapsMeant(maps)
        self._asked = asked
        on_screen = for_people and (
            bool(asked.columns)
            or asked.raw
            or asked.output == "wide"
            or terminal_width() is not None
        )
        self.on_screen = on_screen
        self.fields = None if for_people else _fields(asked.columns)
        if on_screen or asked.sort:
            self._check(asked)

    @property
    def judges(self) -> bool:
        """Whether entries have to be judged."""
        return "risk" in {*self._asked.columns, self._asked.sort.removeprefix("-")} or (
            self._asked.output == "wide"
        )

    @property
    def orders(self) -> bool:
        """Whether a map has to be whole before any of it is shown."""
        return bool(self._asked.sort) or self._asked.limit is not None

    def _check(self, asked: How) -> None:
        from ctconsole.model.ct import show

        if asked.sort and asked.sort.removeprefix("-") not in show.sortable():
            raise no_such("field to sort by", asked.sort.removeprefix("-"), show.sortable())
        if self.on_screen:
            for name in asked.columns:
                if name not in show.screen_columns():
                    raise no_such("column", name, show.screen_columns())

    def whole(self, tables: Iterable[CtTable]) -> Iterator[CtTable]:
        """Each map as one table, of its parts that follow one another, and its rows chosen."""
        from ctconsole.model.ct.table import joined

        parts: list[CtTable] = []
        for table in tables:
            if parts and (table.info, table.whose) != (parts[0].info, parts[0].whose):
                yield self.rows(joined(parts))
                parts = []
            parts.append(table)
        if parts:
            yield self.rows(joined(parts))

    def rows(self, table: CtTable) -> CtTable:
        """Those of a map that are shown, in their order."""
        import numpy as np

        from ctconsole.model.ct import show

        name = self._asked.sort.removeprefix("-")
        if name:
            order = np.lexsort(show.sortable()[name](table))
            falls = name in _LARGEST_FIRST
            turned = falls ^ self._asked.sort.startswith("-")
            table = table.take(order[::-1] if turned else order)
        most = self._asked.limit
        return table if most is None else table.take(slice(0, most))

    def title(self, table: CtTable) -> str:
        """The line about a map of which only so many entries are shown."""
        from ctconsole.model.listing.ct_table import title_line
        from ctconsole.model.units import count

        most = self._asked.limit
        cut = most is not None and most < len(table)
        return f"{title_line(table)}; {count(most or 0)} shown" if cut else title_line(table)

    def lines(self, table: CtTable, names: Names | None, title: str) -> Iterator[str]:
        """A map for people: a line about it, and a table as wide as the terminal; with colours."""
        from ctconsole.model.ct import show

        columns = show.screen_columns()
        chosen = self._asked.columns or [
            name for name in columns if name not in _ASKED_ONLY or self._asked.output == "wide"
        ]
        shown = [(name, columns[name]) for name in chosen]
        described = [
            RowColumn(
                name,
                one.title,
                ColumnForm.NUMBER if one.right else ColumnForm.TEXT,
                rank=one.rank,
            )
            for name, one in shown
        ]
        yield f"{cell(title)}\n"
        called = names.of(table.whose) if names is not None else None
        cells = (
            line
            for first in range(0, len(table), _CHUNK)
            for line in self._cells(table.take(slice(first, first + _CHUNK)), shown, called)
        )
        for text in table_lines(cells, described):
            yield f"{text}\n"
        yield "\n"

    def _cells(
        self, table: CtTable, shown: Sequence[tuple[str, OnScreen]], called: Names | None
    ) -> Iterator[list[TableCell]]:
        """What each entry shows."""
        texts: list[list[TableCell]] = []
        for name, column in shown:
            if self._asked.raw and name in _RAW:
                words: Sequence[str] = [str(one) for one in getattr(table, _RAW[name]).tolist()]
            else:
                words = column.texts(table, called)
            texts.append(
                [TableCell(cell(one), column.tones.get(one, column.tone)) for one in words]
            )
        return (list(line) for line in zip(*texts, strict=True))


_LARGEST_FIRST: Final = {"left", "packets", "bytes", "risk"}
"""Fields of which the largest is what one looks for."""


def _fields(names: Sequence[str]) -> tuple[str, ...] | None:
    """Fields for programs, by their own names; None for all.

    Raises:
        UsageError: there is no such field.
    """
    if not names:
        return None
    from ctconsole.model.ct import show

    known = [field.name for field in show.FIELDS if field.cells]
    for name in names:
        if name not in known:
            raise no_such("column", name, known)
    return tuple(names)
