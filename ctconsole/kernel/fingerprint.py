"""Whether an LRU map is what it was, asked of the kernel at a tenth of what reading it costs."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np

from ctconsole.errors import DatapathError, MissingFeatureError
from ctconsole.kernel.mapiter import MapIterator

OBJECT: Final = "iter_fingerprint.bpf.o"
PROGRAM: Final = "fingerprint"

STATE: Final = np.dtype(
    [("hash", "u8"), ("done", "u8"), ("size", "u8"), ("id", "u4"), ("error", "i4")]
)
"""The head of ``struct fingerprint_state`` of ``bpf/iter_fingerprint.bpf.c``."""


class Fingerprints(MapIterator):
    """Takes fingerprints of the memory in which the entries of LRU maps lie.

    What it costs goes by a map's capacity, not by its entries. Safe to use from several threads.
    Raises what `MapIterator` does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        super().__init__(OBJECT, PROGRAM, STATE)

    def of(self, number: int) -> int | None:
        """The fingerprint of the map with this id: the same as long as no byte of it changes.

        None where there is no such map, or none of this type, or its memory cannot be read.
        """
        with self._lock:
            state = np.zeros(1, STATE)
            state["id"] = number
            answer = self.walked(state, "size")
            return None if answer is None else int(answer["hash"][0])


def open_fingerprints() -> Fingerprints | None:
    """`Fingerprints`, or None where this kernel or machine cannot have them."""
    try:
        return Fingerprints()
    except (MissingFeatureError, DatapathError, OSError):
        return None
