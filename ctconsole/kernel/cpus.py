"""The processors of this machine: how many there may be, and which are online."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path("/sys/devices/system/cpu")


@cache
def possible_cpus() -> int:
    """How many CPUs this machine may ever have: the width of a per-CPU value."""
    return len(cpu_list((_FOLDER / "possible").read_text("ascii")))


def online_cpus() -> list[int]:
    """The CPUs that are online now, ascending."""
    return cpu_list((_FOLDER / "online").read_text("ascii"))


def cpu_list(text: str) -> list[int]:
    """The CPUs of a list as the kernel writes it: ``0-3,6``."""
    return [
        cpu
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", text)
        for cpu in range(int(first), int(last or first) + 1)
    ]
