"""What the stamps of entries count: telling it from the entries, and the two clocks' numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ClockSource:
    """What the datapath's clock counts (``bpf/lib/mono.h``).

    Attributes:
        mode: ``ktime`` (CLOCK_MONOTONIC seconds) or ``jiffies`` (jiffies / 256).
        hertz: the kernel's HZ; 0 where not told, which matters for jiffies only.
    """

    mode: str
    hertz: int = 0

    @property
    def uses_jiffies(self) -> bool:
        """Whether stored times are jiffies shifted right by 8."""
        return self.mode == "jiffies"

    @property
    def stamp_hertz(self) -> int:
        """HZ where stamps are jiffies, 0 where they are seconds; see `CtTable`."""
        return self.hertz if self.uses_jiffies else 0


KTIME: Final = ClockSource("ktime")
"""What agents count by default."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by the clocks of a node, as far as they are known.

    Attributes:
        seconds: CLOCK_MONOTONIC, whole seconds; 0 where unknown.
        jiffies: jiffies / 256 where entries are stamped with these, else 0.
        hertz: the kernel's HZ where entries are stamped with jiffies, else 0.
        taken_at: seconds since the Unix epoch; 0 where unknown.
        least: the newest stamp that was found, before which the moment cannot lie; for where
            nothing else tells.
    """

    seconds: int = 0
    jiffies: int = 0
    hertz: int = 0
    taken_at: float = 0.0
    least: int = 0

    @property
    def stamp(self) -> int:
        """The moment in the units that conntrack entries are stamped in; 0 where unknown."""
        return self.jiffies or self.seconds


UNKNOWN: Final = Moment()
"""Where nothing tells the time."""

LONGEST_LIFE: Final = 21600
"""Seconds an entry lives at most by default: service and regular TCP of 1.9 (``ct_timeout``)."""

LONGEST_DEAD: Final = 43200
"""Seconds the collector may leave an entry lying: its longest interval."""

_MOST: Final = 0.9
_EARLY: Final = 300
"""Seconds before its overflow as a 32-bit number at which jiffies start (``INITIAL_JIFFIES``)."""


def jiffies_at(ktime: float, hertz: int) -> int:
    """Jiffies / 256 at a moment of CLOCK_MONOTONIC, right to a unit or two.

    Args:
        ktime: seconds.
        hertz: the kernel's HZ.
    """
    return int((1 << 32) + (ktime - _EARLY) * hertz) >> 8


def guess_clock(lifetimes: npt.NDArray[np.uint32], ktime: int, jiffies: int) -> str | None:
    """``ktime``, ``jiffies``, or None where the entries do not decide.

    Lifetimes lie around now: up to `LONGEST_LIFE` ahead, and behind by what the collector left.
    The two clocks are far apart but for a few days of a node's life: jiffies start at minus five
    minutes as a 32-bit number, so that their high part begins near 16.7 million.

    Args:
        lifetimes: stored numbers, u4.
        ktime: CLOCK_MONOTONIC seconds now.
        jiffies: jiffies / 256 now; a unit is up to 2.56 s and at least 0.256 s.
    """
    # Whoever only names a clock does without numpy, which takes long to load.
    import numpy as np

    if not len(lifetimes):
        return None
    stored = lifetimes.astype(np.int64)

    def share(now: int, scale: float) -> float:
        near = stored >= now - LONGEST_DEAD * scale
        near &= stored <= now + LONGEST_LIFE * scale
        return float(np.count_nonzero(near)) / len(stored)

    # A second is at most four units (1000 Hz), so this window holds every HZ.
    by_ktime, by_jiffies = share(ktime, 1.0), share(jiffies, 4.0)
    if by_ktime >= _MOST and by_jiffies < 1 - _MOST:
        return "ktime"
    if by_jiffies >= _MOST and by_ktime < 1 - _MOST:
        return "jiffies"
    return None
