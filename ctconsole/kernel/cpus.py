"""The processors of this machine: how many there may be, and which are online."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from ctconsole.errors import MissingFeatureError

_FOLDER = Path("/sys/devices/system/cpu")


@cache
def possible_cpus() -> int:
    """How many CPUs this machine may ever have: the width of a per-CPU value.

    Raises:
        MissingFeatureError: /sys does not tell, as in a chroot of which it is no part.
    """
    return len(_listed("possible"))


def online_cpus() -> list[int]:
    """The CPUs that are online now, ascending.

    Raises:
        MissingFeatureError: likewise.
    """
    return _listed("online")


def _listed(name: str) -> list[int]:
    path = _FOLDER / name
    try:
        return cpu_list(path.read_text("ascii"))
    except OSError as error:
        raise MissingFeatureError(
            f"{path} cannot be read, and so it is not known how many CPUs there are: "
            f"{error.strerror}",
            hint="Mount sysfs at /sys",
        ) from error


def cpu_list(text: str) -> list[int]:
    """The CPUs of a list as the kernel writes it: ``0-3,6``."""
    return [
        cpu
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", text)
        for cpu in range(int(first), int(last or first) + 1)
    ]
