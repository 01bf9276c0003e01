"""The two clocks a conntrack table may count its lifetimes in (``bpf_mono_now()``)."""

from __future__ import annotations

import time
from pathlib import Path

from ctconsole.errors import MissingFeatureError

JIFFIES_SHIFT = 8
"""Cilium stores ``jiffies >> 8`` where it uses jiffies (``bpf/lib/mono.h``)."""


def ktime() -> int:
    """CLOCK_MONOTONIC, whole seconds: what ``bpf_ktime_get_ns() / 10**9`` gives a program."""
    return int(time.clock_gettime(time.CLOCK_MONOTONIC))


def jiffies() -> int:
    """The kernel's 64-bit jiffies now, from /proc/schedstat.

    Raises:
        MissingFeatureError: the kernel was built without scheduler statistics.
    """
    try:
        with Path("/proc/schedstat").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith("timestamp "):
                    return int(line.split()[1])
    except OSError as error:
        raise _no_jiffies() from error
    raise _no_jiffies()


def ct_seconds(stored: int, hertz: int) -> int:
    """Seconds of a time stored in jiffies: ``(t << 8) / HZ``."""
    return (stored << JIFFIES_SHIFT) // hertz


def boot_id() -> str:
    """The random id of this boot: kernel ids and CT lifetimes mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def _no_jiffies() -> MissingFeatureError:
    return MissingFeatureError(
        "This kernel does not tell its jiffies in /proc/schedstat",
        hint="Boot a kernel with CONFIG_SCHEDSTATS",
    )
