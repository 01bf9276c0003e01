"""Why maps were re-created, as an agent's log or our history tells it.

Each start of an agent is told apart by its lines' order: what the agent says of memory and sizes
stands before the map that it finds to be different.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.event import EventKind
from ctconsole.model.readers.agentlog import SIZING, event_of
from ctconsole.model.readers.logline import parse_line
from ctconsole.model.sizing import DEFAULT_RATIO, memory_behind, option_sizing
from ctconsole.model.units import count, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.event import Event

_MEMORY: Final = re.compile(r"Memory available for map entries \(([0-9.]+)% of (\d{1,20})B\)")
_SIZED: Final = re.compile(r"option ([a-z0-9-]{1,100}) set by dynamic sizing to (\d{1,20})")
_RELEASE: Final = re.compile(r"Cilium (\d+\.\d+\.\S+)")
_INTERVAL: Final = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0}
_MOST: Final = 1000
"""Re-creations that are kept; of more the last."""


@dataclass(frozen=True, slots=True)
class Recreation:
    """One map that was made anew.

    Attributes:
        time: seconds since the Unix epoch; 0 where the log does not say.
        path: its pin, or its name.
        property: what was different, in Cilium's words.
        old: what it was.
        new: what it had to be.
        cause: why, in a sentence without a full stop; empty where nothing tells.
    """

    time: float
    path: str
    property: str
    old: str
    new: str
    cause: str


@dataclass
class LogFacts:
    """What was read so far.

    Attributes:
        recreations: in the order of the log.
        memory: bytes of the node at the newest start, 0 where not told.
        ratio: the share of it, 0 where not told.
        release: of the newest start, empty where not told.
        gc_interval: seconds of the newest interval, None where not told.
        gc_last: when the last pass ended, seconds since the Unix epoch; 0 where not told.
        gc_deleted: entries it deleted.
    """

    recreations: deque[Recreation] = field(default_factory=lambda: deque(maxlen=_MOST))
    memory: int = 0
    ratio: float = 0.0
    release: str = ""
    gc_interval: float | None = None
    gc_last: float = 0.0
    gc_deleted: int | None = None
    _before: int = 0
    _releases: list[str] = field(default_factory=list)
    _sized: dict[str, str] = field(default_factory=dict)
    _changed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def read(self, line: str) -> bool:
        """Take a line of an agent's log; whether it is one. Anything else is passed over."""
        parsed = parse_line(line)
        if parsed is None:
            return False
        if found := _MEMORY.search(parsed.message):
            self._before, self.memory = self.memory, int(found[2])
        elif found := _SIZED.match(parsed.message):
            self._sized[found[1]] = found[2]
        elif found := _RELEASE.match(parsed.message):
            self.release = found[1]
            self._releases.append(found[1])
        elif event := event_of(parsed, 0.0):
            self.take(event)
        return True

    def take(self, event: Event) -> None:
        """Take an event, of the log or of our history."""
        if event.kind is EventKind.AGENT_OPTION:
            new = str(event.fields.get("new", ""))
            if event.fields.get("by") == SIZING:
                self._sized[event.subject] = new
            else:
                self._changed[event.subject] = (str(event.fields.get("old", "")), new)
        elif event.kind is EventKind.GC_PASS:
            self._take_pass(event)
        elif event.kind is EventKind.MAP_MISMATCH:
            self._take_mismatch(event)

    def take_all(self, events: Iterable[Event]) -> None:
        """Take several."""
        for event in events:
            self.take(event)

    def _take_pass(self, event: Event) -> None:
        fields = event.fields
        for name in ("interval", "newInterval", "new"):
            if (seconds := _seconds(fields.get(name))) is not None:
                self.gc_interval = seconds
                break
        if event.message.startswith("completed ctmap gc pass"):
            self.gc_last = event.time
            deleted = _number(fields.get("deleted", fields.get("numDeleted")))
            self.gc_deleted = deleted if deleted is not None else self.gc_deleted

    def _take_mismatch(self, event: Event) -> None:
        fields = event.fields
        old, new = str(fields.get("old", "")), str(fields.get("new", ""))
        what = str(fields.get("property") or "")
        self.recreations.append(
            Recreation(
                event.time, event.subject, what, old, new, self._cause(event, what, old, new)
            )
        )

    def _cause(self, event: Event, what: str, old: str, new: str) -> str:
        name = event.subject.rpartition("/")[2]
        option = option_sizing(name)
        if "size" in what or "type" in what.lower():
            return "another release has other keys or values" + self._upgrade()
        if "Flags" in what:
            return f"its flags changed from {old} to {new}: {_flags(old, new)}"
        if option and self._sized.get(option) == new:
            return self._by_memory(option, old)
        if option in self._changed:
            before, after = self._changed[option]
            return f"{option} was changed from {before} to {after}"
        if option:
            return f"{option} has become {new}; the log does not tell who set it"
        return ""

    def _upgrade(self) -> str:
        if len(self._releases) > 1 and self._releases[-1] != self._releases[-2]:
            return f": {self._releases[-2]} before, {self._releases[-1]} now"
        return ""

    def _by_memory(self, option: str, old: str) -> str:
        text = f"dynamic sizing of {option} follows the node's memory"
        was = self._before
        if not was and old.isdigit():
            between = memory_behind(option, int(old), self.ratio or DEFAULT_RATIO)
            was = sum(between) // 2 if between else 0
        if self.memory and was and self.memory != was:
            more = "more" if self.memory > was else "less"
            difference = size(abs(self.memory - was))
            return f"{text}, which was {size(was)} and is {size(self.memory)}, {difference} {more}"
        if self.memory:
            return f"{text}, which is {size(self.memory)}"
        return text


def _flags(old: str, new: str) -> str:
    """What a change of flags means."""
    if old.isdigit() and new.isdigit():
        if (int(old) ^ int(new)) & 2:
            on = "on" if int(new) & 2 else "off"
            return f"distributed LRU (bpf-distributed-lru) was switched {on}"
        if (int(old) ^ int(new)) & 1:
            on = "off" if int(new) & 1 else "on"
            return f"preallocation (preallocate-bpf-maps) was switched {on}"
    return "an option of the agent decides them"


def _seconds(value: Any) -> float | None:  # noqa: ANN401 - a field holds anything scalar
    """A duration as Go prints it, or as a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    parts = _INTERVAL.findall(value)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None


def _number(value: Any) -> int | None:  # noqa: ANN401 - likewise
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isdigit() else None


def told(one: Recreation) -> str:
    """``cilium_ct4_global from 260,580 to 263,725 entries: dynamic sizing ...``."""
    name = one.path.rpartition("/")[2]
    change = f"{_amount(one.old)} to {_amount(one.new)}"
    what = (
        f"from {change} entries"
        if one.property in {"Max entries", ""}
        else f"({one.property} from {change})"
    )
    return f"{name} {what}" + (f": {one.cause}" if one.cause else ": nothing tells why")


def _amount(text: str) -> str:
    return count(int(text)) if text.isdigit() else text
