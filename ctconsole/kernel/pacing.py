"""How fast work goes that may wait: with the CPU time that nobody else wants.

Work is done in slices. Between two of them this tells how long to pause, so that the work takes
what the machine's CPUs have idle, and a small share of them where they have nothing. The
scheduler's own means do not replace that: SCHED_IDLE gets nothing at all where no CPU is idle, and
to stay on the idlest CPU gains nothing beyond the noise of 20 % (50 windows each, beside a stream
and beside requests, at load 25).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_T = TypeVar("_T")

SLICE: Final = 0.004
"""Seconds of one slice: what others wait for at the most, about what the scheduler gives to one
before the next. After each pause the processor's caches are filled anew: with slices of a
millisecond the same work takes more CPU (500,000 entries: 0.49 to 0.70 s against 0.34 to 0.47)."""

LEAST: Final = 0.03
"""The share of all CPUs that the work takes where none of them is idle: what cannot go at a pace,
as the making of a map, takes some as well, and others shall keep 95 % together."""

LONGEST: Final = 60.0
"""Seconds that one piece of work may be drawn out to; a larger one takes a larger share."""

_RESERVE: Final = 0.1
"""CPUs that are left idle: who is not idle all the time may want a moment more."""

_LOOK: Final = 0.05
"""Seconds between two looks at how idle the CPUs are: they are counted in hundredths."""


class Restraint:
    """How far one piece of work holds back.

    Args:
        steps: how much work there is, in whatever it is counted.
        cpus: CPUs of the machine.
    """

    def __init__(self, steps: int, cpus: int | None = None) -> None:
        self._steps = steps
        self._cpus = cpus or os.cpu_count() or 1
        self._began = self._looked = time.monotonic()
        self._idle = idle_seconds()
        self._used = self._used_before = 0.0
        # Until there is a look at the others.
        self._share = LEAST * self._cpus

    def pause(self, used: float, done: int) -> float:
        """Seconds to wait before the next slice.

        Args:
            used: CPU seconds of the slice that is over.
            done: steps that are done by now.
        """
        self._used += used
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            idle = idle_seconds()
            self._adapt(
                (idle - self._idle) / (now - self._looked),
                (self._used - self._used_before) / (now - self._looked),
                max(LEAST * self._cpus, self._needed(now, done)),
            )
            self._idle, self._looked, self._used_before = idle, now, self._used
        return used * (1 / self._share - 1)

    def _adapt(self, idle: float, ours: float, least: float) -> None:
        """Take what was idle, and what was ours already where something was."""
        self._share = min(1.0, max(least, ours + idle - _RESERVE if idle > _RESERVE else 0.0))

    def _needed(self, now: float, done: int) -> float:
        """CPUs that it takes to be through in time."""
        if not done:
            return 0.0
        left = self._used / done * (self._steps - done)
        return left / max(left, LONGEST - (now - self._began), 1e-9)

    def rest(self, used: float, done: int) -> None:
        """Let others have the CPU before the next slice; see `pause`."""
        pause = self.pause(used, done)
        if pause > 0:
            time.sleep(pause)
        else:
            os.sched_yield()


def paced(parts: Iterable[_T], steps: int, size: Callable[[_T], int]) -> Iterator[_T]:
    """Parts of some work one after the other, as far apart as others want the CPU.

    Args:
        parts: what is worked on; to get one may take time as well.
        steps: how much there is, about, in whatever it is counted.
        size: how much of it a part is.
    """
    restraint, done, before = Restraint(steps), 0, time.thread_time()
    for part in parts:
        yield part
        done += size(part)
        restraint.rest(time.thread_time() - before, done)
        before = time.thread_time()


def idle_seconds() -> float:
    """Seconds that the machine's CPUs were idle since boot, all together."""
    fields = Path("/proc/stat").read_text("ascii").partition("\n")[0].split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
