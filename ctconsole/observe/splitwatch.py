"""Notices a split brain that was there before anybody watched, and that it is over."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.spec import MapType
from ctconsole.observe.inventory import Inventory
from ctconsole.observe.usage import map_usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.usage import MapUsage

EVERY_SECONDS = 10.0
"""Between two looks; one costs a few milliseconds unless something is suspicious."""


class SplitWatch:
    """Looks now and then for pins that nobody uses while programs use another generation.

    Args:
        root: the bpffs, or a folder on it.
        history: tells which maps the pins held before; need not exist.
    """

    def __init__(self, root: Path, history: Path | None = None) -> None:
        self._root = root
        self._history = history
        # It looks on suspicion only, and then at how things are.
        self._inventory = Inventory(stale=0.0)
        self._next = 0.0
        self._alarmed: frozenset[Path] = frozenset()

    def step(self, pinned: Mapping[Path, MapInfo]) -> list[Event]:
        """Alarms that are new, and those that are over.

        Args:
            pinned: every map pinned below the root.

        Raises:
            DeniedError: programs may not be listed.
        """
        now = time.monotonic()
        if now < self._next:
            return []
        self._next = now + EVERY_SECONDS
        # Looking at every hook of a large node takes seconds, so it is done on suspicion only.
        found = self._look() if self._suspicious(pinned) else []
        split = {usage.path: usage for usage in found if usage.split}
        # An alarm is over when it is seen to be, not when it cannot be seen.
        doubtful = frozenset(usage.path for usage in found if usage.in_doubt) & self._alarmed
        events = list(self._changes(split, doubtful))
        self._alarmed = frozenset(split) | doubtful
        return events

    def _look(self) -> list[MapUsage]:
        return map_usage(self._root, self._history, inventory=self._inventory)

    def _changes(
        self, split: Mapping[Path, MapUsage], doubtful: frozenset[Path]
    ) -> Iterator[Event]:
        for path, usage in split.items():
            if path not in self._alarmed:
                # The newest other generation need not be the one that packets meet.
                old = max(usage.others, key=lambda one: (len(one.live_users), one.map.id))
                fields = {
                    "pinned_id": usage.pinned.map.id,
                    "used_id": old.map.id,
                    "left": len(old.live_users),
                }
                yield _event(path, usage.verdict, Level.ERROR, fields)
        for path in sorted(self._alarmed - split.keys() - doubtful):
            yield _event(path, f"Programs use the pinned {path.name} again", Level.INFO, {})

    def _suspicious(self, pinned: Mapping[Path, MapInfo]) -> bool:
        """Whether some pinned map is used by no program while another one like it is."""
        used = {number for program in self._inventory.programs() for number in program.map_ids}
        idle = {
            (info.name, info.type, info.key_size, info.value_size)
            for info in pinned.values()
            if info.id not in used and info.type is not MapType.PROG_ARRAY
        }
        if not idle:
            return False
        twins = {
            info.id
            for info in self._inventory.maps().values()
            if info.id in used and (info.name, info.type, info.key_size, info.value_size) in idle
        }
        # Labs and other datapaths have maps of the same names, pinned elsewhere.
        lost = twins - {info.id for info in pinned.values()}
        return bool(lost) and bool(lost - self._inventory.pinned_anywhere())


def _event(path: Path, text: str, level: Level, fields: Mapping[str, int]) -> Event:
    return Event(
        time.time(),
        EventKind.SPLIT_BRAIN,
        "observe",
        str(path),
        text,
        level,
        MappingProxyType(dict(fields)),
    )
