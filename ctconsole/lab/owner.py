"""Who a lab belongs to: a process that is told apart from a later one with its number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


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
        found = _stat(pid)
        if found is None:
            raise RuntimeError("/proc is not mounted")
        return cls(pid, found[1])

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        found = _stat(self.pid)
        return found is not None and found[0] not in {"Z", "X"} and found[1] == self.start


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time of a process; None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name stands in parentheses and may hold both blanks and parentheses.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
