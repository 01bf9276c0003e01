"""A conntrack table as rows of a `LineTable`; entries are decoded a page at a time, when seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.changes import dying, speeds_between
from ctconsole.model.ct.order import Sorted, find_entry, sort_rows
from ctconsole.model.ct.query import EVERYTHING, Query
from ctconsole.model.ct.show import screen_columns, sortable
from ctconsole.model.ct.shown import speed_texts
from ctconsole.model.ct.table import State
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.changes import Changes, Speeds
    from ctconsole.model.ct.field import OnScreen
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names

_PAGE = 64

NEW, CHANGED, DYING_SOON = "+", "~", "-"
LEGEND = ((NEW, "new"), (CHANGED, "used since"), (DYING_SOON, "about to go"))
"""The first column's marks, and what they say of an entry."""

_MARK_STYLES = {NEW: "fresh", CHANGED: "accent", DYING_SOON: "closing", "": ""}


@dataclass(frozen=True, slots=True)
class Sorting:
    """What a table is sorted by."""

    column: str = "bytes"
    descending: bool = True


@dataclass(frozen=True)
class Arrangement:
    """A table in an order: made in a worker, shown on the screen.

    Attributes:
        table: the sample.
        order: row numbers of ``table`` in the order shown.
        sorting: what ``order`` was made by.
        counts: entries shown in each `State`, so that summing up does not block the screen.
        query: what ``order`` was chosen by; it lacks the entries that do not pass.
        changes: what came and went since the sample before, None where that is not known.
        at: where the asked-for key stands in ``order``, None when it is gone or none was asked.
        numbers: what ``order`` was made of, for the next sample.
        speeds: how fast each row of ``table`` counts; None where that is not known.
    """

    table: CtTable
    order: npt.NDArray[np.uint32]
    sorting: Sorting
    counts: Mapping[State, int]
    query: Query = EVERYTHING
    changes: Changes | None = None
    at: int | None = None
    numbers: Sorted | None = None
    speeds: Speeds | None = None


def arrange(
    table: CtTable,
    sorting: Sorting,
    key: bytes | None = None,
    query: Query = EVERYTHING,
    changes: Changes | None = None,
    *,
    before: Arrangement | None = None,
    first: Callable[[Arrangement, int], None] | None = None,
) -> Arrangement:
    """Choose and sort a table's rows, find ``key`` in it, count the states.

    Takes about 0.3 s for a million rows; much less where they are those of ``before``. So ``first``
    is handed the first rows at once, of so many, where another order or choice is asked for.
    """
    part, rows = table, None
    speeds = before.speeds if before and before.table is table else None
    if speeds is None and before and changes:
        speeds = speeds_between(before.table, table, changes)
    if query:
        rates = speeds.bytes if speeds else None
        rows = np.flatnonzero(query.rows(table, rates)).astype(np.uint32)
        part = table.take(rows)
    alike = before if before and (before.sorting, before.query) == (sorting, query) else None

    def tell(top: npt.NDArray[np.uint32]) -> None:
        chosen = top if rows is None else rows[top]
        found = Arrangement(table, chosen, sorting, {}, query, changes, speeds=speeds)
        if first is not None:
            first(found, len(part))

    numbers = sort_rows(
        part,
        sorting.column,
        descending=sorting.descending,
        before=alike.numbers if alike else None,
        given=_speed_column(sorting.column, part, speeds, rows),
        first=None if first is None or alike else tell,
    )
    order = numbers.order if rows is None else rows[numbers.order]
    if alike and not query and table.lives_as(alike.table):
        states = alike.counts
    else:
        counts = np.zeros(len(State), np.int64)
        for some in part.parts():
            counts += np.bincount(some.state, minlength=len(State))
        states = {state: int(counts[state]) for state in State}
    at = _place(order, find_entry(table, key) if key else None)
    return Arrangement(table, order, sorting, states, query, changes, at, numbers, speeds)


def _speed_column(
    column: str, part: CtTable, speeds: Speeds | None, rows: npt.NDArray[np.uint32] | None
) -> npt.NDArray[np.float32] | None:
    """What a column of speeds is sorted by; None of other columns."""
    view = screen_columns().get(column)
    if view is None or not view.speed:
        return None
    if speeds is None:
        return np.full(len(part), np.nan, np.float32)
    whole: npt.NDArray[np.float32] = getattr(speeds, view.speed)
    return whole if rows is None else whole[rows]


def _place(order: npt.NDArray[np.uint32], row: int | None) -> int | None:
    """Where a row of the table stands in an order; None where it does not."""
    if row is None:
        return None
    places = np.flatnonzero(order == row)
    return int(places[0]) if len(places) else None


def columns_for(*, ipv6: bool) -> tuple[Column, ...]:
    """The columns; IPv6 addresses need more room."""
    numbers = sortable()
    return (
        Column("mark", "", 1, rank=2, sortable=False),
        *(
            _column(name, column, ipv6=ipv6, sortable=name in numbers or bool(column.speed))
            for name, column in screen_columns().items()
        ),
    )


def _column(name: str, column: OnScreen, *, ipv6: bool, sortable: bool) -> Column:
    width, most = column.ipv6 if ipv6 and column.ipv6 else (column.width, column.most)
    return Column(
        name,
        column.title,
        width,
        right=column.right,
        grow=column.grow,
        most=most,
        rank=column.rank,
        sortable=sortable,
    )


class CtRows:
    """Rows of an `Arrangement`; keys are the entries' raw keys.

    Args:
        arrangement: what to show.
        names: what addresses and services are called; None shows numbers.
    """

    def __init__(self, arrangement: Arrangement, names: Names | None = None) -> None:
        self.arrangement = arrangement
        self._names = names
        self._columns = columns_for(ipv6=arrangement.table.is_ipv6)
        self._pages: dict[int, list[dict[str, Cell]]] = {}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return self._columns

    @property
    def sort(self) -> tuple[str, bool]:
        """What the rows are sorted by."""
        return self.arrangement.sorting.column, self.arrangement.sorting.descending

    def __len__(self) -> int:
        return len(self.arrangement.order)

    def key(self, row: int) -> bytes:
        """The raw key."""
        return bytes(self.arrangement.table.keys[self.arrangement.order[row]].tobytes())

    def find(self, key: Hashable) -> int | None:
        """The row of a raw key."""
        found = find_entry(self.arrangement.table, key) if isinstance(key, bytes) else None
        return _place(self.arrangement.order, found)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """The cells of one entry."""
        del widths
        page, line = divmod(row, _PAGE)
        if page not in self._pages:
            if len(self._pages) > 32:  # noqa: PLR2004 - a few screens of scrolling
                self._pages.clear()
            rows = self.arrangement.order[page * _PAGE : (page + 1) * _PAGE]
            marks = self._marks(rows)
            speeds = self.arrangement.speeds
            self._pages[page] = _decode(
                self.arrangement.table.take(rows),
                marks,
                self._names,
                speeds.take(rows) if speeds else None,
            )
        return self._pages[page][line]

    def style(self, row: int) -> str:
        """Expired entries stand back, new and dying ones are tinted; most others have changed."""
        cells = self.cells(row, {})
        if cells["state"][0][1] == "expired":
            return "expired"
        mark, tone = cells["mark"][0]
        return "" if mark == CHANGED else tone

    def still(self, first: int, count: int, cursor: int, of: int | None = None) -> StillRows:
        """These rows without their table: the cells of those on the screen, and the cursor's key.

        Args:
            first: the uppermost row on the screen.
            count: rows on the screen.
            cursor: the row the cursor is on.
            of: how many rows there are, where these are only the first.
        """
        seen = {*range(first, min(first + count, len(self))), cursor}
        return StillRows(
            self._columns,
            self.sort,
            len(self) if of is None else of,
            {row: (self.key(row), self.cells(row, {}), self.style(row)) for row in seen},
        )

    def _marks(self, rows: npt.NDArray[np.uint32]) -> list[str]:
        """What has come, is about to go, or was used since the sample before (`LEGEND`)."""
        going = dying(self.arrangement.table.take(rows))
        changes, speeds = self.arrangement.changes, self.arrangement.speeds
        none = np.zeros(len(rows), np.bool_)
        new = changes.new[rows] if changes is not None else none
        used = speeds.changed[rows] if speeds is not None else none
        return [
            NEW if came else DYING_SOON if goes else CHANGED if other else ""
            for came, goes, other in zip(new, going, used, strict=True)
        ]


class StillRows:
    """What is left of rows while nobody looks at them, or known of an order that is being made.

    The others are blank until they are read or the order is whole.

    Args:
        columns: the columns.
        sort: what they are sorted by.
        count: how many rows there are.
        seen: key, cells and style of some of them.
    """

    def __init__(
        self,
        columns: tuple[Column, ...],
        sort: tuple[str, bool],
        count: int,
        seen: Mapping[int, tuple[bytes, Mapping[str, Cell], str]],
    ) -> None:
        self.columns = columns
        self.sort = sort
        self._count = count
        self._seen = seen

    def __len__(self) -> int:
        return self._count

    def key(self, row: int) -> bytes:
        """The raw key; empty where it is not known any more."""
        return self._seen[row][0] if row in self._seen else b""

    def find(self, key: Hashable) -> int | None:
        """The row of a raw key, as far as it is known."""
        return next((row for row, (its, _, _) in self._seen.items() if its == key), None)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """The cells of one entry."""
        del widths
        return self._seen[row][1] if row in self._seen else {}

    def style(self, row: int) -> str:
        """The style of a whole row."""
        return self._seen[row][2] if row in self._seen else ""


def _decode(
    part: CtTable, marks: list[str], names: Names | None, speeds: Speeds | None
) -> list[dict[str, Cell]]:
    """The cells of a few entries."""
    cells: list[dict[str, Cell]] = [{"mark": ((mark, _MARK_STYLES[mark]),)} for mark in marks]
    for name, column in screen_columns().items():
        if column.speed and speeds is not None and part.counted:
            texts: Sequence[str] = speed_texts(speeds, column.speed)
        else:
            texts = column.texts(part, names)
        for cell, text in zip(cells, texts, strict=True):
            cell[name] = ((clean(text), column.tones.get(text, column.tone)),)
    return cells
