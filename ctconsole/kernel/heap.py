"""What the C library does with memory that Python gives back."""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""``malloc.h`` of glibc."""

_LARGE: Final = 256 << 10
_LARGEST: Final = 64 << 20
_KEPT: Final = 256 << 20


def give_back_freed_memory() -> None:
    """Have every large buffer given back to the kernel as soon as it is freed.

    For a process that runs for hours: glibc takes buffers of sizes that were freed before from
    heaps that it keeps, one for each thread, and these grow to what each thread's largest moment
    needed. Here all threads share one: they take turns anyway.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGE)
        libc.mallopt(_M_ARENA_MAX, 1)


def keep_freed_memory() -> None:
    """Have freed memory used again instead of given back to the kernel.

    For a process that makes buffers of the same sizes over and over and then ends: every one would
    be faulted in anew, page by page. Another C library than glibc has its own ways; it is let be.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    for parameter, size in (
        (_M_MMAP_THRESHOLD, _LARGEST),
        (_M_TRIM_THRESHOLD, _KEPT),
        (_M_TOP_PAD, 4 << 20),
    ):
        libc.mallopt(parameter, size)
