"""Notices a split brain that was there before anybody watched, and that it is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias

from ctconsole.happening import happened
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.spec import MapType
from ctconsole.observe.inventory import Inventory
from ctconsole.observe.usage import forsaken, map_usage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.usage import MapUsage

EVERY_SECONDS = 10.0
"""Between two looks; one costs a few milliseconds unless something is suspicious."""

INNOCENT_SECONDS = 300.0
"""For so long a suspicion that proved to be nothing is not looked into again.

Maps that somebody holds without a pin keep it up for good, and looking at every hook takes seconds
of a core on a large node. Other programs or maps make it another suspicion.
"""

Suspicion: TypeAlias = frozenset[tuple[str, int]]
"""Pins that nobody uses, maps used in their stead, and the programs that do, by their ids."""


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
        self.alarmed: frozenset[Path] = frozenset()
        """The pins that nobody uses, as far as was told."""
        self._innocent: Suspicion = frozenset()
        self._innocent_until = 0.0

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
        suspicion = self._suspicion(pinned)
        if suspicion == self._innocent and now < self._innocent_until:
            return []
        found = self._look() if suspicion else []
        split = {usage.path: usage for usage in found if usage.split}
        # An alarm is over when it is seen to be, not when it cannot be seen.
        doubtful = frozenset(usage.path for usage in found if usage.in_doubt) & self.alarmed
        events = list(self._changes(split, doubtful, pinned))
        self.alarmed = frozenset(split) | doubtful
        told = suspicion and not self.alarmed and not any(usage.in_doubt for usage in found)
        self._innocent = suspicion if told else frozenset()
        self._innocent_until = now + INNOCENT_SECONDS if told else 0.0
        return events

    def _look(self) -> list[MapUsage]:
        return map_usage(self._root, self._history, inventory=self._inventory)

    def _changes(
        self,
        split: Mapping[Path, MapUsage],
        doubtful: frozenset[Path],
        pinned: Mapping[Path, MapInfo],
    ) -> Iterator[Event]:
        for path, usage in split.items():
            if path not in self.alarmed and (old := usage.older) is not None:
                fields = {
                    "pinned_id": usage.pinned.map.id,
                    "used_id": old.map.id,
                    "left": len(old.live_users),
                }
                yield _event(path, usage.verdict, Level.ERROR, fields)
        used = {number for program in self._inventory.programs() for number in program.map_ids}
        for path in sorted(self.alarmed - split.keys() - doubtful):
            yield _event(path, _over(path, pinned.get(path), used), Level.INFO, {})

    def _suspicion(self, pinned: Mapping[Path, MapInfo]) -> Suspicion:
        """Pinned maps that no program uses while others like them are used; empty if none."""
        used = {n for program in self._inventory.programs() for n in program.map_ids}
        unused = [info for info in pinned.values() if info.id not in used]
        ours = frozenset(info.id for info in pinned.values())
        lost, users = forsaken(unused, ours, self._inventory)
        if not lost:
            return frozenset()
        idle = {info.id for info in unused if info.type is not MapType.PROG_ARRAY}
        numbers = {"pinned": idle, "map": lost, "program": users}
        return frozenset((kind, number) for kind, ids in numbers.items() for number in ids)


def _over(path: Path, info: MapInfo | None, used: Collection[int]) -> str:
    """Why an alarm is over."""
    if info is None:
        return f"{path.name} is not pinned any more, so nothing has come apart there"
    if info.id in used:
        return f"Programs use the pinned {path.name} again"
    return f"No program uses an older {path.name} any more, and none the pinned one"


def _event(path: Path, text: str, level: Level, fields: Mapping[str, int]) -> Event:
    return happened(EventKind.SPLIT_BRAIN, "observe", path, text, fields, level=level)
