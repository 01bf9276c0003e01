"""Whether a table is full, since when, and what that does to what comes.

A full LRU map does not stand still at its maximum: it throws entries out in batches, each CPU
holds some free nodes, and so its count goes up and down a little below it. Whoever takes that for
growth says again and again that it will be full in a few seconds. It is full from `room` on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.memory import room
from ctconsole.model.units import count, duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.fill import Trend
    from ctconsole.model.spec import MapInfo

_DAY: Final = 86_400.0


def is_full(info: MapInfo, entries: int, cpus: int) -> bool:
    """Whether a table takes nothing more without throwing something out, or not at all.

    Args:
        info: the map; one whose maximum is not known is not full.
        entries: how many it holds.
        cpus: possible CPUs of the machine, 0 where not known.
    """
    space = room(info, max(1, cpus)) if info.max_entries else 0
    return bool(space) and entries >= space


@dataclass(frozen=True, slots=True)
class Fullness:
    """That a table is full.

    Attributes:
        evicts: whether it throws entries out (LRU); else it refuses what comes.
        now: when that was seen, seconds since the Unix epoch; 0 where nothing tells.
        since: the oldest count since which it has been full without a break; as ``now`` where
            only one is known.
        or_before: whether no older count is known: it may have been full for longer.
        evicted: living entries that it throws out each second, None where not known.
    """

    evicts: bool
    now: float
    since: float
    or_before: bool
    evicted: float | None = None

    @property
    def since_text(self) -> str:
        """``since 01:36``, ``since 01:36 or before``; empty where only one moment is known."""
        if not self.since or self.since == self.now:
            return ""
        form = "%H:%M" if self.now - self.since < _DAY else "%b %d %H:%M"
        text = time.strftime(f"since {form}", time.localtime(self.since))
        return f"{text} or before" if self.or_before else text

    @property
    def what(self) -> str:
        """``evicting about 320/s, live ones too``."""
        if not self.evicts:
            return "refuses new entries"
        if self.evicted is None:
            return "evicts, live ones too"
        if round(self.evicted) < 1:
            return "nothing thrown out just now"
        return f"evicting about {self.evicted:,.0f}/s, live ones too"

    @property
    def text(self) -> str:
        """``FULL: evicting about 320/s, live ones too, since 01:36``."""
        return ", ".join(part for part in (f"FULL: {self.what}", self.since_text) if part)


def fullness(
    info: MapInfo, trend: Trend, cpus: int, evicted: float | None = None
) -> Fullness | None:
    """How a table is full, by its counts, oldest first; None where it is not.

    Args:
        info: the map.
        trend: its counts, the newest of now.
        cpus: possible CPUs of the machine, 0 where not known.
        evicted: living entries that it throws out each second, None where not known.
    """
    if not trend or not is_full(info, trend[-1][1], cpus):
        return None
    full = 0
    for _, entries in reversed(trend):
        if not is_full(info, entries, cpus):
            break
        full += 1
    since = trend[len(trend) - full][0]
    return Fullness(info.type.is_lru, trend[-1][0], since, full == len(trend), evicted)


class FullWatch:
    """Makes an event of each table that becomes full, and of each that is so no more.

    Args:
        told: events of before, oldest first; what they tell is not told again.
    """

    def __init__(self, told: Iterable[Event] = ()) -> None:
        self._since: dict[str, tuple[int, float]] = {}
        for event in told:
            number = event.fields.get("id")
            if event.fields.get("full") is True and isinstance(number, int):
                self._since[event.subject] = (number, event.time)
            elif event.fields.get("full") is False:
                self._since.pop(event.subject, None)

    def look(
        self, when: float, counts: Iterable[tuple[MapInfo, int]], cpus: int
    ) -> tuple[Event, ...]:
        """What has changed since the look before.

        Args:
            when: seconds since the Unix epoch.
            counts: tables that are pinned, with their entries now.
            cpus: possible CPUs of the machine.
        """
        found, events = dict[str, tuple[int, float]](), list[Event]()
        for info, entries in counts:
            pin = str(info.pin)
            number, since = self._since.get(pin, (0, when))
            full = is_full(info, entries, cpus)
            if full:
                found[pin] = (info.id, since if number == info.id else when)
            if full and number != info.id:
                events.append(_became(when, info, entries))
            elif not full and number == info.id:
                events.append(_ended(when, info, entries, since))
        self._since = found
        return tuple(events)


def _became(when: float, info: MapInfo, entries: int) -> Event:
    what = "it evicts, live ones too" if info.type.is_lru else "it refuses what comes"
    message = f"{info.label} is full, {count(entries)} of {count(info.max_entries)}: {what}"
    fields = {"entries": entries, "max_entries": info.max_entries, "id": info.id, "full": True}
    pin, level = str(info.pin), Level.ERROR
    return Event(when, EventKind.MAP_FULL, "observe", pin, message, level, fields)


def _ended(when: float, info: MapInfo, entries: int, since: float) -> Event:
    message = (
        f"{info.label} is not full any more, {count(entries)} of {count(info.max_entries)}; "
        f"it was for {duration(round(when - since))}"
    )
    fields = {"entries": entries, "max_entries": info.max_entries, "id": info.id, "full": False}
    return Event(when, EventKind.MAP_FULL, "observe", str(info.pin), message, Level.INFO, fields)
