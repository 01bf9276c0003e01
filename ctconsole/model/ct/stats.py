"""What one sample of a conntrack table says as numbers: how much of it lives, and of what kind.

A fill ratio alone misleads: expired entries stay in the table until the garbage collector has
run, and can be most of it. So everything here is counted apart for living and dead entries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.model.ct.table import Direction, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

EDGES: Final = (0, 10, 60, 300, 1800, 7200, 21600)
"""Limits of the `Bar`s in seconds: closing, opening, minutes, hours, six hours."""

_STATES: Final = len(State)
_DIRECTIONS: Final = len(Direction)


@dataclass(frozen=True, slots=True)
class Kinds:
    """Entries by `State`; the numbers add up to ``entries``.

    Attributes:
        entries: all of them.
        alive: those whose lifetime is not over.
        expired: those that wait for the garbage collector.
        closing: alive, with a FIN or RST seen, and gone soon.
        half_closed: alive, with one seen in one direction: it may live on for hours.
        established: alive, data both ways (services: from the client).
        opening: alive, a SYN and nothing else.
        one_way: alive, packets of one direction only.
    """

    entries: int
    alive: int
    expired: int
    closing: int
    established: int
    opening: int
    one_way: int
    half_closed: int = 0

    @property
    def unanswered(self) -> int:
        """Alive, and nobody has answered yet."""
        return self.opening + self.one_way

    @classmethod
    def of_states(cls, counts: npt.NDArray[Any]) -> Kinds:
        """Take apart a count per `State` code."""
        number = [int(count) for count in counts]
        entries = sum(number)
        return cls(
            entries=entries,
            alive=entries - number[State.EXPIRED],
            expired=number[State.EXPIRED],
            closing=number[State.CLOSING],
            half_closed=number[State.HALF_CLOSED],
            established=number[State.ESTABLISHED],
            opening=number[State.OPENING],
            one_way=number[State.ONE_WAY],
        )


@dataclass(frozen=True, slots=True)
class EntryShare:
    """The entries of one protocol and direction.

    Attributes:
        protocol: IP protocol number.
        direction: which way they look.
        kinds: their numbers.
    """

    protocol: int
    direction: Direction
    kinds: Kinds


@dataclass(frozen=True, slots=True)
class Bar:
    """Entries with ``low <= seconds < high``; None for no limit on that side."""

    low: int | None
    high: int | None
    entries: int


@dataclass(frozen=True, slots=True)
class Stats:
    """One sample in numbers.

    Attributes:
        clock: whether the sample's clock was known; if not, no entry counts as expired and
            the bars are empty.
        kinds: all entries.
        shares: by protocol and direction, the largest first.
        related: entries for ICMP errors about a tracked flow, alive or not.
        left: seconds of life left; the first bar holds what has expired.
        idle: seconds since the last report of either direction, of living entries. Reports come
            every 5 seconds at most, so the numbers are that coarse (``ct_update_timeout``).
    """

    clock: bool
    kinds: Kinds
    shares: tuple[EntryShare, ...]
    related: int
    left: tuple[Bar, ...]
    idle: tuple[Bar, ...]


def stats_of(table: CtTable, before: tuple[CtTable, Stats] | None = None) -> Stats:
    """Count a sample; a few milliseconds for each 100,000 entries.

    Args:
        table: the sample.
        before: an older one and its numbers. Where it has the same arrays and the same entries
            are alive, only what depends on the time is counted again.
    """
    tally = StatsTally()
    if before is None or not table.lives_as(before[0]):
        tally.know_clock(table)
        for part in table.parts():
            tally.add(part)
        return tally.stats()
    tally.know_clock(table)
    for part in table.parts():
        tally.add_times(part)
    left, idle = tally.times()
    return replace(before[1], left=left, idle=idle)


class StatsTally:
    """Counts a sample that comes in parts."""

    def __init__(self) -> None:
        self._cube = np.zeros((256, _DIRECTIONS, _STATES), np.int64)
        self._related = 0
        self._clock = False
        self._left = np.zeros(len(EDGES) + 1, np.int64)
        self._idle = np.zeros(len(EDGES) + 1, np.int64)

    def know_clock(self, table: CtTable) -> None:
        """Take whether the clock is known from a table that may be empty."""
        self._clock |= table.has_clock

    def add(self, table: CtTable) -> None:
        """Count another part."""
        codes = table.keys["nexthdr"].astype(np.uint16)
        codes *= _DIRECTIONS
        codes += table.direction
        codes *= _STATES
        codes += table.state
        counts = np.bincount(codes, minlength=self._cube.size)
        self._cube += counts.reshape(self._cube.shape)
        self._related += int(np.count_nonzero(table.related))
        self.add_times(table)

    def add_times(self, table: CtTable) -> None:
        """Count only how long its entries have lived and will live."""
        if table.has_clock:
            self._clock = True
            # Held against limits in the table's own units: a number of seconds for each row would
            # take several times as long.
            ends = np.ascontiguousarray(table.values["lifetime"])
            self._left += _between([_before(table, ends, edge) for edge in EDGES], len(ends))
            values = table.values
            newest = np.maximum(values["last_rx_report"], values["last_tx_report"])[table.alive]
            # Idle for less than an edge is what was not there as long ago as that.
            younger = [len(newest) - _before(table, newest, 1 - edge) for edge in EDGES]
            self._idle += _between(younger, len(newest))

    def times(self) -> tuple[tuple[Bar, ...], tuple[Bar, ...]]:
        """`Stats.left` and `Stats.idle`."""
        return (_bars(self._left), _bars(self._idle)) if self._clock else ((), ())

    def stats(self) -> Stats:
        """The numbers so far."""
        left, idle = self.times()
        return Stats(
            clock=self._clock,
            kinds=Kinds.of_states(self._cube.sum((0, 1))),
            shares=_shares(self._cube),
            related=self._related,
            left=left,
            idle=idle,
        )


def _shares(cube: npt.NDArray[np.int64]) -> tuple[EntryShare, ...]:
    found = [
        EntryShare(
            int(protocol), Direction(int(direction)), Kinds.of_states(cube[protocol, direction])
        )
        for protocol, direction in np.argwhere(cube.sum(2))
    ]
    return tuple(sorted(found, key=lambda share: -share.kinds.entries))


def _before(table: CtTable, stamps: npt.NDArray[np.uint32], seconds: int) -> int:
    return int(np.count_nonzero(table.is_before(stamps, seconds)))


def _between(below: Sequence[int], every: int) -> npt.NDArray[np.int64]:
    """How many lie below the first of `EDGES`, between each two, and from the last on.

    Args:
        below: how many lie below each edge.
        every: how many there are.
    """
    return np.asarray(np.diff(below, prepend=0, append=every), np.int64)


def _bars(counts: npt.NDArray[np.int64]) -> tuple[Bar, ...]:
    limits = pairwise((None, *EDGES, None))
    return tuple(Bar(low, high, int(n)) for (low, high), n in zip(limits, counts, strict=True))
