"""Whether an LRU map is what it was, asked of the kernel at a tenth of what reading it costs."""

from __future__ import annotations

import mmap
import threading
from typing import Final

import numpy as np

from ctconsole.errors import BpfError, DatapathError, MissingFeatureError
from ctconsole.handles import Handle
from ctconsole.kernel.libbpf import BpfObject
from ctconsole.paths import iterator_objects

OBJECT: Final = "iter_fingerprint.bpf.o"
PROGRAM: Final = "fingerprint"

STATE: Final = np.dtype(
    [("hash", "u8"), ("done", "u8"), ("size", "u8"), ("id", "u4"), ("error", "i4")]
)
"""The head of ``struct fingerprint_state`` of ``bpf/iter_fingerprint.bpf.c``."""


class Fingerprints(Handle):
    """Takes fingerprints of the memory in which the entries of LRU maps lie.

    A CO-RE ``bpf_map`` iterator, loaded once; what it costs goes by a map's capacity, not by its
    entries. A context manager. Safe to use from several threads.

    Raises:
        MissingFeatureError: libbpf or the compiled iterator is missing.
        DatapathError: the kernel refuses the iterator, as those before Linux 5.17 do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._object = BpfObject(iterator_objects() / OBJECT)
        try:
            self._link = self._object.attach_iterator(PROGRAM)
            self._memory = mmap.mmap(self._object.map_fd(".bss"), mmap.PAGESIZE)
        except (DatapathError, OSError):
            self._object.close()
            raise

    def of(self, number: int) -> int | None:
        """The fingerprint of the map with this id: the same as long as no byte of it changes.

        None where there is no such map, or none of this type, or its memory cannot be read.
        """
        with self._lock:
            state = np.zeros(1, STATE)
            state["id"] = number
            self._memory[: STATE.itemsize] = state.tobytes()
            while True:
                before = state["done"][0]
                try:
                    self._link.read()
                except BpfError:
                    return None
                state = np.frombuffer(self._memory[: STATE.itemsize], STATE)
                if state["done"][0] == state["size"][0] > 0:
                    return int(state["hash"][0])
                if state["error"][0] or state["done"][0] == before:
                    return None

    @property
    def is_open(self) -> bool:
        """Whether the iterator is loaded."""
        return self._object.is_open

    def close(self) -> None:
        """Detach and unload the iterator."""
        self._memory.close()
        self._object.close()


def open_fingerprints() -> Fingerprints | None:
    """`Fingerprints`, or None where this kernel or machine cannot have them."""
    try:
        return Fingerprints()
    except (MissingFeatureError, DatapathError, OSError):
        return None
