"""Sorting a conntrack table and finding an entry again, vectorised."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctconsole.model.ct.show import sortable

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Order: TypeAlias = npt.NDArray[np.intp]


def sort_order(table: CtTable, column: str, *, descending: bool = False) -> Order:
    """Row numbers in sorted order; equal entries keep the order the kernel gave them.

    Raises:
        KeyError: ``column`` is none of `show.sortable`.
    """
    numbers = sortable()[column](table)
    if descending:
        # Complementing reverses the order of signed and unsigned numbers alike, and keeps ties.
        numbers = tuple(np.invert(part) for part in numbers)
    if len(numbers) == 1:
        return np.argsort(numbers[0], kind="stable")
    return np.lexsort(numbers)


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
