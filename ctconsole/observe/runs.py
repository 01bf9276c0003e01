"""Counts the runs of programs, but only while somebody looks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError
from ctconsole.handles import Closing
from ctconsole.kernel.programs import RunCounting, all_programs_now
from ctconsole.model.runs import NOT_LOOKED_AT, ProgramRuns, RunsSeen

if TYPE_CHECKING:
    from collections.abc import Callable


class RunMeter(Closing):
    """Compares two looks at what the kernel counted.

    Args:
        clock: a clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counting: RunCounting | None = None
        self._before: tuple[float, dict[int, tuple[int, int]]] | None = None

    @property
    def counting(self) -> bool:
        """Whether the kernel counts for us."""
        return self._counting is not None

    def look(self, *, wanted: bool) -> RunsSeen:
        """What ran since the look before.

        Args:
            wanted: whether somebody looks; where nobody does the counting ends.
        """
        if not wanted:
            self.close()
            return NOT_LOOKED_AT
        if self._counting is None:
            try:
                self._counting = RunCounting()
            except BpfError as error:
                return RunsSeen(why=f"runs are not counted: {error}")
        try:
            now = (self._clock(), all_programs_now())
        except BpfError as error:
            return RunsSeen(why=f"programs cannot be listed: {error}")
        before, self._before = self._before, now
        if before is None or now[0] <= before[0]:
            return RunsSeen(why="runs are counted from now on")
        seconds = now[0] - before[0]
        return RunsSeen(
            tuple(
                _between(number, before[1][number], counted, seconds)
                for number, counted in now[1].items()
                if number in before[1]
            )
        )

    def close(self) -> None:
        """Let the kernel stop counting; a later look begins anew."""
        self._before = None
        if self._counting is not None:
            self._counting.close()
            self._counting = None


def _between(
    number: int, before: tuple[int, int], now: tuple[int, int], seconds: float
) -> ProgramRuns:
    runs, nanoseconds = max(0, now[0] - before[0]), max(0, now[1] - before[1])
    return ProgramRuns(number, runs / seconds, nanoseconds / runs if runs else None)
