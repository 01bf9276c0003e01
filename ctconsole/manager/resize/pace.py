"""How fast this machine reads entries: measured while plans are made.

A plan is made at every key and must not tell another time each time, so it goes by the fastest
part of a table that was read so far: how busy the machine happens to be is not in it.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_FEW: Final = 4096
"""Parts with fewer entries are not measured: what is not reading outweighs it."""

_USUAL: Final = 3e-7
"""Seconds an entry took where this was written; for whoever has read none yet."""

_LEAST: Final = 0.1
"""Seconds that a resize takes whatever its size."""


class Pace:
    """The least time an entry took."""

    def __init__(self) -> None:
        self._best: float | None = None

    def timed(self, parts: Iterable[tuple[Bytes, Bytes]]) -> Iterator[tuple[Bytes, Bytes]]:
        """Hand parts of a table on, and take how long each took to come."""
        started = time.perf_counter()
        for keys, values in parts:
            took = time.perf_counter() - started
            if len(keys) >= _FEW:
                self._best = min(took / len(keys), self._best or math.inf)
            yield keys, values
            started = time.perf_counter()

    def seconds(self, entries: int) -> float:
        """How long so many entries take to be read."""
        return entries * (self._best or _USUAL)


PACE: Final = Pace()
"""Of this process."""


def rounded(seconds: float) -> float:
    """With one digit that counts, and `_LEAST` at least: an estimate is no more exact."""
    seconds = max(seconds, _LEAST)
    step = 10.0 ** math.floor(math.log10(seconds))
    return round(seconds / step) * step
