"""How many entries each map had: as often as it was sampled, and what was known before."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.fill import Trend
    from ctconsole.observe.source import NodeSnapshot

FINE: Final = 300
"""Counts that are kept as they were taken."""

COARSE: Final = 1440
"""Older counts that are kept, one for each of `EVERY` seconds: a day."""

EVERY: Final = 60.0

FORGOTTEN: Final = 600.0
"""Seconds after which a map that is gone is not remembered any more."""


class Trends:
    """Counts by `MapRow.key`. Of older ones the largest of each minute stays, with its own time."""

    def __init__(self) -> None:
        self._fine: dict[str, deque[tuple[float, int]]] = {}
        self._coarse: dict[str, deque[tuple[float, int]]] = {}
        self._past: Mapping[str, Trend] = MappingProxyType({})

    def take_past(self, past: Mapping[str, Trend]) -> None:
        """Know these counts as well, oldest first, of before and perhaps of later moments."""
        self._past = past

    def clear(self) -> None:
        """Forget what was counted, but not what is known besides."""
        self._fine.clear()
        self._coarse.clear()

    def add(self, node: NodeSnapshot) -> None:
        """Take the counts of one more sample."""
        for row in node.rows:
            if row.entries is not None:
                self._put(row.key, (node.taken_at, row.entries))
        # A map that has been unpinned for good must not be remembered for ever.
        present = {row.key for row in node.rows}
        for gone in self._fine.keys() - present:
            if node.taken_at - self._fine[gone][-1][0] > FORGOTTEN:
                del self._fine[gone]
                self._coarse.pop(gone, None)

    def _put(self, key: str, point: tuple[float, int]) -> None:
        fine = self._fine.setdefault(key, deque())
        if fine and fine[-1][0] == point[0]:
            fine.pop()
        fine.append(point)
        if len(fine) <= FINE:
            return
        old = fine.popleft()
        coarse = self._coarse.setdefault(key, deque(maxlen=COARSE))
        if coarse and coarse[-1][0] // EVERY == old[0] // EVERY:
            if coarse[-1][1] >= old[1]:
                return
            coarse.pop()
        coarse.append(old)

    def until(self, moment: float) -> Mapping[str, Trend]:
        """All that is known up to a moment (seconds since the Unix epoch), oldest first."""
        return MappingProxyType({key: self._of(key, moment) for key in self._fine})

    def _of(self, key: str, moment: float) -> Trend:
        own = (*self._coarse.get(key, ()), *self._fine[key])
        past = self._past.get(key, ())
        past = past[: bisect_right(past, moment, key=lambda point: point[0])]
        if not past:
            return own
        # What was kept elsewhere goes on where nothing was counted here; it is never told twice.
        newer = bisect_right(own, past[-1][0], key=lambda point: point[0])
        return (*past, *own[newer:])
