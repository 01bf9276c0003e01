"""Sorting a conntrack table and finding an entry again, vectorised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.risk import Change, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Numbers: TypeAlias = npt.NDArray[Any]
    Order: TypeAlias = npt.NDArray[np.intp]


def _end(which: str) -> Callable[[CtTable], tuple[Numbers, ...]]:
    """Address, then port, most significant number last as `np.lexsort` wants them."""

    def numbers(table: CtTable) -> tuple[Numbers, ...]:
        address = np.ascontiguousarray(getattr(table.ends, which))
        port = getattr(table.ends, f"{which}_port").astype(np.uint64)
        if not table.is_ipv6:
            whole = address.view(">u4")[:, 0].astype(np.uint64)
            return (np.asarray(whole << np.uint64(16) | port),)
        halves = address.view(">u8").astype(np.uint64)
        return port, halves[:, 1], halves[:, 0]

    return numbers


SORT_COLUMNS: Final[dict[str, Callable[[CtTable], tuple[Numbers, ...]]]] = {
    "proto": lambda table: (table.keys["nexthdr"],),
    "dir": lambda table: (table.direction,),
    "source": _end("source"),
    "destination": _end("destination"),
    "state": lambda table: (table.state,),
    "left": lambda table: (table.remaining,),
    "packets": lambda table: (table.packets,),
    "bytes": lambda table: (table.bytes,),
    "flags": lambda table: (table.values["flags"],),
    "revnat": lambda table: (table.values["rev_nat_index"].astype(np.uint16),),
    "identity": lambda table: (table.values["src_sec_id"],),
    "backend": lambda table: (table.backend,),
    "risk": lambda table: (judge(table, Change.RECREATE).risk,),
}
"""What a table can be sorted by: the numbers of each column, the deciding one last."""


def sort_order(table: CtTable, column: str, *, descending: bool = False) -> Order:
    """Row numbers in sorted order; equal entries keep the order the kernel gave them.

    Raises:
        KeyError: ``column`` is none of `SORT_COLUMNS`.
    """
    numbers = SORT_COLUMNS[column](table)
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
