"""Words of memory that the kernel and this process change without a lock.

Whoever reads what the other side wrote must see the word first and the data after it, and must
have read the data before it says so. x86 and s390x keep that order by themselves; all other
machines need an acquiring load and a releasing store, which Python has not: they are those of
libatomic, the library of gcc and clang.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import TYPE_CHECKING, Protocol

from ctconsole.errors import MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARY = "libatomic.so.1"

_ORDERED = frozenset({"x86_64", "s390x"})
"""Machines that reorder no load with an earlier load, and no store with an earlier load."""

_ACQUIRE, _RELEASE = 2, 3
"""``__ATOMIC_ACQUIRE`` and ``__ATOMIC_RELEASE``."""


class Word64(Protocol):
    """64 bits at an address that must stay valid."""

    def load(self) -> int:
        """Read it; what is read afterwards is as new as that."""

    def store(self, value: int) -> None:
        """Write it, after everything read before has been read."""


class PlainWord:
    """For machines that keep the order; one aligned access is one instruction."""

    def __init__(self, address: int) -> None:
        self._word = ctypes.c_uint64.from_address(address)

    def load(self) -> int:
        """See `Word64`."""
        return int(self._word.value)

    def store(self, value: int) -> None:
        """See `Word64`."""
        self._word.value = value


class AtomicWord:
    """For all machines, at the price of a call.

    Raises:
        MissingFeatureError: libatomic is not installed.
    """

    def __init__(self, address: int) -> None:
        self._load, self._store = _functions()
        self._address = ctypes.c_void_p(address)

    def load(self) -> int:
        """See `Word64`."""
        return int(self._load(self._address, _ACQUIRE))

    def store(self, value: int) -> None:
        """See `Word64`."""
        self._store(self._address, ctypes.c_uint64(value), _RELEASE)


def word_at(address: int) -> Word64:
    """The word at an address, 8 bytes aligned, in the way this machine wants.

    Raises:
        MissingFeatureError: the machine needs libatomic and has it not.
    """
    return PlainWord(address) if platform.machine() in _ORDERED else AtomicWord(address)


@cache
def _functions() -> tuple[Callable[..., int], Callable[..., None]]:
    """The load and the store of 8 bytes."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise MissingFeatureError(
            f"{LIBRARY} cannot be loaded, which {platform.machine()} needs to read a ring",
            hint="apt install libatomic1",
        ) from error
    load, store = library["__atomic_load_8"], library["__atomic_store_8"]
    load.restype, store.restype = ctypes.c_uint64, None
    return load, store
