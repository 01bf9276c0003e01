"""What happened between two samples of one conntrack map: new, gone and evicted entries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from weakref import ref

import numpy as np

from ctconsole.model.ct.evictions import evicted
from ctconsole.model.ct.keyhash import hash_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Hashes: TypeAlias = npt.NDArray[np.uint64]
    Order: TypeAlias = npt.NDArray[np.integer[Any]]

_SAME_MOMENT: Final = 1e-6
_PART: Final = 1 << 16
"""Rows that are compared at a time."""

_FEW: Final = 1 << 14
"""Rows that are compared at a time where whole entries are."""

DYING: Final = 10
"""Seconds of life left below which an entry is about to go (``CT_CLOSE_TIMEOUT``)."""


class Pairs(NamedTuple):
    """The entries that are in both of two samples; one entry stands at one place in each array.

    Attributes:
        older: its row in the older sample.
        newer: its row in the newer.
    """

    older: Order
    newer: Order


@dataclass(frozen=True)
class Changes:
    """What lies between two samples.

    Attributes:
        seconds: from the older to the newer, wall clock.
        kept: which row of the newer sample was which of the older.
        new: rows of the newer sample that were not in the older.
        gone: rows of the older sample that are not in the newer.
        evicted: how many are gone although their lifetime was not over (see `evictions.evicted`).
            Over more than 10 seconds between samples also connections that closed and were
            collected count. None where a walk was incomplete or the clock is unknown.
    """

    seconds: float
    kept: Pairs
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


def at_rest(before: CtTable | None, table: CtTable) -> CtTable:
    """The table, with the arrays of the sample before where not a byte has changed.

    So whoever has looked at that sample sees at once that nothing has to be looked at again but
    what depends on the time.
    """
    if (
        before is None
        or before.info.id != table.info.id
        or before.layout is not table.layout
        or not _same(before.keys, table.keys)
        or not _same(before.values, table.values)
    ):
        return table
    return replace(table, keys=before.keys, values=before.values)


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether two arrays of records are the same, byte for byte."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    # In parts: what differs differs soon, and the answers of all rows are as large as the rows.
    parts = (slice(start, start + _PART) for start in range(0, len(one), _PART))
    return all(np.array_equal(_bytes(one[part]), _bytes(other[part])) for part in parts)


def _bytes(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(rows).view(np.uint8)


class KeyedTable:
    """A sample with the hashes of its keys, so that each is hashed, and found again, once.

    Args:
        table: the sample.
        before: the one before, whose hashes serve again where it has the same entries.
    """

    def __init__(self, table: CtTable, before: KeyedTable | None = None) -> None:
        self.table = table
        self.hashes: Hashes = (
            before.hashes if before and table.keys is before.table.keys else _hashes(table)
        )
        self._kept: tuple[ref[KeyedTable], Pairs] | None = None

    def kept_since(self, older: KeyedTable) -> Pairs:
        """Which row of another sample is which of this one; of the same one as last it is known."""
        if self._kept is None or self._kept[0]() is not older:
            self._kept = ref(older), matched(older.hashes, self.hashes)
        return self._kept[1]


def _hashes(table: CtTable) -> Hashes:
    keys = np.ascontiguousarray(table.keys)
    return hash_rows(keys.view(np.uint8).reshape(len(keys), keys.dtype.itemsize))


def changes_between(older: KeyedTable, newer: KeyedTable) -> Changes | None:
    """Compare two samples; None where they are not of one map, or were taken at one moment."""
    before, after = older.table, newer.table
    seconds = after.taken_at - before.taken_at
    if before.info.id != after.info.id or before.keys.dtype != after.keys.dtype or seconds <= 0:
        return None
    kept = newer.kept_since(older)
    gone, new = others(kept.older, len(before)), others(kept.newer, len(after))
    lost = None
    if before.walk.complete and after.walk.complete and after.has_clock:
        over = int(np.count_nonzero(before.values["lifetime"][gone] <= after.now))
        came = len(after) - len(kept.newer)
        lost = evicted(came=came, before=len(before), now=len(after), collected=over)
    return Changes(seconds, kept, new=new, gone=gone, evicted=lost)


@dataclass(frozen=True)
class Speeds:
    """What the rows of a sample did since the one before.

    Attributes:
        bytes: a second, f4; NaN where it is not known.
        packets: likewise.
        changed: rows that were there before and have been used, or changed otherwise, since.
    """

    bytes: npt.NDArray[np.float32]
    packets: npt.NDArray[np.float32]
    changed: Bools

    def take(self, rows: npt.NDArray[Any]) -> Speeds:
        """Those of some rows."""
        return Speeds(self.bytes[rows], self.packets[rows], self.changed[rows])


def speeds_between(before: CtTable, table: CtTable, changes: Changes) -> Speeds | None:
    """How fast each row counted since the sample before; unknown of what is new.

    None where these are not the two samples that the changes lie between.
    """
    apart = table.taken_at - before.taken_at
    if abs(apart - changes.seconds) > _SAME_MOMENT or len(changes.new) != len(table):
        return None
    if table.keys is before.keys and table.values is before.values:
        # A table at rest shares its arrays with the sample before.
        none = np.zeros(len(table), np.float32)
        return Speeds(none, none, np.zeros(len(table), np.bool_))
    found = [np.full(len(table), np.nan, np.float32) for _ in range(2)]
    changed = np.zeros(len(table), np.bool_)
    for start in range(0, len(changes.kept.newer), _FEW):
        older, newer = (rows[start : start + _FEW] for rows in changes.kept)
        was, now = before.take(older), table.take(newer)
        for into, count in zip(found, ("bytes", "packets"), strict=True):
            first, last = getattr(was, count), getattr(now, count)
            # A counter that went back belongs to an entry that was made anew.
            into[newer] = np.where(last >= first, last - first, last) / changes.seconds
        changed[newer] = was.value_rows != now.value_rows
    return Speeds(found[0], found[1], changed)


def dying(table: CtTable) -> Bools:
    """Living rows with `DYING` seconds left at most; none where the clock is unknown."""
    if not table.has_clock:
        return np.zeros(len(table), np.bool_)
    return np.asarray(table.alive & (table.remaining <= DYING))


def others(rows: Order, count: int) -> Bools:
    """The rows of ``count`` that are not among these."""
    others = np.ones(count, np.bool_)
    others[rows] = False
    return others


def matched(older: Hashes, newer: Hashes) -> Pairs:
    """Which row of the one is which of the other.

    Joined through a table of row numbers indexed by part of the hash; the few rows that lost
    their place to another are joined by sorting.
    """
    if not (len(older) and len(newer)):
        return Pairs(np.empty(0, np.uint32), np.empty(0, np.uint32))
    if np.array_equal(older, newer):
        # Walks come in the order of the map's buckets: a table at rest reads the same twice.
        every = np.arange(len(older), dtype=np.uint32)
        return Pairs(every, every)
    bits = max(8, int(2 * len(older)).bit_length())
    down = np.uint64(64 - bits)
    places = np.zeros(1 << bits, np.uint32)
    for start in range(0, len(older), _PART):
        part = older[start : start + _PART]
        places[(part >> down).astype(np.intp)] = np.arange(
            start, start + len(part), dtype=np.uint32
        )
    partner = np.empty(len(newer), np.uint32)
    same = np.empty(len(newer), np.bool_)
    for start in range(0, len(newer), _PART):
        part = newer[start : start + _PART]
        found = places[(part >> down).astype(np.intp)]
        partner[start : start + _PART] = found
        same[start : start + _PART] = older[found] == part
    del places
    in_newer = np.flatnonzero(same).astype(np.uint32)
    in_older = partner[in_newer]
    rest_older, rest_newer = np.flatnonzero(others(in_older, len(older))), np.flatnonzero(~same)
    if len(rest_older) and len(rest_newer):
        # Not np.intersect1d: files may hold an entry twice, and each of its rows has a partner.
        lost = rest_older[np.argsort(older[rest_older], kind="stable")]
        wanted = newer[rest_newer]
        at = np.minimum(np.searchsorted(older[lost], wanted), len(lost) - 1)
        found_again = older[lost[at]] == wanted
        in_older = np.concatenate((in_older, lost[at[found_again]].astype(np.uint32)))
        in_newer = np.concatenate((in_newer, rest_newer[found_again].astype(np.uint32)))
    return Pairs(in_older, in_newer)
