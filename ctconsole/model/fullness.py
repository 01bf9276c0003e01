"""Whether a table is full, since when, and what that does to what comes.

A full LRU map does not stand still at its maximum: it throws entries out in batches, each CPU
holds some free nodes, and so its count goes up and down a little below it. Whoever takes that for
growth says again and again that it will be full in a few seconds. It is full from `room` on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.model.catalogue import is_called
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.memory import is_full
from ctconsole.model.units import count, duration, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctconsole.model.fill import Trend
    from ctconsole.model.spec import MapInfo

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which fill on (0 to 1) a map is worth a look, and in trouble.

    Attributes:
        warn: worth a look.
        crit: in trouble.
        own: both of single maps, by a name of the map or the short form of one.
    """

    warn: float = 0.70
    crit: float = 0.90
    own: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, name: str) -> tuple[float, float]:
        """Both of the map of this name."""
        return self.own_of(name) or (self.warn, self.crit)

    def own_of(self, name: str) -> tuple[float, float] | None:
        """Both where the map has its own; None where it has those of all maps."""
        if name in self.own or not self.own:
            return self.own.get(name)
        return next((two for word, two in self.own.items() if is_called(name, word)), None)

    def level(self, name: str, fill: float) -> Level:
        """What a fill means for the map of this name: ERROR, WARNING or INFO."""
        warn, crit = self.of(name)
        if fill >= crit:
            return Level.ERROR
        return Level.WARNING if fill >= warn else Level.INFO


DEFAULT_THRESHOLDS: Final = Thresholds()


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

    Of a table that has thresholds of its own it makes one, too, when it passes the upper of them.

    Args:
        told: events of before, oldest first; what they tell is not told again.
        thresholds: those that are settled.
    """

    def __init__(
        self, told: Iterable[Event] = (), thresholds: Thresholds = DEFAULT_THRESHOLDS
    ) -> None:
        self._thresholds = thresholds
        self._high: dict[str, bool] = {}
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
            elif not full:
                events += self._passed(when, info, entries)
        self._since = found
        return tuple(events)

    def _passed(self, when: float, info: MapInfo, entries: int) -> Iterable[Event]:
        """That a table has passed the threshold that is its own, either way."""
        own = self._thresholds.own_of(info.label)
        if own is None or not info.max_entries:
            return
        fill, pin = entries / info.max_entries, str(info.pin)
        before, self._high[pin] = self._high.get(pin, False), fill >= own[1]
        if before != self._high[pin]:
            level = Level.WARNING if self._high[pin] else Level.INFO
            is_now = "reached" if self._high[pin] else "is below"
            message = (
                f"{info.label} {is_now} the {percent(own[1])} settled for it, {percent(fill)} full"
            )
            fields = {"entries": entries, "max_entries": info.max_entries, "id": info.id}
            yield Event(when, EventKind.MAP_FULL, "observe", pin, message, level, fields)


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
