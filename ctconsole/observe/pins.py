"""What is pinned, and what happens to it: pinned, unpinned, replaced.

A handle is kept on each hash map, so that a map that loses its pin can still be read: its entries
are exactly those that were lost. Handles on arrays of programs are not kept, because the kernel
empties such an array when the last user reference goes, and ours would delay that.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import BpfError, GoneError
from ctconsole.happening import happened
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.counts import count_maps, open_counter
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.walk import repeated
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.observe.source import is_conntrack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from ctconsole.model.event import Scalar
    from ctconsole.model.spec import MapInfo

GAP_SECONDS = 1.0
"""A pin that comes back within this time was replaced; afterwards it is said to be gone."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A pin that holds another map than before.

    Attributes:
        path: the pin.
        old: the map that was pinned.
        new: the one pinned now.
        at: when it was seen, seconds since the Unix epoch.
        lost: entries of the old map that the new one did not have then; of maps that are not
            conntrack's all of them, None where the type has no count.
        keys: these entries' keys, u1[n, key size]; None for maps that are not conntrack's.
        kept: entries that the new map had already, as after a resize or a carry-over.
        handle: the old map, open: whoever takes the replacement closes it. None where none was
            kept, or for an array of programs.
    """

    path: Path
    old: MapInfo
    new: MapInfo
    at: float
    lost: int | None
    keys: npt.NDArray[np.uint8] | None
    kept: int = 0
    handle: BpfMap | None = None

    def close(self) -> None:
        """Let go of the old map, and with it of its entries; may be called again."""
        if self.handle is not None:
            self.handle.close()


@dataclass
class _Held:
    info: MapInfo
    handle: BpfMap | None

    def close(self) -> None:
        if self.handle is not None:
            self.handle.close()
            self.handle = None


class Pins:
    """The pins below a folder as they were seen last; `look` says what has changed.

    Args:
        root: a bpffs or a folder on one; may come into being later.
        remember: seconds for which an unpinned map waits for its successor.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self, root: Path, *, remember: float = 60.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._root = root
        self._remember = remember
        self._clock = clock
        self._held: dict[Path, _Held] = {}
        self._gone: dict[Path, tuple[_Held, float, bool]] = {}
        self._counter = open_counter()
        self._told: frozenset[str] = frozenset()
        self._first = True

    @property
    def infos(self) -> Mapping[Path, MapInfo]:
        """What was pinned at the last look."""
        return {path: held.info for path, held in self._held.items()}

    @property
    def awaited(self) -> frozenset[Path]:
        """Pins that are gone, and may come back with another map."""
        return frozenset(self._gone)

    def look(self) -> tuple[list[Event], list[Replacement]]:
        """Compare with the last look; the first one only remembers.

        A pin that cannot be opened is a warning when that is seen first.

        Raises:
            BpfError: a pin may not be opened; what was seen last stays so.
        """
        now = self._clock()
        passed_over: list[str] = []
        try:
            found = pinned_maps(self._root, passed_over.append)
        except GoneError:
            found = {}
        events = [
            happened(EventKind.WARNING, "observe", self._root, text, level=Level.WARNING, at=now)
            for text in passed_over
            if text not in self._told
        ]
        self._told = frozenset(passed_over)
        replaced: list[Replacement] = []
        for path in [path for path in self._held if path not in found]:
            self._gone[path] = (self._held.pop(path), now, False)
        for path, info in found.items():
            if (before := self._held.get(path)) is not None and before.info.id == info.id:
                continue
            event, one = self._changed(path, info, now)
            if one is not None:
                replaced.append(one)
            if not self._first:
                events.append(event)
        events.extend(self._unpinned(now))
        self._first = False
        return events, replaced

    def close(self) -> None:
        """Let go of every map."""
        for held in [*self._held.values(), *(gone[0] for gone in self._gone.values())]:
            held.close()
        self._held.clear()
        self._gone.clear()
        if self._counter is not None:
            self._counter.close()
            self._counter = None

    def _changed(self, path: Path, info: MapInfo, now: float) -> tuple[Event, Replacement | None]:
        """Take in a pin that is new, back, or holds another map.

        What is remembered changes last: a look that breaks off before finds the same again.
        """
        old = self._held.get(path) or self._gone.get(path, (None,))[0]
        handle = _handle(path, info)
        try:
            one = None
            if old is None or old.info.id == info.id:
                event = self._pinned(path, info, now)
            else:
                one = self._replacement(path, old, info, handle, now)
                event = self._recreated(one)
        except BaseException:
            if handle is not None:
                handle.close()
            raise
        self._held[path] = _Held(info, handle)
        self._gone.pop(path, None)
        if one is None and old is not None:
            old.close()
        return event, one

    def _replacement(
        self, path: Path, old: _Held, new: MapInfo, handle: BpfMap | None, now: float
    ) -> Replacement:
        """Read what was lost out of the old map; its handle goes along.

        Args:
            path: the pin.
            old: what it held.
            new: what it holds.
            handle: the new map, open.
            now: when that was seen.
        """
        keys, kept = None, 0
        lost = self._entries(old.info)
        if old.handle is not None and is_conntrack(old.info):
            # A count without the keys is better than no event.
            with suppress(BpfError, MemoryError):
                every = old.handle.read().keys
                there = _present(every, handle)
                keys, kept = every[~there], int(np.count_nonzero(there))
                lost = len(keys)
        return Replacement(path, old.info, new, now, lost, keys, kept, old.handle)

    def _recreated(self, one: Replacement) -> Event:
        fields: dict[str, Scalar] = {
            "old_id": one.old.id,
            "new_id": one.new.id,
            "old_max_entries": one.old.max_entries,
            "max_entries": one.new.max_entries,
            "lost": one.lost,
            "kept": one.kept,
            "entries": self._entries(one.new),
        }
        for name, old, new in (
            ("type", one.old.type.name, one.new.type.name),
            ("key_size", one.old.key_size, one.new.key_size),
            ("value_size", one.old.value_size, one.new.value_size),
        ):
            if old != new:
                fields |= {f"old_{name}": old, name: new}
        lost = f", {one.lost:,} entries lost" if one.lost is not None else ""
        if one.kept:
            lost += f", {one.kept:,} are in the new map"
        text = f"{one.path.name} was re-created: map {one.old.id} -> {one.new.id}{lost}"
        level = Level.WARNING if one.lost else Level.INFO
        kind = EventKind.MAP_RECREATED
        return happened(kind, "observe", one.path, text, fields, level=level, at=one.at)

    def _pinned(self, path: Path, info: MapInfo, now: float) -> Event:
        fields: dict[str, Scalar] = {
            "id": info.id,
            "max_entries": info.max_entries,
            "entries": self._entries(info),
        }
        text = f"{path.name} was pinned: map {info.id}"
        return happened(EventKind.MAP_PINNED, "observe", path, text, fields, at=now)

    def _unpinned(self, now: float) -> Iterator[Event]:
        """Pins that have been gone for so long that no successor is on its way."""
        for path, (held, since, told) in list(self._gone.items()):
            if not told and now - since >= GAP_SECONDS:
                self._gone[path] = (held, since, True)
                fields: dict[str, Scalar] = {
                    "id": held.info.id,
                    "entries": self._entries(held.info),
                }
                text = f"{path.name} was unpinned: map {held.info.id}"
                yield happened(EventKind.MAP_UNPINNED, "observe", path, text, fields, at=since)
            if now - since >= self._remember:
                del self._gone[path]
                held.close()

    def _entries(self, info: MapInfo) -> int | None:
        """The kernel's own count, or none: walking is left to those who asked for it.

        None too where it cannot be asked just now, which must not keep an event back.
        """
        try:
            count = count_maps([info], self._counter, walk=False).get(info.id)
        except BpfError:
            return None
        return count.entries if count else None


def _present(keys: npt.NDArray[np.uint8], new: BpfMap | None) -> npt.NDArray[np.bool_]:
    """Which keys of a map its successor has; read only where that has any."""
    none = np.zeros(len(keys), np.bool_)
    if new is None or not len(keys) or new.info.key_size != keys.shape[1]:
        return none
    found = new.read().keys
    return repeated(np.concatenate([keys, found]))[: len(keys)] if len(found) else none


def _handle(path: Path, info: MapInfo) -> BpfMap | None:
    """A handle on the map seen, None where it is not to be held or has gone again."""
    if not info.type.is_hash:
        return None
    try:
        handle = BpfMap.open(path)
    except BpfError:
        return None
    if handle.info.id != info.id:
        handle.close()
        return None
    return handle
