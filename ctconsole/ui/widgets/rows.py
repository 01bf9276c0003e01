"""What a `LineTable` shows: columns, and rows that are rendered only when they are visible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

Piece: TypeAlias = tuple[str, str]
"""Text and the style it is drawn in (see ``LineTable.COMPONENT_CLASSES``; empty: as the row)."""

Cell: TypeAlias = tuple[Piece, ...]
"""The pieces of one cell; a cell of one piece is cut and padded by the table."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: identifies it, e.g. for sorting.
        title: heading.
        width: least width in terminal cells.
        right: aligned right, as numbers are.
        grow: share of the spare width it takes, relative to the other columns.
        most: width it does not grow beyond.
        rank: columns with the highest rank are left out first where the table is too narrow;
            rank 0 always stays.
        sortable: whether a click on the heading sorts.
    """

    name: str
    title: str
    width: int
    right: bool = False
    grow: int = 0
    most: int = 200
    rank: int = 0
    sortable: bool = True


class FixedOrder:
    """What rows have whose order nobody changes."""

    @property
    def sort(self) -> tuple[str, bool]:
        """No column."""
        return "", False


class Rows(Protocol):
    """The content of a table at one moment; replaced as a whole, never changed."""

    @property
    def columns(self) -> Sequence[Column]:
        """All columns in the order shown."""
        ...

    @property
    def sort(self) -> tuple[str, bool]:
        """Name of the column sorted by (may be empty), and whether descending."""
        ...

    def __len__(self) -> int: ...

    def key(self, row: int) -> Hashable:
        """What identifies the row in the next snapshot."""
        ...

    def find(self, key: Hashable) -> int | None:
        """The row with this key, None when it is gone."""
        ...

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """The cells of the columns in ``widths``, for the width each column has."""
        ...

    def style(self, row: int) -> str:
        """The style of the whole row; empty for the ordinary one."""
        ...


EDGE = 1
"""Blank cells at the left and at the right of a line."""

_GAP = 2
_WIDEST = 200
"""Terminal cells of a column that somebody made wider."""

_WORTH_SQUEEZING = 2


@dataclass(frozen=True, slots=True)
class Widths:
    """How a table's columns are laid out.

    Attributes:
        of: width in terminal cells of each column shown, by name.
        gap: blank cells between two columns.
    """

    of: Mapping[str, int]
    gap: int

    @property
    def total(self) -> int:
        """Terminal cells of a whole line."""
        return sum(self.of.values()) + self.gap * (len(self.of) - 1) + 2 * EDGE

    @property
    def begins(self) -> list[int]:
        """Where one scrolls to for each column to be the first in view."""
        sums = accumulate(self.of.values(), lambda at, width: at + width + self.gap, initial=0)
        return list(sums)[: len(self.of)]

    def whole_columns(self, x: int, room: int) -> tuple[int, int]:
        """From where to where a view of ``room`` cells from ``x`` on shows whole columns."""
        begins, widths = self.begins, list(self.of.values())
        whole = [
            (begin, begin + EDGE + width)
            for begin, width in zip(begins, widths, strict=True)
            if begin >= x and begin + EDGE + width <= x + room
        ]
        if not whole:
            return x, x + room
        begin, end = whole[0][0], whole[-1][1]
        return begin, x + room if end + self.gap >= self.total - EDGE else end


def lay_out(columns: Sequence[Column], width: int) -> Widths:
    """Which columns fit into ``width`` terminal cells, and how wide each of them is.

    The columns move closer together before one of a low rank is left out.
    """
    shown, gap = _chosen(columns, width, _GAP), _GAP
    if any(column.rank <= _WORTH_SQUEEZING and column not in shown for column in columns):
        shown, gap = _chosen(columns, width, 1), 1
    return _spread(shown, width, gap)


def _spread(shown: Sequence[Column], width: int, gap: int) -> Widths:
    """Give what is left of the width to the columns that can use it."""
    widths = {column.name: column.width for column in shown}
    spare = width - _least(shown, gap)
    while spare > 0:
        hungry = [c for c in shown if c.grow and widths[c.name] < c.most]
        if not hungry:
            break
        for column in hungry:
            give = min(column.grow, spare, column.most - widths[column.name])
            widths[column.name] += give
            spare -= give
    return Widths(widths, gap)


def in_reach(columns: Sequence[Column], width: int, chosen: Sequence[str] = ()) -> Widths:
    """How all columns are laid out: those that do not fit stand to the right of those that do.

    Args:
        columns: what there is.
        width: terminal cells there are.
        chosen: the columns that somebody wants, from left to right, by name or as ``name:width``;
            one that is not there is passed over. None: all, as they fit.
    """
    wanted = _wanted(columns, chosen)
    if wanted:
        gap = _GAP if _least(wanted, _GAP) <= width else 1
        return _spread(wanted, width, gap)
    fitting = lay_out(columns, width)
    rest = {column.name: column.width for column in columns if column.name not in fitting.of}
    return Widths({**fitting.of, **rest}, fitting.gap)


def _wanted(columns: Sequence[Column], chosen: Sequence[str]) -> list[Column]:
    there = {column.name: column for column in columns}
    found: dict[str, Column] = {}
    for one in chosen:
        name, _, width = one.partition(":")
        if name in there and width.isdecimal() and int(width):
            found[name] = replace(there[name], width=min(int(width), _WIDEST), grow=0)
        elif name in there:
            found[name] = there[name]
    return list(found.values())


def _chosen(columns: Sequence[Column], width: int, gap: int) -> list[Column]:
    shown = list(columns)
    while _least(shown, gap) > width and any(column.rank for column in shown):
        highest = max(column.rank for column in shown)
        last = max(i for i, column in enumerate(shown) if column.rank == highest)
        del shown[last]
    return shown


def _least(columns: Sequence[Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * (len(columns) - 1) + 2 * EDGE
