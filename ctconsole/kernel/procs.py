"""Processes and memory of this machine, through psutil."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel.procstat import process_state

if TYPE_CHECKING:
    import psutil

AGENT_NAMES = ("cilium-agent",)
"""What Cilium's agent is called, in a container or not."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    Attributes:
        pid: in this process's pid namespace.
        name: the program's name, at most 15 characters of it.
        argv: program and arguments; empty where they may not be read.
        ticks: when it started, in clock ticks since boot; with ``pid`` this is who it is.
        started: the same in seconds since the Unix epoch, which the clock's adjustments shift
            by up to a second between two readings.
    """

    pid: int
    name: str
    argv: tuple[str, ...]
    ticks: int
    started: float = field(compare=False)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the machine has, in bytes.

    Attributes:
        total: physical memory.
        available: what can be had without swapping.
    """

    total: int
    available: int


def memory() -> Memory:
    """Free memory now, for changes that need room for an old and a new map."""
    import psutil

    now = psutil.virtual_memory()
    return Memory(total=now.total, available=now.available)


def find(pid: int) -> Process | None:
    """The process of this id, None where there is none (any more)."""
    import psutil

    try:
        return _process(psutil.Process(pid))
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def is_same(process: Process) -> bool:
    """Whether the process still runs; another one that got its pid does not count."""
    now = find(process.pid)
    return now is not None and now.ticks == process.ticks


def named(*names: str) -> list[Process]:
    """Every process of one of these names, oldest first; `AGENT_NAMES` finds Cilium's agents."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.name() in names:
                found.append(_process(process))
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            continue
    return sorted(found, key=lambda process: process.ticks)


def environment(pid: int) -> dict[str, str]:
    """The variables a process was started with; none where they may not be read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.decode("utf-8", "replace").partition("=") for entry in raw.split(b"\0"))
    return {name: value for name, equals, value in pairs if equals}


def own() -> Process:
    """This process."""
    process = find(os.getpid())
    assert process is not None, "a process that asks exists"  # noqa: S101 - cannot be otherwise
    return process


def _process(process: psutil.Process) -> Process:
    import psutil

    with process.oneshot():
        try:
            argv = tuple(process.cmdline())
        except psutil.AccessDenied:
            argv = ()
        return Process(
            pid=process.pid,
            name=process.name(),
            argv=argv,
            ticks=_start_ticks(process.pid),
            started=process.create_time(),
        )


def _start_ticks(pid: int) -> int:
    state = process_state(pid)
    if state is None:
        raise ProcessLookupError(pid)
    return state.start
