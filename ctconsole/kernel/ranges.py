"""Reading a hash map on several cores: ranges of its buckets at once, handed over in order.

A walk waits for memory most of the time, because the entries of a bucket lie anywhere, and the
interpreter is free meanwhile. So two walks beside each other take half as long. What comes is what
one walk would give: every bucket once, one after the other.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from itertools import islice
from math import isqrt
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.kernel.walk import BatchWalk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.errors import BpfError
    from ctconsole.kernel.walk import Bytes
    from ctconsole.model.spec import MapInfo

    Part: TypeAlias = tuple[Bytes, Bytes]

_MOST_READERS: Final = 2
"""More would take more of a node's cores from its traffic."""

_AHEAD: Final = 4
"""Ranges that are being read or wait for whoever takes them."""

_WORTH: Final = 4
"""Ranges from which on threads are worth their start."""

_SINGLY: Final = 16
"""Fewer entries than this before the end of a range are read bucket by bucket."""

_DEVIATIONS: Final = 3
"""By how many standard deviations a read stays below the entries expected before the end."""


class Range(NamedTuple):
    """What was read of a range, and what broke the reading off."""

    parts: list[Part]
    failure: BpfError | None


@dataclass(frozen=True, slots=True)
class Ranges:
    """The buckets of a hash map behind those that have been read, in ranges.

    Args:
        fd: the map, whose type has batch lookup.
        info: its facts.
        subject: the map, for messages.
        density: entries of a bucket, as those read so far have them; more than 0.
        rows: entries that a range is to have.
    """

    fd: int
    info: MapInfo
    subject: str
    density: float
    rows: int

    def read(self, first: int) -> Iterator[Part]:
        """Read from the bucket ``first`` to the end.

        Raises:
            BpfError: the walk broke off; what was read before it has been handed over.
        """
        # A hash table has the next power of two of buckets (kernel/bpf/hashtab.c). The last range
        # goes on to the end wherever that is.
        buckets = 1 << (self.info.max_entries - 1).bit_length()
        step = max(1, int(self.rows / self.density))
        starts = range(first, max(buckets, first + 1), step)
        jobs = ((start, start + step if start + step < buckets else None) for start in starts)
        one_by_one = len(starts) < _WORTH
        ranges = (self._range(*job) for job in jobs) if one_by_one else self._beside(jobs)
        for one in ranges:
            yield from one.parts
            if one.failure is not None:
                raise one.failure

    def _beside(self, jobs: Iterator[tuple[int, int | None]]) -> Iterator[Range]:
        # Imported late: it takes longer than reading a small table.
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(min(_MOST_READERS, len(os.sched_getaffinity(0))))
        try:
            waiting = deque(pool.submit(self._range, *job) for job in islice(jobs, _AHEAD))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(self._range, *job) for job in islice(jobs, 1))
        finally:
            pool.shutdown(cancel_futures=True)

    def _range(self, start: int, end: int | None) -> Range:
        """Read the buckets from ``start`` to before ``end``, to the last where that is None."""
        walk = self._walk(start)
        parts = []
        room = self.rows + self.rows // 8
        while not walk.done and (end is None or walk.bucket < end):
            place = self._place(room)
            filled = self._fill(walk, start, end, place)
            if filled:
                parts.append((place.keys[:filled], place.values[:filled]))
            else:
                room *= 2
        return Range(parts, walk.failure)

    def _walk(self, start: int) -> BatchWalk:
        walk = BatchWalk(self.fd, self.info.key_size, self.subject)
        walk.go_to(start)
        return walk

    def _place(self, room: int) -> _Place:
        keys = np.empty((room, self.info.key_size), np.uint8)
        return _Place(keys, np.empty((room, self.info.value_size), np.uint8), 0)

    def _fill(self, walk: BatchWalk, start: int, end: int | None, place: _Place) -> int:
        """Read until the range ends or the next bucket does not fit; how many rows came."""
        filled = 0
        while not walk.done and (end is None or walk.bucket < end):
            free = place.from_row(filled)
            if end is None:
                count = walk.into(*free.addresses, free.room) if free.room else None
            else:
                count = self._before(walk, start, end, free)
            if count is None:
                break
            filled += count
        return filled

    def _before(self, walk: BatchWalk, start: int, end: int, place: _Place) -> int | None:
        """Read some of the buckets before ``end``; None where the next one does not fit.

        The kernel takes buckets as long as they fit and knows of no end. So less is asked for than
        is expected before it, and what went past it is read again by halves.
        """
        here = walk.bucket
        expected = int((end - here) * self.density)
        room = min(place.room, expected - _DEVIATIONS * isqrt(expected))
        while room >= _SINGLY:
            count = walk.into(*place.addresses, room)
            if count is None:
                break
            if walk.failure is not None or (not walk.done and walk.bucket <= end):
                return count
            walk.go_to(here)
            room //= 2
        count = _one_bucket(walk, place)
        # Where a read ended is a bucket that holds something; where the range starts need not be.
        if count and here == start and self._is_past(end, place.keys[place.row :][:count]):
            walk.done = True
            return 0
        return count

    def _is_past(self, end: int, keys: Bytes) -> bool:
        """Whether these are keys of the first bucket from ``end`` on that holds any."""
        place = self._place(len(keys))
        count = _one_bucket(self._walk(end), place) or 0
        there = {key.tobytes() for key in place.keys[:count]}
        return any(key.tobytes() in there for key in keys)


def _one_bucket(walk: BatchWalk, place: _Place) -> int | None:
    """Read the next bucket that holds anything, alone; None where it does not fit."""
    # With room for exactly one bucket none of those behind it can come too.
    for room in range(1, place.room + 1):
        count = walk.into(*place.addresses, room)
        if count is not None:
            return count
    return None


class _Place(NamedTuple):
    """Buffers, and the row from which on they are free."""

    keys: Bytes
    values: Bytes
    row: int

    def from_row(self, row: int) -> _Place:
        """The same buffers, so many rows of which are taken."""
        return _Place(self.keys, self.values, row)

    @property
    def addresses(self) -> tuple[int, int]:
        """Of the first free row."""
        return (
            self.keys.ctypes.data + self.row * self.keys.strides[0],
            self.values.ctypes.data + self.row * self.values.strides[0],
        )

    @property
    def room(self) -> int:
        """Rows that are free."""
        return len(self.keys) - self.row
