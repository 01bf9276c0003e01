"""Processes and memory of this machine, through psutil."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel.procstat import process_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psutil

AGENT_NAMES = ("cilium-agent",)
"""What Cilium's agent is called, in a container or not."""

_INITIAL_USER_NAMESPACE = "user:[4026531837]"
"""``PROC_USER_INIT_INO`` of ``include/linux/proc_ns.h``."""

_NAME_BYTES = 15
"""How much of a program's name the kernel keeps (``TASK_COMM_LEN`` less the end)."""

_LARGEST_ENVIRONMENT = 8 << 20
"""Bytes; the kernel gives arguments and environment together 6 MiB (``fs/exec.c``)."""


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
class MachineMemory:
    """What the machine has, in bytes.

    Attributes:
        total: physical memory.
        available: what can be had without swapping.
    """

    total: int
    available: int


def memory() -> MachineMemory:
    """Free memory now, for changes that need room for an old and a new map."""
    import psutil

    now = psutil.virtual_memory()
    return MachineMemory(total=now.total, available=now.available)


def resident() -> int:
    """Bytes of memory that this process has; 0 where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


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
    """Every process of one of these names, oldest first; anybody may call one so."""
    wanted = {name.encode()[:_NAME_BYTES] for name in names}
    found = [find(pid) for pid in _pids() if _name(pid) in wanted]
    return sorted(filter(None, found), key=lambda process: process.ticks)


def _pids() -> Iterator[int]:
    with os.scandir("/proc") as entries:
        yield from (int(entry.name) for entry in entries if entry.name.isdigit())


def _name(pid: int) -> bytes:
    """What a process is called, without all that psutil learns of it first; empty once gone."""
    try:
        fd = os.open(f"/proc/{pid}/comm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _NAME_BYTES + 1).removesuffix(b"\n")
    except OSError:
        return b""
    finally:
        os.close(fd)


def agents() -> list[Process]:
    """Processes that are called like Cilium's agent and are root's, oldest first.

    A name is free for all, and what an agent says of itself is believed: only who is root in the
    initial user namespace, or in ours, by all four of its ids, can be one. The real id is what a
    program that runs as root for another keeps of its caller.
    """
    return [process for process in named(*AGENT_NAMES) if _is_roots(process.pid)]


def _is_roots(pid: int) -> bool:
    """Whether a process is root's; False when it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
        ids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        if set(ids) != {"0"}:
            return False
        theirs, ours = (str(Path(f"/proc/{one}/ns/user").readlink()) for one in (pid, "self"))
    except PermissionError:
        # Who may not look at it takes the kernel's word for the ids, which it gives in our terms.
        return True
    except (OSError, StopIteration):
        return False
    return theirs in {_INITIAL_USER_NAMESPACE, ours}


def held_maps(pid: int) -> frozenset[int]:
    """Kernel ids of the maps a process has open; none where it may not be looked at, or is gone."""
    found = set()
    try:
        with os.scandir(f"/proc/{pid}/fdinfo") as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return frozenset()
    for name in names:
        try:
            text = Path(f"/proc/{pid}/fdinfo/{name}").read_text("ascii", "replace")
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("map_id:"):
                found.add(int(line.partition(":")[2]))
    return frozenset(found)


def environment(pid: int) -> dict[str, str]:
    """The variables a process was started with; none where they may not be read."""
    try:
        with Path(f"/proc/{pid}/environ").open("rb") as file:
            raw = file.read(_LARGEST_ENVIRONMENT)
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
