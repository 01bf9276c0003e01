"""Sorting a conntrack table and finding an entry again, vectorised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.ct.show import sortable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Order: TypeAlias = npt.NDArray[np.uint32]
    Numbers: TypeAlias = npt.NDArray[Any]

FIRST = 256
"""Rows that are told before an order is whole: more than a terminal has."""


class Sorted(NamedTuple):
    """Rows in an order, and the numbers that made it.

    Attributes:
        numbers: what was sorted by, an array of a number for each row; several decide in turn.
        order: row numbers in sorted order.
    """

    numbers: tuple[Numbers, ...]
    order: Order


def sort_rows(
    table: CtTable,
    column: str,
    *,
    descending: bool = False,
    before: Sorted | None = None,
    given: Numbers | None = None,
    first: Callable[[Order], None] | None = None,
) -> Sorted:
    """Sort a table's rows; equal entries keep the order the kernel gave them.

    Args:
        table: the rows.
        column: what to sort by.
        descending: the largest first.
        before: an order made by other numbers; it serves again where they are the same.
        given: the numbers to sort by, where the table alone does not tell; NaN is not known.
        first: handed the `FIRST` rows of the order at once, while the whole is still to be made.

    Raises:
        KeyError: ``column`` is none of `show.sortable`.
    """
    numbers = _numbers(table, column, descending=descending, given=given)
    if before is not None and _same(numbers, before.numbers):
        return Sorted(numbers, before.order)
    if first is not None and len(table) > FIRST:
        first(first_rows(numbers, FIRST))
    if len(numbers) == 1:
        return Sorted(numbers, np.argsort(numbers[0], kind="stable").astype(np.uint32))
    return Sorted(numbers, np.lexsort(numbers).astype(np.uint32))


def first_rows(numbers: tuple[Numbers, ...], count: int) -> Order:
    """The first so many rows of the order that these numbers make, without making it.

    Exactly those: of rows that are equal the kernel's first ones come first, as in the whole order.
    """
    main = numbers[-1]
    last = np.partition(main, count - 1)[count - 1]
    below, level = np.flatnonzero(main < last), np.flatnonzero(main == last)
    if len(numbers) == 1:
        level = level[: count - len(below)]
    rows = np.concatenate((below, level))
    order = np.lexsort(tuple(part[rows] for part in numbers))
    return rows[order[:count]].astype(np.uint32)


def _numbers(
    table: CtTable, column: str, *, descending: bool, given: Numbers | None
) -> tuple[Numbers, ...]:
    """What to sort by, the smallest first."""
    if given is not None:
        # What is not known comes behind all that is, or before it.
        known = np.nan_to_num(given, nan=-1.0).astype(np.int64)
        return (np.invert(known) if descending else known,)
    whole: tuple[Numbers, ...] = ()
    begin = 0
    for part in table.parts() if len(table) else [table]:
        found = sortable()[column](part)
        whole = whole or tuple(np.empty(len(table), numbers.dtype) for numbers in found)
        for into, numbers in zip(whole, found, strict=True):
            # Complementing reverses the order of signed and unsigned numbers alike, and keeps ties.
            some = into[begin : begin + len(part)]
            some[:] = np.invert(numbers) if descending else numbers
        begin += len(part)
    return whole


def _same(numbers: tuple[Numbers, ...], others: tuple[Numbers, ...]) -> bool:
    pairs = zip(numbers, others, strict=False)
    return len(numbers) == len(others) and all(np.array_equal(*pair) for pair in pairs)


def find_entry(table: CtTable, key: bytes) -> int | None:
    """The row of the entry with this raw key, None when the table has it no more."""
    width = table.keys.dtype.itemsize
    if len(key) != width or not len(table):
        return None
    wanted = np.frombuffer(key, table.keys.dtype)[0]
    # Comparing two bytes first leaves few rows to compare whole.
    rows = np.flatnonzero(table.keys["sport"] == wanted["sport"])
    raw = np.ascontiguousarray(table.keys[rows]).view(np.uint8).reshape(-1, width)
    same = np.flatnonzero((raw == np.frombuffer(key, np.uint8)).all(axis=1))
    return int(rows[same[0]]) if len(same) else None
