"""Who a lab belongs to: a process that is told apart from a later one with its number."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ctconsole.kernel.procstat import process_state


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, identified for as long as the machine runs.

    Attributes:
        pid: process id.
        start: when it started, in clock ticks since boot (field 22 of ``/proc/PID/stat``).
    """

    pid: int
    start: int

    @classmethod
    def me(cls) -> Owner:
        """The calling process."""
        pid = os.getpid()
        found = process_state(pid)
        if found is None:
            raise RuntimeError("/proc is not mounted")
        return cls(pid, found.start)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        found = process_state(self.pid)
        return found is not None and found.letter not in {"Z", "X"} and found.start == self.start
