"""Whether everything of one map is in another: both are read by batch and compared.

The passes say of themselves what they carried; this reads both maps with other means. Walks by
batch miss no entry that stays (152 walks beside 100,000 changes a second on Linux 6.18).

However large the maps are, little is kept: keys fall into groups, and for each there is a sum of
64-bit hashes, to which the old map's keys add and from which the new map's take away. A group
that sums up to zero has the same keys on both sides, but for a chance of one in 2^64. Of the
others, in which an entry has come or gone, the old map's keys are looked up one by one. It goes
at the pace that others leave to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.kernel.pacing import paced
from ctconsole.kernel.passes import RANK_SECONDS
from ctconsole.kernel.walk import hashes
from ctconsole.model.ct.joining import NOWHERE
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.ct.joining import Joining

    Bytes = npt.NDArray[np.uint8]
    Bools = npt.NDArray[np.bool_]
    Counts = npt.NDArray[np.uint64]

_LEAST_GROUPS: Final = 1 << 10
_MOST_GROUPS: Final = 1 << 21
"""16 MiB of sums, for 16 million entries eight to a group."""

_COUNT_GROUPS: Final = 1 << 17
"""Groups whose counts are compared, 1 MiB."""

_CHUNK: Final = 1 << 13
"""Entries that are read at once, some milliseconds' work."""

_MIXING: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
"""Shifts and factors after which each bit of a number is in every other (splitmix64)."""

_CLASSES: Final = ("expired", "closing", "alive")
"""Why an entry is among those that stay behind, in the order in which they do."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which entries may be missing.

    Attributes:
        cut: entries of a lower rank were left behind, and of this one some; 0 for none.
        since: the moment that ranks are counted from.
        now: this moment, by the same clock; 0 where it is not known.
        full: entries of the new map from which on it throws others out by itself.
        kept: whether the old map keeps the counts that the new one has as well.
    """

    cut: int = 0
    since: int = 0
    now: int = 0
    full: int = 1 << 62
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """What two walks of both maps found.

    Attributes:
        entries: of the old map.
        there: of these, those that are in the new map.
        dropped: those that are not because they were chosen to be left behind, by ``expired``,
            ``closing``, ``alive``.
        expired: those that are not and whose time is over by now.
        no_room: those that are not and for which there is no room: the new map has filled up.
        missing: those that are not, for no reason known here: somebody deleted them in the new
            map, or they were lost.
        counting: entries that are in the new map, and count something in the old one that the new
            one does not.
    """

    entries: int = 0
    there: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    expired: int = 0
    no_room: int = 0
    missing: int = 0
    counting: int = 0

    @property
    def sentence(self) -> str:
        """``1,024 of 1,100 entries were found in the new map; 76 were left behind (expired)``."""
        text = f"{count(self.there)} of {count(self.entries)} entries were found in the new map"
        text += (
            f", {count(self.counting)} of them with a count that only the old one has"
            if self.counting
            else ", and none with a count that only the old one has"
        )
        for kind, number in self.dropped.items():
            text += f"; {count(number)} {kind} had been left behind"
        for number, what in (
            (self.expired, "had expired and are gone"),
            (self.no_room, "have no room in the new map, which filled up meanwhile"),
            (self.missing, "are not there: deleted meanwhile by somebody else, or lost"),
        ):
            if number:
                text += f"; {count(number)} {what}"
        return text

    @property
    def lost(self) -> int:
        """Entries that are not there and should be."""
        return self.no_room + self.missing


def verify(old: BpfMap, new: BpfMap, joining: Joining, rule: Rule) -> Verified:
    """Compare two maps; nobody writes the old one meanwhile, and nothing is changed.

    Args:
        old: the map whose entries were carried.
        new: the one they were carried to; programs may use it.
        joining: what the words of an entry are for.
        rule: which entries may be missing.

    Raises:
        BpfError: a map cannot be read to its end.
    """
    groups = _Groups(max(old.info.max_entries, new.info.max_entries))
    kept = rule.kept
    for keys, values in _read(new):
        groups.take(keys, _counted(keys, values, joining) if kept else None)
    has_counters = False
    for keys, values in _read(old):
        counted = _counted(keys, values, joining)
        groups.add(keys, counted if kept else None)
        has_counters = has_counters or bool(counted.any())
    counting = expired = gone = 0
    dropped = np.zeros(len(_CLASSES), np.int64)
    # Where all is even there is nothing to look up.
    is_needed = groups.differ or (has_counters and not kept)
    for keys, values in _read(old) if is_needed else ():
        there = ~groups.doubtful(keys)
        doubtful = np.flatnonzero(~there)
        there[doubtful] = new.present(keys[doubtful])
        counted = _counted(keys, values, joining)
        if not kept:
            counting += int(np.count_nonzero(there & (counted > 0)))
        elif not there.all():
            groups.leave(keys[~there], counted[~there])
        absent = values[~there]
        goes, kinds = _left_behind(absent, joining, rule)
        over = ~goes & (_lifetimes(absent, joining) <= rule.now)
        dropped += np.bincount(kinds[goes], minlength=len(_CLASSES))
        expired += int(np.count_nonzero(over))
        gone += int(np.count_nonzero(~goes & ~over))
    for keys, values in _read(old) if kept and groups.lack else ():
        rows = np.flatnonzero(groups.lacking(keys))
        counted = _counted(keys[rows], values[rows], joining)
        counting += int(np.count_nonzero(_counted_now(new, keys[rows], joining) < counted))
    is_full = groups.taken >= rule.full
    return Verified(
        entries=groups.added,
        there=groups.added - int(dropped.sum()) - expired - gone,
        dropped={what: int(n) for what, n in zip(_CLASSES, dropped, strict=True) if n},
        expired=expired,
        no_room=gone if is_full else 0,
        missing=0 if is_full else gone,
        counting=counting,
    )


def _read(live: BpfMap) -> Iterator[tuple[Bytes, Bytes]]:
    """All entries, part by part, at the pace that others leave to it."""
    return paced(live.read_chunks(_CHUNK), live.info.max_entries, lambda part: len(part[0]))


class _Groups:
    """The sums of the keys' hashes, by group.

    Args:
        entries: how many there may be.

    Attributes:
        added, taken: keys of either side.
    """

    def __init__(self, entries: int) -> None:
        number = min(_MOST_GROUPS, max(_LEAST_GROUPS, 1 << entries.bit_length()))
        self._shift = np.uint64(64 - (number.bit_length() - 1))
        self._sums = np.zeros(number, np.uint64)
        number = min(number, _COUNT_GROUPS)
        self._count_shift = np.uint64(64 - (number.bit_length() - 1))
        self._counts = np.zeros(number, np.uint64)
        self.added = self.taken = 0

    def add(self, keys: Bytes, counted: Counts | None = None) -> None:
        """Keys of the one side, and what is counted of each."""
        mixed = _mixed(keys)
        np.add.at(self._sums, mixed >> self._shift, mixed)
        if counted is not None:
            np.add.at(self._counts, mixed >> self._count_shift, counted)
        self.added += len(keys)

    def take(self, keys: Bytes, counted: Counts | None = None) -> None:
        """Keys of the other, and what is counted of each."""
        mixed = _mixed(keys)
        np.subtract.at(self._sums, mixed >> self._shift, mixed)
        if counted is not None:
            np.subtract.at(self._counts, mixed >> self._count_shift, counted)
        self.taken += len(keys)

    def leave(self, keys: Bytes, counted: Counts) -> None:
        """Ask for no counts of keys of the one side that are not on the other."""
        np.subtract.at(self._counts, _mixed(keys) >> self._count_shift, counted)

    @property
    def lack(self) -> bool:
        """Whether there is a group in which the other side counts less."""
        return bool((self._counts.view(np.int64) > 0).any())

    def lacking(self, keys: Bytes) -> Bools:
        """Which of these keys are in such a group."""
        lacking: Bools = self._counts.view(np.int64)[_mixed(keys) >> self._count_shift] > 0
        return lacking

    @property
    def differ(self) -> bool:
        """Whether there is a group that has not the same keys on both sides."""
        return bool(self._sums.any())

    def doubtful(self, keys: Bytes) -> Bools:
        """Which of these keys are in such a group."""
        differ: Bools = self._sums[_mixed(keys) >> self._shift] != 0
        return differ


def _mixed(keys: Bytes) -> npt.NDArray[np.uint64]:
    """A hash of each key of which sums tell as little as of random numbers."""
    mixed = hashes(keys)
    for shift, factor in _MIXING:
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def _counted(keys: Bytes, values: Bytes, joining: Joining) -> Counts:
    """The sum of each entry's counters."""
    if not joining.counters:
        return np.zeros(len(keys), np.uint64)
    words = np.ascontiguousarray(values[:, : joining.value_size // 8 * 8]).view(np.uint64)
    sums: Counts = words[:, _set_bits(joining.counters)].sum(axis=1)
    # In the entry of a service the other words are no counters.
    service: Bools = keys[:, -1] & joining.service != 0
    sums[service] = words[service][:, _set_bits(joining.service_counters)].sum(axis=1)
    return sums


def _counted_now(live: BpfMap, keys: Bytes, joining: Joining) -> Counts:
    """The same of these keys as they are in a map by now; more than any sum where one is gone."""
    sums = np.full(len(keys), np.iinfo(np.uint64).max, np.uint64)
    for row, key in enumerate(keys):
        value = live.lookup(key.tobytes())
        if value is not None:
            sums[row] = _counted(key[None], np.frombuffer(value, np.uint8)[None], joining)[0]
    return sums


def _left_behind(
    values: Bytes, joining: Joining, rule: Rule
) -> tuple[Bools, npt.NDArray[np.int64]]:
    """Which entries were to stay behind, and of which class each is; ranks as in the passes."""
    kinds = np.full(len(values), _CLASSES.index("alive"))
    left = np.zeros(len(values), np.int64)
    if joining.flags_at != NOWHERE:
        kinds[_words(values, joining.flags_at, "<u2") & joining.closing != 0] = 1
    if joining.lifetime_at != NOWHERE:
        left = np.clip(_lifetimes(values, joining) - rule.since, 0, RANK_SECONDS - 1)
        kinds[_lifetimes(values, joining) <= rule.since] = 0
    # The last bit, whether it was in use, is not seen from here.
    ranks = (kinds * RANK_SECONDS + left) * 2
    return (ranks <= rule.cut) & (rule.cut > 0), kinds


def _lifetimes(values: Bytes, joining: Joining) -> npt.NDArray[np.int64]:
    """Until when each entry lives; for ever where they have no lifetime."""
    if joining.lifetime_at == NOWHERE:
        return np.full(len(values), np.iinfo(np.int64).max)
    return _words(values, joining.lifetime_at, "<u4")


def _words(values: Bytes, offset: int, kind: str) -> npt.NDArray[np.int64]:
    size = np.dtype(kind).itemsize
    return np.ascontiguousarray(values[:, offset : offset + size]).view(kind)[:, 0].astype(np.int64)


def _set_bits(bits: int) -> list[int]:
    return [number for number in range(bits.bit_length()) if bits >> number & 1]
