"""What ``/proc/PID/stat`` tells: whether a process runs, since when, and what it has done."""

from __future__ import annotations

import os
import threading
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


class ProcessUse(NamedTuple):
    """What a process has used and holds.

    Attributes:
        start: when it started, in clock ticks since boot.
        cpu_seconds: of all its threads since then.
        memory: bytes resident.
        threads: how many it has.
    """

    start: int
    cpu_seconds: float
    memory: int
    threads: int


def process_use(pid: int) -> ProcessUse | None:
    """What a process uses (fields 14, 15, 20, 22 and 24 of proc(5)); None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ProcessUse(
        start=int(fields[19]),
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        memory=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        threads=int(fields[17]),
    )


class ThreadUse(NamedTuple):
    """One thread of this process.

    Attributes:
        name: what it is called: by us, else by the kernel in at most 15 characters.
        cpu_seconds: it has used since it began.
    """

    name: str
    cpu_seconds: float


def own_threads() -> list[ThreadUse]:
    """The threads of this process, those that used most first."""
    found = []
    # The kernel calls them all as the process.
    named = {thread.native_id: thread.name for thread in threading.enumerate()}
    for folder in Path("/proc/self/task").iterdir():
        try:
            text = (folder / "stat").read_text("utf-8", "replace")
        except OSError:
            continue
        head, _, rest = text.rpartition(")")
        fields = rest.split()
        ticks = int(fields[11]) + int(fields[12])
        name = named.get(int(folder.name)) or head.partition("(")[2]
        found.append(ThreadUse(name, ticks / os.sysconf("SC_CLK_TCK")))
    return sorted(found, key=lambda one: (-one.cpu_seconds, one.name))
