"""Counts the tables of a node every minute, so that somebody can tell later how they filled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ctconsole.errors import BpfError
from ctconsole.kernel.counts import count_maps, open_counter
from ctconsole.kernel.maps import BpfMap
from ctconsole.loops import Loop
from ctconsole.model.sizing import counted_pins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.loops import LoopState

EVERY: Final = 60.0
"""Seconds between two counts."""

_REST: Final = 50
"""A count that took one second, on a kernel that has to walk, is not repeated for so many."""


class Counting:
    """A loop that counts the tables pinned in a folder and hands the counts on.

    Args:
        folder: where Cilium's maps are pinned.
        store: takes the time (seconds since the Unix epoch) and the entries by pin; may raise.
        on_failure: see `Loop`.
    """

    def __init__(
        self,
        folder: Path,
        store: Callable[[float, Mapping[str, int]], None],
        on_failure: Callable[[LoopState], None],
    ) -> None:
        self._folder = folder
        self._store = store
        self._loop = Loop("counting", self._count, on_failure)

    def start(self) -> None:
        """Begin; the first count is taken at once."""
        self._loop.start()

    def stop(self) -> None:
        """End; a count under way is waited for a moment."""
        self._loop.stop()

    def _count(self) -> float:
        began = time.monotonic()
        counts = count_tables(self._folder)
        if counts:
            self._store(time.time(), counts)
        return max(EVERY, _REST * (time.monotonic() - began))


def count_tables(folder: Path) -> dict[str, int]:
    """Entries of the tables pinned in a folder, by pin; what is not there is left out.

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
    counter = open_counter()
    try:
        counts = count_maps(infos.values(), counter)
    finally:
        if counter is not None:
            counter.close()
    return {str(infos[number].pin): count.entries for number, count in counts.items()}
