"""How much memory a new map can have: what the machine has free, and what a cgroup still allows.

A map is charged to the memory cgroup of whoever makes it, which in a container has a limit that
the machine's free memory says nothing about: at the limit a map is refused (ENOMEM).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel.mounts import mounted
from ctconsole.kernel.procs import memory

if TYPE_CHECKING:
    from collections.abc import Iterator

_CGROUPS = Path("/proc/self/cgroup")
_NO_LIMIT = 1 << 60
"""A first-generation cgroup without a limit has the largest number of whole pages."""


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """What can be had now.

    Attributes:
        free: bytes; the least of what the machine and each cgroup above this process allow.
        limit: the cgroup that sets the bound (``the cgroup /kubepods/...``), empty where it is
            the machine.
    """

    free: int
    limit: str


def free_memory() -> FreeMemory:
    """What a new map made by this process can have."""
    found = [FreeMemory(memory().available, ""), *_allowed()]
    return min(found, key=lambda one: one.free)


def _allowed() -> Iterator[FreeMemory]:
    """What each memory cgroup from this process's up to the root still allows."""
    try:
        lines = _CGROUPS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            files, kind = ("memory.max", "memory.current"), "cgroup2"
        elif "memory" in controllers.split(","):
            files, kind = ("memory.limit_in_bytes", "memory.usage_in_bytes"), "cgroup"
        else:
            continue
        for root in mounted(kind):
            yield from _up(root, path, files)


def _up(root: Path, path: str, files: tuple[str, str]) -> Iterator[FreeMemory]:
    """One hierarchy. In a container its mount may begin at the container's own cgroup."""
    place = root / path.lstrip("/")
    while True:
        limit, used = (_number(place / name) for name in files)
        if limit is not None and used is not None and limit < _NO_LIMIT:
            name = place.relative_to(root).as_posix()
            free = max(0, limit - used + _reclaimable(place))
            yield FreeMemory(free, f"the cgroup /{name}" if name != "." else "the cgroup")
        if place == root:
            return
        place = place.parent


def _reclaimable(place: Path) -> int:
    """Bytes charged for files that the kernel lets go of before it refuses anybody."""
    try:
        words = (place / "memory.stat").read_text("ascii").split()
    except (OSError, UnicodeDecodeError):
        return 0
    stats = dict(zip(words[::2], words[1::2], strict=False))
    text = stats.get("total_inactive_file") or stats.get("inactive_file") or "0"
    return int(text) if text.isdigit() else 0


def _number(file: Path) -> int | None:
    """The number in a file; None where it is ``max`` or not there."""
    try:
        text = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None
