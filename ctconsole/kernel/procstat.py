"""What ``/proc/PID/stat`` tells: whether a process runs, since when, and what it has done."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class ProcessState(NamedTuple):
    """State and start of a process.

    Attributes:
        letter: its state, ``R`` of one that runs or waits for a CPU, ``Z`` and ``X`` of one that
            has ended.
        start: when it started, in clock ticks since boot; with its id this is who it is.
        used: the CPU time of all its threads, in clock ticks.
    """

    letter: str
    start: int
    used: int


def process_state(pid: int) -> ProcessState | None:
    """State of a process (fields 3, 22, 14 and 15 of proc(5)); None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name stands in parentheses and may hold both blanks and parentheses.
    fields = text.rpartition(")")[2].split()
    return ProcessState(fields[0], int(fields[19]), int(fields[11]) + int(fields[12]))
