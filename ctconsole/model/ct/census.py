"""A conntrack table in numbers, as the kernel counts it without handing out an entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.model.ct.layout import IpProtocol
from ctconsole.model.ct.stats import Kinds
from ctconsole.model.ct.table import Direction, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

PROTOCOLS: Final[tuple[int | None, ...]] = (
    IpProtocol.TCP,
    IpProtocol.UDP,
    IpProtocol.ICMP,
    IpProtocol.ICMPV6,
    IpProtocol.SCTP,
    None,
)
"""IP protocols that are counted apart, in the order of ``enum protocol`` of
``bpf/iter_census.bpf.c``; None: all the others together."""

SHAPE: Final = (len(PROTOCOLS), len(Direction), len(State))
"""Of `Census.cells`."""

SOON: Final = 60
"""Seconds of life left below which an entry that one side has closed is about to go."""


@dataclass(frozen=True)
class Census:
    """What one look counted.

    Attributes:
        cells: i8 of `SHAPE`: entries by protocol, `Direction` and `State`.
        related: entries for ICMP errors about a tracked flow.
        came: entries that were not there at the look before; None at the first look. What comes
            and goes between two looks is never seen.
        gone: entries of the look before that are not there any more; likewise.
        early: those of them whose lifetime was not over; likewise.
        taken_at: seconds since the Unix epoch.
        cpu_seconds: what the look cost.
    """

    cells: npt.NDArray[Any]
    related: int
    came: int | None
    gone: int | None
    early: int | None
    taken_at: float
    cpu_seconds: float

    @property
    def kinds(self) -> Kinds:
        """All entries by their state."""
        return Kinds.of_states(self.cells.sum((0, 1)))

    def shares(self) -> Iterator[tuple[int | None, Direction, Kinds]]:
        """What there is of each protocol and direction, but for those of which nothing is."""
        for protocol, direction in np.argwhere(self.cells.sum(2)):
            kinds = Kinds.of_states(self.cells[protocol, direction])
            yield PROTOCOLS[int(protocol)], Direction(int(direction)), kinds


def soon(now: int, hertz: int) -> int:
    """The latest stamp that is at most `SOON` seconds away.

    Args:
        now: the clock of the entries.
        hertz: the kernel's HZ where that counts jiffies / 256; 0 where it counts seconds.
    """
    if not hertz:
        return now + SOON
    # The largest stamp whose whole seconds are not more than these.
    return (((now << 8) // hertz + SOON + 1) * hertz - 1) >> 8
