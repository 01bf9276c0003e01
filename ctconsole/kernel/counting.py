"""Counts the tables of a node, so that one can tell later how they filled and since when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ctconsole.errors import BpfError
from ctconsole.kernel.counts import count_maps, open_counter
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.loops import Loop
from ctconsole.model.fullness import DEFAULT_THRESHOLDS, FullWatch
from ctconsole.model.sizing import counted_pins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ctconsole.kernel.counts import ElementCounter
    from ctconsole.loops import LoopState
    from ctconsole.model.event import Event
    from ctconsole.model.fullness import Thresholds
    from ctconsole.model.spec import MapInfo

EVERY: Final = 60.0
"""Seconds between two counts that are stored."""

LOOK: Final = 5.0
"""Seconds between two looks."""

_REST: Final = 50
"""A count that took one second, on a kernel that has to walk, is not repeated for so many."""


class Counting:
    """A loop that counts the tables pinned in a folder and hands the counts on.

    It looks every few seconds, because a table that fills up is to be told soon, and stores what
    it counts every minute.

    Args:
        folder: where Cilium's maps are pinned.
        store: takes the time (seconds since the Unix epoch) and the entries by pin; may raise.
        record: takes an event of each table that becomes full, and of one that is so no more.
        on_failure: see `Loop`.
        told: what earlier such loops have told of tables that are full.
        thresholds: see `FullWatch`.
    """

    def __init__(
        self,
        folder: Path,
        store: Callable[[float, Mapping[str, int]], None],
        record: Callable[[Iterable[Event]], None],
        on_failure: Callable[[LoopState], None],
        told: Iterable[Event] = (),
        *,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
    ) -> None:
        self._folder = folder
        self._store = store
        self._record = record
        self._watch = FullWatch(told, thresholds)
        self._counter: ElementCounter | None = None
        self._counter_tried = False
        self._stored = -EVERY
        self._loop = Loop("counting", self._count, on_failure, finish=self._close)

    def start(self) -> None:
        """Begin; the first count is taken at once."""
        self._loop.start()

    def stop(self) -> None:
        """End; a count under way is waited for a moment."""
        self._loop.stop()

    def _count(self) -> float:
        began = time.monotonic()
        if not self._counter_tried:
            self._counter_tried = True
            self._counter = open_counter()
        now, counts = time.time(), count_tables(self._folder, self._counter)
        if events := self._watch.look(now, counts, possible_cpus()):
            self._record(events)
        if counts and began - self._stored >= EVERY:
            self._stored = began
            self._store(now, {str(info.pin): entries for info, entries in counts})
        # On a kernel that has to walk the look itself is dear.
        return max(LOOK, _REST * (time.monotonic() - began))

    def _close(self) -> None:
        if self._counter is not None:
            self._counter.close()
            self._counter = None


def count_tables(
    folder: Path, counter: ElementCounter | None = None
) -> tuple[tuple[MapInfo, int], ...]:
    """The tables pinned in a folder with their entries; what is not there is left out.

    Args:
        folder: where Cilium's maps are pinned.
        counter: counts without a walk; None walks.

    Raises:
        BpfError: the kernel refuses to count.
    """
    infos = {}
    for name in counted_pins():
        try:
            with BpfMap.open(folder / name) as live:
                infos[live.info.id] = live.info
        except BpfError:
            # Not there, or not ours to open: whoever lists maps says so.
            continue
    counts = count_maps(infos.values(), counter)
    return tuple((infos[number], count.entries) for number, count in counts.items())
