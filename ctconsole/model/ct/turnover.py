"""How fast entries come to a table and leave it, between two looks at it.

For tables that nobody looks at: of a look nothing is kept but what the next is compared with, at
most twelve bytes for each entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.changes import KeyedTable, matched, others
from ctconsole.model.ct.evictions import evicted
from ctconsole.model.ct.keyhash import hash_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from ctconsole.model.ct.changes import Changes, Hashes
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.spec import MapInfo


@dataclass(frozen=True, slots=True)
class Turnover:
    """What came and went between two looks, each second.

    Attributes:
        seconds: between the looks.
        new: entries that came and were still there; what came and went in between is missing.
        gone: entries that left.
        evicted: of these, those whose lifetime was not over (see `evictions.evicted`); None where
            a walk was incomplete, the clock is unknown, or entries have no lifetime, as those of a
            NAT table: what the agent collected and what was thrown out look alike.
    """

    seconds: float
    new: float
    gone: float
    evicted: float | None

    @classmethod
    def of(cls, changes: Changes) -> Turnover:
        """That of two samples which were compared."""
        lost = None if changes.evicted is None else changes.evicted / changes.seconds
        return cls(changes.seconds, changes.new_rate, changes.gone_rate, lost)


@dataclass(frozen=True, slots=True)
class Headcount:
    """What is kept of one look at a table.

    Attributes:
        map_id: the kernel's id of the map.
        width: bytes of a key.
        taken_at: seconds since the Unix epoch.
        complete: whether the walk saw every entry.
        hashes: of the keys.
        lifetimes: of the entries, in the same order; None where they have none.
    """

    map_id: int
    width: int
    taken_at: float
    complete: bool
    hashes: Hashes
    lifetimes: npt.NDArray[np.uint32] | None

    @classmethod
    def of(cls, table: CtTable) -> Headcount:
        """That of a table just read."""
        return cls(
            table.info.id,
            table.keys.dtype.itemsize,
            table.taken_at,
            table.walk.complete,
            KeyedTable(table).hashes,
            np.array(table.values["lifetime"], np.uint32),
        )

    @classmethod
    def of_keys(
        cls, info: MapInfo, taken_at: float, parts: Iterable[npt.NDArray[np.uint8]]
    ) -> Headcount:
        """That of a table whose entries have no lifetime.

        Args:
            info: the map.
            taken_at: when its walk began, seconds since the Unix epoch.
            parts: all its keys, u1 of shape (n, key size).
        """
        hashes = np.concatenate([np.empty(0, np.uint64), *map(hash_rows, parts)])
        return cls(info.id, info.key_size, taken_at, complete=True, hashes=hashes, lifetimes=None)


def turnover_between(
    older: Headcount, newer: Headcount, table: CtTable | None = None
) -> Turnover | None:
    """Compare two looks; None where they are not of one map, or were taken at one moment.

    Args:
        older: the one before.
        newer: that of ``table``.
        table: what was read now, for its clock; None where entries have no lifetime.
    """
    seconds = newer.taken_at - older.taken_at
    if (older.map_id, older.width) != (newer.map_id, newer.width) or seconds <= 0:
        return None
    kept = matched(older.hashes, newer.hashes)
    came = len(newer.hashes) - len(kept.newer)
    gone = others(kept.older, len(older.hashes))
    lost = None
    if (
        table is not None
        and table.has_clock
        and older.lifetimes is not None
        and older.complete
        and newer.complete
    ):
        over = int(np.count_nonzero(older.lifetimes[gone] <= table.now))
        lost = evicted(came=came, before=len(older.hashes), now=len(newer.hashes), collected=over)
    return Turnover(
        seconds,
        came / seconds,
        int(np.count_nonzero(gone)) / seconds,
        None if lost is None else lost / seconds,
    )
