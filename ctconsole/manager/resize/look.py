"""What is in a conntrack table, counted part by part whatever its size."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.kernel.clock import ct_now
from ctconsole.manager.resize.pace import PACE
from ctconsole.model.ct.dropping import CLASS, ranks_of
from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.ct.outcomes import Change, Reason, Risk
from ctconsole.model.ct.risk import judge
from ctconsole.model.ct.table import CtTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.plan import Verdict


class Look:
    """One look at a conntrack map, part by part.

    Args:
        live: the map.
        reading: how its entries are read and judged.

    Attributes:
        layout: of the entries.
        entries: how many there are.
        alive: of these, not expired.
        closing: of the living, those of which a side has closed.
    """

    def __init__(self, live: BpfMap, reading: Reading) -> None:
        self._live = live
        self._reading = reading
        self._now = ct_now(reading.clock)
        self.layout: Layout | None = reading.layout
        self.entries = self.alive = self.closing = 0
        self._ranks = np.zeros(3 * CLASS, np.int64)
        self._verdicts: dict[Change, Counter[tuple[Risk, Reason]]] = {
            change: Counter() for change in (Change.RECREATE, Change.FLUSH)
        }
        for table in self._tables():
            self.entries += len(table)
            ranks = ranks_of(table)
            self.alive += int(np.count_nonzero(ranks >= CLASS))
            self.closing += int(np.count_nonzero((ranks >= CLASS) & (ranks < 2 * CLASS)))
            self._ranks += np.bincount(ranks, minlength=3 * CLASS)
            for change, told in self._verdicts.items():
                _add(told, judge(table, change).reasons())

    @property
    def expired(self) -> int:
        """Entries whose time is over."""
        return self.entries - self.alive

    def dropped(self, missing: int) -> dict[str, int]:
        """Which of the entries stay behind where ``missing`` do not fit."""
        found = {}
        for number, what in enumerate(("expired", "closing", "alive")):
            here = int(self._ranks[number * CLASS : (number + 1) * CLASS].sum())
            taken = min(here, missing)
            if taken:
                found[what] = taken
            missing -= taken
        return found

    def forecasts(self, missing: int) -> dict[Change, tuple[Verdict, ...]]:
        """What each way does to the connections."""
        resized: Counter[tuple[Risk, Reason]] = Counter()
        if missing:
            self._judge_dropped(missing, resized)
        kept = self.entries - resized.total()
        if kept:
            resized[Risk.UNTOUCHED, Reason.NONE] = kept
        every = {Change.RESIZE: resized, **self._verdicts}
        return {change: _sorted(told) for change, told in every.items()}

    def _judge_dropped(self, missing: int, told: Counter[tuple[Risk, Reason]]) -> None:
        """Judge the entries of the lowest ranks as if the table were re-created."""
        below = np.cumsum(self._ranks)
        cut = int(np.searchsorted(below, missing))
        spare = missing - (int(below[cut - 1]) if cut else 0)
        for table in self._tables():
            ranks = ranks_of(table)
            goes = ranks < cut
            same = np.flatnonzero(ranks == cut)[:spare]
            spare -= len(same)
            goes[same] = True
            if goes.any():
                _add(told, judge(table.take(goes), Change.RECREATE).reasons())

    def _tables(self) -> Iterator[CtTable]:
        for keys, values in PACE.timed(self._live.read_chunks()):
            if self.layout is None:
                self.layout = guess_layout(values).layout
            yield CtTable.from_raw(
                self._live.info,
                self.layout,
                keys,
                values,
                now=self._now,
                taken_at=time.time(),
                hertz=self._reading.clock.stamp_hertz,
                knowledge=self._reading.knowledge,
            )


def _add(told: Counter[tuple[Risk, Reason]], found: Iterable[Verdict]) -> None:
    for risk, reason, number in found:
        told[risk, reason] += number


def _sorted(told: Counter[tuple[Risk, Reason]]) -> tuple[Verdict, ...]:
    found = [(risk, reason, number) for (risk, reason), number in told.items()]
    return tuple(sorted(found, key=lambda one: (-one[0], -one[2])))
