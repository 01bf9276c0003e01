"""One story for each restart: what the agent, its maps, programs and entries did, in a sentence.

Pure: events go in, a story comes out when its time is over. The events may come from the watcher,
from the agent's log, or both; what both tell is told once. Of a log alone see `savedlog.py`.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ctconsole.happening import happened
from ctconsole.model.catalogue import option_of
from ctconsole.model.event import Event, EventKind, Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctconsole.model.event import Scalar

_OPENING = frozenset(
    {
        EventKind.AGENT_STOP,
        EventKind.AGENT_START,
        EventKind.MAP_RECREATED,
        EventKind.MAP_MISMATCH,
        EventKind.AGENT_FAILED,
    }
)
"""What a restart begins with; other kinds only add to one that is under way."""

_TOLD = _OPENING | {
    EventKind.AGENT_OPTION,
    EventKind.AGENT_READY,
    EventKind.PROGRAM_REPLACED,
    EventKind.SPLIT_BRAIN,
    EventKind.ENTRIES_RETURNED,
    EventKind.ENDPOINT_REGENERATED,
    EventKind.GC_PASS,
    EventKind.WARNING,
    EventKind.MAP_UNPINNED,
}

_BEFORE = frozenset({EventKind.AGENT_OPTION, EventKind.GC_PASS, EventKind.WARNING})
"""What may come before a restart is known to be one, and belongs to it; told by the log only."""

_AT_ONCE = 5.0
"""Seconds in which an agent makes a map after it has said that it drops the old one."""

_MOST_BEFORE = 32
_MOST_SAID = 8
"""Lines of one sort that a story repeats."""


@dataclass
class MapStory:
    """What became of one pin during a restart; None where nobody told."""

    old_id: int | None = None
    new_id: int | None = None
    old_max: Scalar = None
    new_max: Scalar = None
    property: str = ""
    lost: int | None = None
    users: int | None = None
    left: int | None = None
    moved_after: float | None = None
    returned: int | None = None
    kept: int | None = None
    removed: bool | None = None
    within: float | None = None
    seen_at: float | None = None
    log_at: float | None = None

    def exact(self) -> float | None:
        """When the agent dropped the old map by its log; None where the log is not that exact.

        What is seen of a pin is up to a beat late; a log tells the very moment, where it has parts
        of a second and what was seen followed from that line.
        """
        if self.log_at is None or self.seen_at is None or not self.log_at % 1:
            return None
        return self.log_at if 0 <= self.seen_at - self.log_at <= _AT_ONCE else None

    def moved(self) -> float | None:
        """Seconds after the re-creation at which the last program had moved."""
        exact = self.exact()
        if self.moved_after is None or exact is None or self.seen_at is None:
            return self.moved_after
        return round(self.moved_after + self.seen_at - exact, 3)

    def clauses(self, name: str, options: Mapping[str, tuple[Scalar, Scalar]]) -> list[str]:
        """The parts of the sentence that are about this map."""
        ids = f"{self.old_id} -> {self.new_id}" if self.new_id is not None else ""
        told = self.new_max is None or option_of(name) in options
        sizes = "" if told else f"{self.property or 'size'} {self.old_max} -> {self.new_max}"
        inside = ", ".join(part for part in (ids, sizes) if part)
        if self.removed and not inside:
            return [f"the pin of {name} was removed while no agent ran"]
        exact, moved = self.exact(), self.moved()
        when = f" at {_clock(exact)}{_parts(exact)}" if exact is not None else ""
        found = [f"{name} re-created{when}{f' ({inside})' if inside else ''}"]
        if self.removed:
            found.append("its pin was removed while no agent ran")
        if self.lost is not None:
            found.append(f"{self.lost:,} entries lost")
        if self.kept:
            found.append(f"{self.kept:,} were in the new map")
        if self.left:
            found.append(f"{self.left} programs still use the old map")
        elif moved is not None:
            found.append(f"programs moved after {moved:.1f} s")
        if self.returned is not None and self.lost:
            found.append(f"{self.returned:,} entries came back within {self.within:.0f} s")
        return found

    def fields(self, name: str) -> dict[str, Scalar]:
        """Everything known, for programs: ``<map>.<what>``."""
        at = self.seen_at if (exact := self.exact()) is None else exact
        known = {**vars(self), "moved_after": self.moved(), "at": at}
        return {
            f"{name}.{what}": value
            for what, value in known.items()
            if value is not None and value != "" and what not in {"seen_at", "log_at"}
        }


@dataclass
class RestartStory:
    """A restart while it is being told."""

    first: float
    last: float
    stopped: float | None = None
    started: float | None = None
    ended: float = 0.0
    old_pid: Scalar = None
    new_pid: Scalar = None
    options: dict[str, tuple[Scalar, Scalar]] = field(default_factory=dict)
    maps: dict[str, MapStory] = field(default_factory=dict)
    configured: set[str] = field(default_factory=set)
    sized: dict[str, tuple[Scalar, Scalar]] = field(default_factory=dict)
    version: Scalar = None
    said: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    regenerated: int = 0
    log_lines: int = 0

    def take(self, event: Event) -> None:
        """Add what one event tells."""
        self.log_lines += event.source == "agent-log"
        if event.kind in _OPENING:
            self.last = max(self.last, event.time)
        told = getattr(self, f"_{event.kind.name.lower()}")
        told(event, event.fields)

    def map(self, event: Event) -> MapStory:
        """The story of the pin an event is about."""
        return self.maps.setdefault(PurePath(event.subject).name, MapStory())

    def _agent_stop(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        self.stopped = event.time
        self.old_pid = fields.get("pid")

    def _agent_start(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        if event.source != "agent-log" or self.started is None:
            self.started = event.time
        self.new_pid = fields.get("pid", self.new_pid)
        self.version = fields.get("version", self.version)
        self._until(event)

    def _agent_failed(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        self.failures.append(_sentence(event, fields))
        self._until(event)

    def _gc_pass(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        deleted, size = fields.get("numDeleted"), fields.get("maxEntries")
        if deleted is not None and event.source == "agent-log":
            done = "" if str(fields.get("completed")) == "true" else ", not completed"
            family, protocol = fields.get("family", ""), fields.get("protocol", "")
            self.said.append(f"GC {family} {protocol} deleted {deleted} of {size}{done}")

    def _warning(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        if event.source == "agent-log":
            self.said.append(_sentence(event, fields))

    def _agent_ready(self, event: Event, _: Mapping[str, Scalar]) -> None:
        self._until(event)

    def _agent_option(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        # A flag that was not set has its default, which only the agent itself can tell.
        if "by" in fields:
            self.sized[event.subject] = (fields.get("new"), fields.get("memory"))
            if "old" not in fields:
                return
        old, new = self.options.get(event.subject, (None, None))
        self.options[event.subject] = (old or fields.get("old"), new or fields.get("new"))

    def _map_mismatch(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        story = self.map(event)
        if event.source == "agent-log" and story.log_at is None:
            story.log_at = event.time
        if story.new_max is None:
            story.old_max, story.new_max = fields.get("old"), fields.get("new")
            story.property = str(fields.get("property") or "")
            # Where the flags differ too, a distributed LRU table may only have been rounded up.
            if event.source == "agent-log" and story.property == "Max entries":
                self.configured.add(PurePath(event.subject).name)

    def _map_recreated(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        story = self.map(event)
        story.old_id, story.new_id = _int(fields.get("old_id")), _int(fields.get("new_id"))
        old, new = fields.get("old_max_entries"), fields.get("max_entries")
        if old is not None and old != new:
            story.old_max, story.new_max, story.property = old, new, "Max entries"
        story.lost, story.kept = _int(fields.get("lost")), _int(fields.get("kept"))
        story.seen_at = event.time
        self._until(event)

    def _map_unpinned(self, event: Event, _: Mapping[str, Scalar]) -> None:
        if event.source == "observe" and self.stopped is not None and self.started is None:
            self.map(event).removed = True

    def _program_replaced(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        story = self.map(event)
        story.users = _int(fields.get("programs"))
        story.left, story.moved_after = 0, _float(fields.get("seconds"))
        self._until(event)

    def _split_brain(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        self.map(event).left = _int(fields.get("left"))

    def _entries_returned(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        story = self.map(event)
        story.returned, story.within = _int(fields.get("returned")), _float(fields.get("seconds"))

    def _endpoint_regenerated(self, event: Event, fields: Mapping[str, Scalar]) -> None:
        # A restart ends with a line that counts them, which also holds those told alone.
        every = str(fields.get("regenerated", ""))
        alone = self.regenerated + 1
        self.regenerated = max(self.regenerated, int(every)) if every.isdecimal() else alone
        self._until(event)

    def _until(self, event: Event) -> None:
        self.ended = max(self.ended, event.time)

    @property
    def whole(self) -> bool:
        """Whether every re-created map has told how many entries came back."""
        return all(story.returned is not None or not story.lost for story in self.maps.values())

    def tell(self, now: float) -> Event:
        """The story as an event of kind STORY at ``now``."""
        begin = self.stopped if self.stopped is not None else self.started or self.first
        end = begin if math.isnan(begin) else max(self.ended, begin)
        options = {**self._options_of_maps(), **self.options}
        changed = [
            f"{name} {old or 'default'} -> {new or 'default'}{self._cause(name, new)}"
            for name, (old, new) in options.items()
        ]
        about = [", ".join(s.clauses(name, options)) for name, s in self.maps.items()]
        head = ", ".join([self._what(begin, end, now), *changed, *about[:1]])
        if not about and self.started is not None:
            head += ", no map was re-created"
        message = "; ".join([head, *about[1:], *_some(self.failures), *_some(self.said)])
        bad = bool(self.failures) or any(story.lost or story.left for story in self.maps.values())
        return happened(
            EventKind.STORY,
            "observe",
            "cilium-agent",
            message,
            self._fields(begin, end, changed),
            level=Level.WARNING if bad or self.started is None else Level.INFO,
            at=now,
        )

    def _what(self, begin: float, end: float, now: float) -> str:
        """What happened and when."""
        span = _span(begin, end, now)
        release = f" ({self.version})" if self.version else ""
        if self.started is not None:
            what = "restarted" if self.stopped is not None else "started"
            return f"agent{release} {what}{span}"
        if self.failures:
            return f"agent failed{span}"
        if self.stopped is not None:
            return f"agent went at {_clock(begin)} and did not come back"
        return f"maps were re-created{span}"

    def _cause(self, option: str, new: Scalar) -> str:
        """Where dynamic sizing set an option to what it is now, that, and from what memory."""
        size, memory = self.sized.get(option, (None, None))
        if size is None or str(size) != str(new):
            return ""
        return f" (set by dynamic sizing{f' from {memory:,} bytes of memory' if memory else ''})"

    def _options_of_maps(self) -> dict[str, tuple[Scalar, Scalar]]:
        """The options behind the sizes that the agent's log tells, where nobody told them."""
        return {
            option: (story.old_max, story.new_max)
            for name, story in self.maps.items()
            if name in self.configured and (option := option_of(name))
        }

    def _fields(self, begin: float, end: float, changed: Iterable[str]) -> dict[str, Any]:
        stories = self.maps.values()
        fields: dict[str, Any] = {
            "begin": None if math.isnan(begin) else begin,
            "end": None if math.isnan(begin) else end,
            "seconds": None if math.isnan(begin) else round(end - begin, 3),
            "old_pid": self.old_pid,
            "new_pid": self.new_pid,
            "changed": ", ".join(changed),
            "maps": ", ".join(self.maps),
            "lost": _sum(story.lost for story in stories),
            "returned": _sum(story.returned for story in stories),
            "regenerated": self.regenerated,
            "log_lines": self.log_lines,
            "failures": "; ".join(self.failures),
        }
        for name, story in self.maps.items():
            fields |= story.fields(name)
        return fields


class StoryTeller:
    """Gathers events until a restart is over, then tells it.

    An agent that is not back when the window is over is told of as gone; its return is told as the
    restart that it ends, from the moment it went.

    Args:
        window: seconds after the last start or re-creation for which entries may come back.
        grace: seconds more for the last counts to come in.
    """

    def __init__(self, window: float = 60.0, grace: float = 5.0) -> None:
        self.window = window
        self.grace = grace
        self._restart: RestartStory | None = None
        self._gone: RestartStory | None = None
        self._before: deque[Event] = deque(maxlen=_MOST_BEFORE)

    def feed(self, event: Event) -> None:
        """Take an event; one that has nothing to do with restarts is ignored."""
        if event.kind not in _TOLD or event.source == "manager":
            return
        if self._restart is None:
            if event.kind not in _OPENING:
                if event.kind in _BEFORE and event.source == "agent-log":
                    self._before.append(event)
                return
            self._restart = self._begun(event)
            for one in self._before:
                # Of times that are not told nobody knows that they are too old.
                if not event.time > one.time + self.window:
                    self._restart.take(one)
            self._before.clear()
        self._restart.take(event)

    def _begun(self, event: Event) -> RestartStory:
        """A restart that an event opens; one that begins with a start ends the absence before."""
        restart = RestartStory(event.time, event.time)
        gone, self._gone = self._gone, None
        if gone is not None and event.kind is not EventKind.AGENT_STOP:
            restart.stopped, restart.old_pid = gone.stopped, gone.old_pid
            restart.options |= gone.options
        return restart

    @property
    def under_way(self) -> RestartStory | None:
        """The restart that is not told yet."""
        return self._restart

    def due(self, now: float) -> Event | None:
        """The story, once its window is over and its counts are in (or the grace is over)."""
        restart = self._restart
        if restart is None or now < restart.last + self.window:
            return None
        if not restart.whole and now < restart.last + self.window + self.grace:
            return None
        return self.finish(now)

    def finish(self, now: float) -> Event | None:
        """The story as far as it goes, None where nothing happened."""
        restart, self._restart = self._restart, None
        if restart is None:
            return None
        if restart.stopped is not None and restart.started is None:
            self._gone = restart
        return restart.tell(now)


def _sum(numbers: Iterable[int | None]) -> int | None:
    """All together; None where there are some and nobody told any."""
    every = list(numbers)
    known = [number for number in every if number is not None]
    return None if every and not known else sum(known)


def _span(begin: float, end: float, now: float) -> str:
    """``  11:02:31-11:02:36``, with the date where that is not today's; what is not told is not."""
    if math.isnan(begin):
        return ", time not told"
    day = time.strftime("%Y-%m-%d", time.localtime(begin))
    today = time.strftime("%Y-%m-%d", time.localtime(now))
    return f"{'' if day == today else f' {day}'} {_clock(begin)}-{_clock(end)}"


def _some(lines: list[str]) -> list[str]:
    """The first few, each once, and how many there are more."""
    each = list(dict.fromkeys(lines))
    more = len(each) - _MOST_SAID
    return [*each[:_MOST_SAID], *([f"{more} more like these"] if more > 0 else [])]


def _sentence(event: Event, fields: Mapping[str, Scalar]) -> str:
    error = fields.get("error")
    return f"{event.message}: {error}" if error else event.message


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def _parts(seconds: float) -> str:
    """The milliseconds of a moment, as ``.482``."""
    return f".{int(seconds % 1 * 1000):03d}"


def _int(value: Scalar) -> int | None:
    return value if isinstance(value, int) else None


def _float(value: Scalar) -> float | None:
    return float(value) if isinstance(value, int | float) else None
