"""How long a resize takes: as those before it on this node took, else by how fast entries are read.

A plan is made at every key and must not tell another time each time, so reading is told by the
fastest part of a table that was read so far: how busy the machine happens to be is not in it.

What resizes took is kept beside the journals, for all bpffs of a node together.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from ctconsole.kernel.files import write_whole
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_FEW: Final = 4096
"""Parts, and tables, with fewer entries are not measured: what is not reading outweighs it."""

_KEPT: Final = 10
"""Resizes of which it is kept how long they took."""

_PASSES: Final = 9
"""A resize takes about as long as reading the table so many times."""

_OWNERS: Final = frozenset({"switch", "hand over"})
"""Stages that take as long as the programs' owner wants."""

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


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a resize will take, without the programs' owner's time.

    Attributes:
        seconds: with one digit that counts.
        by: what that rests on, for a person: ``as the last 3 resizes on this node took``.
        past: on how many resizes before; 0 where it rests on how fast entries are read.
    """

    seconds: float
    by: str
    past: int


@dataclass(frozen=True, slots=True)
class _Resized:
    """A resize that went well: its entries, and its seconds without the owner's."""

    entries: int
    seconds: float


class Past:
    """The resizes before on this node, as far as anybody knows.

    Args:
        journal: the journal of any bpffs; the file lies beside it.
    """

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name("past.json")

    def keep(self, entries: int, stages: Mapping[str, float]) -> None:
        """Remember a resize that went well; a small one says nothing of others.

        Raises:
            OSError: it cannot be stored.
        """
        if entries < _FEW:
            return
        seconds = sum(took for stage, took in stages.items() if stage not in _OWNERS)
        kept = [*self._read(), _Resized(entries, seconds)][-_KEPT:]
        write_whole(self.path, json.dumps([asdict(one) for one in kept]))

    def estimate(self, entries: int) -> Estimate:
        """How long a resize of so many entries will take."""
        known = self._read()
        if not known:
            seconds = rounded(_PASSES * PACE.seconds(entries))
            return Estimate(seconds, "by how fast entries are read here", 0)
        each = median(one.seconds / one.entries for one in known)
        which = f"last {count(len(known))} resizes" if len(known) > 1 else "resize before"
        return Estimate(rounded(each * entries), f"as the {which} on this node took", len(known))

    def _read(self) -> list[_Resized]:
        """What is known; of a file that cannot be read nothing is, and the next one is written."""
        try:
            told = json.loads(self.path.read_bytes())
            return [_Resized(max(1, int(one["entries"])), float(one["seconds"])) for one in told]
        except (OSError, ValueError, KeyError, TypeError):
            return []


NO_PAST: Final = Past(Path(os.devnull))
"""Where nobody looked for resizes before."""


def rounded(seconds: float) -> float:
    """With one digit that counts, and `_LEAST` at least: an estimate is no more exact."""
    seconds = max(seconds, _LEAST)
    step = 10.0 ** math.floor(math.log10(seconds))
    return round(seconds / step) * step
