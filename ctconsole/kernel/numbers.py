"""Numbers of the system calls that the C library has no function for, by machine.

They are those of ``arch/*/kernel/syscalls/*.tbl`` and ``include/uapi/asm-generic/unistd.h``
(Linux 6.18); a machine that is not named here has never been looked up.
"""

from __future__ import annotations

import platform
from enum import Enum

from ctconsole.errors import MissingFeatureError


class Call(Enum):
    """A system call, by its name."""

    BPF = "bpf"
    PERF_EVENT_OPEN = "perf_event_open"
    MEMBARRIER = "membarrier"


_GENERIC = {Call.BPF: 280, Call.PERF_EVENT_OPEN: 241, Call.MEMBARRIER: 283}

NUMBERS = {
    "x86_64": {Call.BPF: 321, Call.PERF_EVENT_OPEN: 298, Call.MEMBARRIER: 324},
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "loongarch64": _GENERIC,
    "ppc64le": {Call.BPF: 361, Call.PERF_EVENT_OPEN: 319, Call.MEMBARRIER: 365},
    "s390x": {Call.BPF: 351, Call.PERF_EVENT_OPEN: 331, Call.MEMBARRIER: 356},
}
"""By ``uname -m``."""


def number_of(call: Call, machine: str = "") -> int:
    """The number of a system call.

    Args:
        call: which one.
        machine: as ``uname -m`` gives it; empty for this machine.

    Raises:
        MissingFeatureError: the machine's numbers are not known.
    """
    machine = machine or platform.machine()
    if machine not in NUMBERS:
        raise MissingFeatureError(
            f"The number of the {call.value} system call on {machine} is not known",
            hint="Run on " + ", ".join(NUMBERS),
        )
    return NUMBERS[machine][call]
