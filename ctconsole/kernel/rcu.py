"""Waiting until no processor is still inside a program that was there before."""

from __future__ import annotations

import ctypes
import time

from ctconsole.errors import MissingFeatureError
from ctconsole.kernel.numbers import Call, number_of
from ctconsole.kernel.syscall import libc

_MEMBARRIER_CMD_GLOBAL = 1
_LONGER_THAN_ANY_PACKET = 0.1


def wait_for_readers() -> None:
    """Return after every RCU reader that runs now has left.

    BPF programs run as RCU readers, so that afterwards no packet is inside a program that was
    replaced before. ``membarrier(MEMBARRIER_CMD_GLOBAL)`` is a grace period
    (``kernel/sched/membarrier.c``, Linux 4.3); where it is refused, as with nohz_full, a tenth
    of a second takes its place.
    """
    try:
        number = number_of(Call.MEMBARRIER)
        result = libc.syscall(
            ctypes.c_long(number), ctypes.c_int(_MEMBARRIER_CMD_GLOBAL), ctypes.c_uint(0)
        )
    except MissingFeatureError:
        result = -1
    if result != 0:
        time.sleep(_LONGER_THAN_ANY_PACKET)
