"""Counting what is in a conntrack table, in the kernel and without reading an entry out of it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.errors import DatapathError, MissingFeatureError
from ctconsole.kernel.mapiter import MapIterator
from ctconsole.model.ct.census import SHAPE, Census, soon
from ctconsole.model.ct.layout import KEYS, VALUE_SIZE
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.clock import Moment
    from ctconsole.model.spec import MapInfo

OBJECT: Final = "iter_census.bpf.o"
PROGRAM: Final = "census"

STATE: Final = np.dtype(
    [
        ("done", "u8"),
        ("nodes", "u8"),
        ("id", "u4"),
        ("error", "i4"),
        ("now", "u4"),
        ("soon", "u4"),
        ("came", "u8"),
        ("gone", "u8"),
        ("early", "u8"),
        ("related", "u8"),
        ("cells", "u8", SHAPE),
    ]
)
"""The head of ``struct census_state`` of ``bpf/iter_census.bpf.c``."""


class CensusTaker(MapIterator):
    """Counts one table again and again. A context manager; safe to use from several threads.

    It keeps 8 bytes of kernel memory for each entry there may be, by which it tells what came and
    went. Raises what `MapIterator` does.

    Args:
        info: an LRU map of conntrack entries.
    """

    def __init__(self, info: MapInfo) -> None:
        self._info = info
        self._lock = threading.Lock()
        self._seen = False
        super().__init__(OBJECT, PROGRAM, STATE, sizes={"marks": info.max_entries})

    def take(self, at: Moment) -> Census | None:
        """Count the table now; None where it is not there any more or cannot be read.

        Args:
            at: now, by the clock that its lifetimes are stamped with.
        """
        with self._lock:
            began = time.thread_time()
            state = np.zeros(1, STATE)
            state["id"], state["now"] = self._info.id, at.stamp
            state["soon"] = soon(at.stamp, at.hertz)
            known, self._seen = self._seen, False
            answer = self.walked(state, "nodes")
            if answer is None:
                return None
            self._seen = True
            return _census(answer, at.taken_at, time.thread_time() - began, known=known)


def _census(answer: npt.NDArray[Any], taken_at: float, cost: float, *, known: bool) -> Census:
    """What the iterator answered; of what came before the first look nothing is known."""
    came, gone, early = (
        int(answer[name][0]) if known else None for name in ("came", "gone", "early")
    )
    cells = answer["cells"][0].astype(np.int64)
    return Census(cells, int(answer["related"][0]), came, gone, early, taken_at, cost)


def open_census(info: MapInfo) -> CensusTaker | None:
    """A `CensusTaker`, or None where this kernel cannot have one or the map is of another kind."""
    fits = info.key_size in KEYS and info.value_size == VALUE_SIZE
    if not fits or info.type is not MapType.LRU_HASH:
        return None
    try:
        return CensusTaker(info)
    except (MissingFeatureError, DatapathError, OSError):
        return None
