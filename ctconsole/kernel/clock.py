"""The two clocks a conntrack table may count its lifetimes in (``bpf_mono_now()``)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import MissingFeatureError, bpf_error

if TYPE_CHECKING:
    from ctconsole.model.ct.clock import ClockSource

_JIFFIES = (
    (Path("/proc/schedstat"), "timestamp "),
    (Path("/proc/timer_list"), "jiffies: "),
)

JIFFIES_SHIFT = 8
"""Cilium stores ``jiffies >> 8`` where it uses jiffies (``bpf/lib/mono.h``)."""

USUAL_HERTZ = (100, 250, 300, 1000)
"""What CONFIG_HZ may be (``kernel/Kconfig.hz``)."""


def ktime() -> int:
    """CLOCK_MONOTONIC, whole seconds: what ``bpf_ktime_get_ns() / 10**9`` gives a program."""
    return int(time.clock_gettime(time.CLOCK_MONOTONIC))


def jiffies() -> int:
    """The kernel's 64-bit jiffies now.

    From /proc/schedstat (``timestamp N``), as Cilium 1.18 does, else from /proc/timer_list
    (``jiffies: N``), as Cilium 1.9 does (``pkg/maps/timestamp``).

    Raises:
        MissingFeatureError: the kernel was built with neither.
        DeniedError: /proc/timer_list is for root.
    """
    for path, word in _JIFFIES:
        try:
            with path.open(encoding="ascii") as lines:
                for line in lines:
                    if line.startswith(word):
                        return int(line.split()[1])
        except FileNotFoundError:
            continue
        except PermissionError as error:
            raise bpf_error(error.errno or 0, "read", str(path)) from error
    raise MissingFeatureError(
        "This kernel does not tell its jiffies",
        hint="It needs CONFIG_SCHEDSTATS or CONFIG_PROC_FS with /proc/timer_list",
    )


def ct_now(clock: ClockSource) -> int:
    """Now in the units CT lifetimes are stored in.

    Raises:
        MissingFeatureError: the node counts jiffies and this kernel does not tell them.
    """
    return jiffies() >> JIFFIES_SHIFT if clock.uses_jiffies else ktime()


def ct_seconds(stored: int, hertz: int) -> int:
    """Seconds of a time stored in jiffies: ``(t << 8) / HZ``."""
    return (stored << JIFFIES_SHIFT) // hertz


def measured_hertz(seconds: float = 0.1) -> int | None:
    """The kernel's HZ, by watching jiffies go by; None where it is none of the usual ones.

    Raises:
        MissingFeatureError: the kernel does not tell its jiffies.
    """
    before, started = jiffies(), time.monotonic()
    time.sleep(seconds)
    after, ended = jiffies(), time.monotonic()
    rate = (after - before) / (ended - started)
    nearest = min(USUAL_HERTZ, key=lambda hertz: abs(hertz - rate))
    return nearest if abs(nearest - rate) <= nearest / 10 else None


def boot_id() -> str:
    """The random id of this boot: kernel ids and CT lifetimes mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
