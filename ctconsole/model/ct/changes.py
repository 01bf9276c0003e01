"""What happened between two samples of one conntrack map: new, gone and evicted entries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.keyhash import hash_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Hashes: TypeAlias = npt.NDArray[np.uint64]

DYING: Final = 10
"""Seconds of life left below which an entry is about to go (``CT_CLOSE_TIMEOUT``)."""


@dataclass(frozen=True)
class Changes:
    """What lies between two samples.

    Attributes:
        seconds: from the older to the newer, wall clock.
        new: rows of the newer sample that were not in the older.
        gone: rows of the older sample that are not in the newer.
        evicted: how many are gone although their lifetime was not over: an estimate of what a
            full LRU map threw out. Deletions by a person or an agent count as well, and over
            more than 10 seconds between samples also connections that closed and were collected.
            None where a walk was incomplete or the clock is unknown.
    """

    seconds: float
    new: Bools
    gone: Bools
    evicted: int | None

    @cached_property
    def new_count(self) -> int:
        """How many entries came."""
        return int(np.count_nonzero(self.new))

    @cached_property
    def gone_count(self) -> int:
        """How many went."""
        return int(np.count_nonzero(self.gone))

    @property
    def new_rate(self) -> float:
        """Entries that came, per second."""
        return self.new_count / self.seconds

    @property
    def gone_rate(self) -> float:
        """Entries that went, per second."""
        return self.gone_count / self.seconds


class KeyedTable:
    """A sample with the hashes of its keys, so that each is hashed once.

    Args:
        table: the sample.
    """

    def __init__(self, table: CtTable) -> None:
        self.table = table
        keys = np.ascontiguousarray(table.keys)
        self.hashes = hash_rows(keys.view(np.uint8).reshape(len(keys), keys.dtype.itemsize))


def changes_between(older: KeyedTable, newer: KeyedTable) -> Changes | None:
    """Compare two samples; None where they are not of one map, or were taken at one moment."""
    before, after = older.table, newer.table
    seconds = after.taken_at - before.taken_at
    if before.info.id != after.info.id or before.keys.dtype != after.keys.dtype or seconds <= 0:
        return None
    kept_before, kept_after = _matched(older.hashes, newer.hashes)
    gone = ~kept_before
    evicted = None
    if before.walk.complete and after.walk.complete and after.has_clock:
        evicted = int(np.count_nonzero(before.values["lifetime"][gone] > after.now))
    return Changes(seconds, new=~kept_after, gone=gone, evicted=evicted)


def dying(table: CtTable) -> Bools:
    """Living rows with `DYING` seconds left at most; none where the clock is unknown."""
    if not table.has_clock:
        return np.zeros(len(table), np.bool_)
    return np.asarray(table.alive & (table.remaining <= DYING))


def _matched(left: Hashes, right: Hashes) -> tuple[Bools, Bools]:
    """Which of ``left`` are in ``right``, and which of ``right`` are in ``left``.

    Joined through a table of row numbers indexed by part of the hash; the few rows that lost
    their place to another are joined by sorting.
    """
    in_left = np.zeros(len(left), np.bool_)
    in_right = np.zeros(len(right), np.bool_)
    if not (len(left) and len(right)):
        return in_left, in_right
    if np.array_equal(left, right):
        # Walks come in the order of the map's buckets: a table at rest reads the same twice.
        return ~in_left, ~in_right
    bits = max(8, int(2 * len(left)).bit_length())
    down = np.uint64(64 - bits)
    places = np.zeros(1 << bits, np.uint32)
    places[(left >> down).astype(np.intp)] = np.arange(len(left), dtype=np.uint32)
    partner = places[(right >> down).astype(np.intp)]
    same = left[partner] == right
    in_right[same] = True
    in_left[partner[same]] = True
    rest_left, rest_right = np.flatnonzero(~in_left), np.flatnonzero(~in_right)
    if len(rest_left) and len(rest_right):
        common, one, other = np.intersect1d(
            left[rest_left], right[rest_right], assume_unique=True, return_indices=True
        )
        del common
        in_left[rest_left[one]] = True
        in_right[rest_right[other]] = True
    return in_left, in_right
