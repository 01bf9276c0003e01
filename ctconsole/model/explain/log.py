"""Why maps were re-created, as an agent's log or our history tells it.

Each start of an agent is told apart by its lines' order: what the agent says of memory and sizes
stands before the map that it finds to be different.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ctconsole.model.event import EventKind
from ctconsole.model.readers.agentlog import SIZING, event_of
from ctconsole.model.readers.logline import parse_line
from ctconsole.model.sizing import DEFAULT_RATIO, memory_behind, option_sizing
from ctconsole.model.units import count, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctconsole.model.event import Event
    from ctconsole.model.whose import Whose

_MEMORY: Final = re.compile(
    r"Memory available for map entries \([0-9.]+% of (?P<all>\d{1,20})B\)(?:: (?P<maps>\d{1,20})B)?"
)
"""Of the share only three digits are told, and by many releases as if it were percent."""

_SIZED: Final = re.compile(r"option ([a-z0-9-]{1,100}) set by dynamic sizing to (\d{1,20})")
_RELEASE: Final = re.compile(r"Cilium (\d+\.\d+\.\S+)")
_INTERVAL: Final = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DIGITS: Final = 6
"""Of a share of the memory, which is told in whole bytes."""

T = TypeVar("T")

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
        writer: the pod or host whose line it is; empty where nothing tells.
    """

    time: float
    path: str
    property: str
    old: str
    new: str
    cause: str
    writer: str = ""


@dataclass
class _Told:
    """What one node's agent has told so far.

    Attributes:
        memory: bytes of the node at the newest start, 0 where not told.
        before: the same at the start before.
        ratio: the share of it that sizes follow, 0 where not told.
        releases: of its starts.
        sized: what dynamic sizing set options to.
        changed: what options were and are that were changed.
        gc_interval: seconds of the newest interval, None where not told.
        gc_last: when the last pass ended, seconds since the Unix epoch; 0 where not told.
        gc_deleted: entries it deleted.
    """

    memory: int = 0
    before: int = 0
    ratio: float = 0.0
    releases: list[str] = field(default_factory=list)
    sized: dict[str, str] = field(default_factory=dict)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    gc_interval: float | None = None
    gc_last: float = 0.0
    gc_deleted: int | None = None


@dataclass
class LogFacts:
    """What was read so far, of each node that wrote apart.

    Attributes:
        recreations: in the order of the log.
        writer: whose lines follow, where they do not tell themselves.
    """

    recreations: deque[Recreation] = field(default_factory=lambda: deque(maxlen=_MOST))
    writer: str = ""
    _told: dict[str, _Told] = field(default_factory=dict)

    @property
    def memory(self) -> int:
        """Bytes of the node at its newest start; 0 where not told, or nodes differ."""
        return self._alike(lambda one: one.memory) or 0

    @property
    def ratio(self) -> float | None:
        """The share of the memory that sizes follow; None where not told, or nodes differ."""
        return self._alike(lambda one: round(one.ratio, _DIGITS))

    @property
    def release(self) -> str:
        """Of the newest start; empty where not told, or nodes differ."""
        return self._alike(lambda one: one.releases[-1] if one.releases else "") or ""

    @property
    def gc_interval(self) -> float | None:
        """Seconds between two passes; None where not told, or nodes differ."""
        return self._alike(lambda one: one.gc_interval)

    @property
    def gc_last(self) -> float:
        """When the last pass ended, seconds since the Unix epoch; 0 where not told."""
        return max((one.gc_last for one in self._told.values()), default=0.0)

    @property
    def gc_deleted(self) -> int | None:
        """Entries it deleted; None where not told, or nodes differ."""
        return self._alike(lambda one: one.gc_deleted)

    def _alike(self, what: Callable[[_Told], T | None]) -> T | None:
        """What all nodes that tell it tell alike."""
        told = {found for one in self._told.values() if (found := what(one)) not in (None, "", 0)}
        return told.pop() if len(told) == 1 else None

    def memory_of(self, whose: Whose) -> int:
        """Bytes of one of several nodes' memory, 0 where its lines do not tell it."""
        named = (self._told[name].memory for name in (whose.pod, whose.node) if name in self._told)
        return next((memory for memory in named if memory), 0) if whose else 0

    def read(self, line: str) -> bool:
        """Take a line of an agent's log; whether it is one. Anything else is passed over."""
        parsed = parse_line(line)
        if parsed is None:
            return False
        own = self._of(parsed.writer)
        if found := _MEMORY.search(parsed.message):
            own.before, own.memory = own.memory, int(found["all"])
            if found["maps"] and own.memory:
                own.ratio = int(found["maps"]) / own.memory
        elif found := _SIZED.match(parsed.message):
            own.sized[found[1]] = found[2]
        elif found := _RELEASE.match(parsed.message):
            own.releases.append(found[1])
        elif event := event_of(parsed, 0.0):
            self.take(event)
        return True

    def _of(self, writer: object) -> _Told:
        return self._told.setdefault(str(writer or self.writer), _Told())

    def take(self, event: Event) -> None:
        """Take an event, of the log or of our history."""
        own = self._of(event.fields.get("writer"))
        if event.kind is EventKind.AGENT_OPTION:
            new = str(event.fields.get("new", ""))
            if event.fields.get("by") == SIZING:
                own.sized[event.subject] = new
            else:
                own.changed[event.subject] = (str(event.fields.get("old", "")), new)
        elif event.kind is EventKind.GC_PASS:
            _take_pass(own, event)
        elif event.kind is EventKind.MAP_MISMATCH:
            self._take_mismatch(own, event)

    def take_all(self, events: Iterable[Event]) -> None:
        """Take several."""
        for event in events:
            self.take(event)

    def _take_mismatch(self, own: _Told, event: Event) -> None:
        fields = event.fields
        old, new = str(fields.get("old", "")), str(fields.get("new", ""))
        what = str(fields.get("property") or "")
        writer = str(fields.get("writer") or self.writer)
        cause = (
            _cause(own, event, what, old, new)
            if what or new
            else "the log does not tell what was different"
        )
        self.recreations.append(
            Recreation(event.time, event.subject, what, old, new, cause, writer)
        )


def _take_pass(own: _Told, event: Event) -> None:
    fields = event.fields
    for name in ("interval", "newInterval", "new"):
        if (seconds := _seconds(fields.get(name))) is not None:
            own.gc_interval = seconds
            break
    if event.message.startswith("completed ctmap gc pass"):
        own.gc_last = event.time
        deleted = _number(fields.get("deleted", fields.get("numDeleted")))
        own.gc_deleted = deleted if deleted is not None else own.gc_deleted


def _cause(own: _Told, event: Event, what: str, old: str, new: str) -> str:
    name = event.subject.rpartition("/")[2]
    option = option_sizing(name)
    if "size" in what or "type" in what.lower():
        return "another release has other keys or values" + _upgrade(own)
    if "Flags" in what:
        return f"its flags changed from {old} to {new}: {_flags(old, new)}"
    if option and own.sized.get(option) == new:
        return _by_memory(own, option, old)
    if option in own.changed:
        before, after = own.changed[option]
        return f"{option} was changed from {before} to {after}"
    if option:
        return f"{option} has become {new}; the log does not tell who set it"
    return ""


def _upgrade(own: _Told) -> str:
    if len(own.releases) > 1 and own.releases[-1] != own.releases[-2]:
        return f": {own.releases[-2]} before, {own.releases[-1]} now"
    return ""


def _by_memory(own: _Told, option: str, old: str) -> str:
    text = f"dynamic sizing of {option} follows the node's memory"
    was = own.before
    if not was and old.isdigit():
        between = memory_behind(option, int(old), own.ratio or DEFAULT_RATIO)
        was = sum(between) // 2 if between else 0
    if own.memory and was and own.memory != was:
        more = "more" if own.memory > was else "less"
        difference = size(abs(own.memory - was))
        return f"{text}, which was {size(was)} and is {size(own.memory)}, {difference} {more}"
    if own.memory:
        return f"{text}, which is {size(own.memory)}"
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
    name = f"{one.writer}: {name}" if one.writer else name
    change = f"from {_amount(one.old)} to {_amount(one.new)}"
    if not one.old and not one.new:
        what = f" ({one.property})" if one.property else ""
    elif one.property in {"Max entries", ""}:
        what = f" {change} entries"
    else:
        what = f" ({one.property} {change})"
    return f"{name}{what}: {one.cause or 'nothing tells why'}"


def _amount(text: str) -> str:
    return count(int(text)) if text.isdigit() else text
