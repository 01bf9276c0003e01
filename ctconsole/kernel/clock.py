"""The two clocks a conntrack table may count its lifetimes in (``bpf_mono_now()``)."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import MissingFeatureError, bpf_error
from ctconsole.model.ct.clock import Moment

if TYPE_CHECKING:
    from ctconsole.model.ct.clock import ClockSource

_JIFFIES = (
    (Path("/proc/schedstat"), "timestamp "),
    (Path("/proc/timer_list"), "jiffies: "),
)

_OFFSETS = Path("/proc/self/timens_offsets")
_SECOND = 10**9

JIFFIES_SHIFT = 8
"""Cilium stores ``jiffies >> 8`` where it uses jiffies (``bpf/lib/mono.h``)."""

USUAL_HERTZ = (100, 250, 300, 1000)
"""What CONFIG_HZ may be (``kernel/Kconfig.hz``)."""


def ktime() -> int:
    """CLOCK_MONOTONIC of the machine, whole seconds: what ``bpf_ktime_get_ns() / 10**9`` gives.

    A process in a time namespace (Linux 5.6) has a monotonic clock of its own; programs have
    not.
    """
    shift, _ = _shifts()
    return (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - shift) // _SECOND


def booted() -> float:
    """When this machine started, in seconds since the Unix epoch by its clock of now."""
    _, shift = _shifts()
    return time.time() - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - shift) / _SECOND


@cache
def _shifts() -> tuple[int, int]:
    """By how many nanoseconds this process's time namespace shifts its two clocks.

    They are fixed once a process is in it (time_namespaces(7)).

    Returns:
        Of CLOCK_MONOTONIC and of CLOCK_BOOTTIME; 0 on a kernel without time namespaces.
    """
    try:
        text = _OFFSETS.read_text("ascii")
    except OSError:
        return 0, 0
    found = {name: (seconds, ns) for name, seconds, ns in map(str.split, text.splitlines())}
    return _nanoseconds(found.get("monotonic")), _nanoseconds(found.get("boottime"))


def _nanoseconds(offset: tuple[str, str] | None) -> int:
    return int(offset[0]) * _SECOND + int(offset[1]) if offset else 0


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


def moment(clock: ClockSource) -> Moment:
    """Now, by the clock that a node's entries are stamped with and by the others.

    Raises:
        MissingFeatureError: the node counts jiffies and this kernel does not tell them.
    """
    counted = ct_now(clock) if clock.uses_jiffies else 0
    return Moment(ktime(), counted, clock.stamp_hertz, time.time())


def measured_hertz(seconds: float = 0.1, most: float = 2.0) -> int | None:
    """The kernel's HZ, by watching jiffies go by; None where it is none of the usual ones.

    On a machine under load time passes between a look at the one clock and a look at the other.
    So each look at the jiffies lies between two at the time, and where more than one of the usual
    numbers fits between the rates that these allow, it is watched twice as long.

    Args:
        seconds: how long it is watched first.
        most: the longest that one attempt watches.

    Raises:
        MissingFeatureError: the kernel does not tell its jiffies.
    """
    while seconds <= most:
        slowest, fastest = _rates(seconds)
        fitting = [hertz for hertz in USUAL_HERTZ if slowest <= hertz <= fastest]
        if not fitting[1:]:
            return fitting[0] if fitting else None
        seconds *= 2
    return None


def _rates(seconds: float) -> tuple[float, float]:
    """The slowest and the fastest that jiffies may have gone by, a second."""
    first, before, second = time.monotonic(), jiffies(), time.monotonic()
    time.sleep(seconds)
    third, after, fourth = time.monotonic(), jiffies(), time.monotonic()
    passed = after - before
    return (passed - 1) / (fourth - first), (passed + 1) / (third - second)


def boot_id() -> str:
    """The random id of this boot: kernel ids and CT lifetimes mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
