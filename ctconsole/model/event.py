"""One thing that happened to a map, a program or an agent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from ctconsole.model.units import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Scalar: TypeAlias = str | int | float | bool | None
"""What a field of an event may hold: everything JSON has without nesting."""


class EventKind(StrEnum):
    """What kind of thing happened; the console colours and groups by it."""

    AGENT_START = "agent-start"
    AGENT_READY = "agent-ready"
    AGENT_STOP = "agent-stop"
    AGENT_FAILED = "agent-failed"
    AGENT_OPTION = "agent-option"
    MAP_CREATED = "map-created"
    MAP_OPENED = "map-opened"
    MAP_MISMATCH = "map-mismatch"
    MAP_REMOVED = "map-removed"
    MAP_RECREATED = "map-recreated"
    MAP_RESIZED = "map-resized"
    MAP_CARRIED = "map-carried"
    MAP_PINNED = "map-pinned"
    MAP_UNPINNED = "map-unpinned"
    MAP_FULL = "map-full"
    PROGRAM_LOADED = "program-loaded"
    PROGRAM_REPLACED = "program-replaced"
    PROGRAM_DETACHED = "program-detached"
    ENDPOINT_ADDED = "endpoint-added"
    ENDPOINT_REMOVED = "endpoint-removed"
    ENDPOINT_REGENERATED = "endpoint-regenerated"
    SERVICE_CHANGED = "service-changed"
    SERVICE_REMOVED = "service-removed"
    POLICY_CHANGED = "policy-changed"
    GC_PASS = "gc-pass"  # noqa: S105 - a garbage collector's pass, not a password
    INSERT_FAILED = "insert-failed"
    DROP = "drop"
    CONNECTIONS = "connections"
    ENTRIES_DELETED = "entries-deleted"
    ENTRIES_RETURNED = "entries-returned"
    SPLIT_BRAIN = "split-brain"
    LAB_UP = "lab-up"
    LAB_DOWN = "lab-down"
    STORY = "story"
    WARNING = "warning"


class Level(StrEnum):
    """How loud an event is; the words are those of Cilium's log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history.

    Attributes:
        time: seconds since the Unix epoch (wall clock).
        kind: what happened.
        source: who says so: ``manager``, ``datapath``, ``agent``, ``observe``, ``lab``, ``ui``.
        subject: the map, program or endpoint it happened to; a pin path for maps.
        message: one line for a person; for manager events Cilium's own log message.
        level: how loud.
        fields: details by name, e.g. ``old``, ``new``, ``old_id``, ``new_id``, ``file-path``;
            a copy that cannot be changed.
    """

    time: float
    kind: EventKind
    source: str
    subject: str
    message: str
    level: Level = Level.INFO
    fields: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Threads share events: nobody may change what somebody else reads.
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


def as_it_happened(events: Iterable[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Events in the order of their times, a cause before what followed from it.

    They are stored in the order in which they were heard of: a log is read a moment late, and who
    changes a map tells of it when all has been done.

    Args:
        events: with their ids, which decide where times are equal.
    """
    return sorted(events, key=lambda one: (one[1].time, one[0]))


_STEADY: Final = frozenset({EventKind.CONNECTIONS, EventKind.DROP, EventKind.GC_PASS})
"""What happens again and again as long as all is well."""


def is_mark(event: Event) -> bool:
    """Whether this is something that one jumps to: a restart, a change, an alarm."""
    return event.kind not in _STEADY and event.level is not Level.DEBUG


def marks_of(events: Iterable[tuple[int, Event]], pin: str) -> tuple[float, ...]:
    """When something happened that concerns a map: to it, or to no map at all.

    Args:
        events: with their ids.
        pin: the map's.
    """
    return tuple(
        event.time
        for _, event in events
        if is_mark(event) and (event.subject == pin or not event.subject.startswith("/"))
    )


def folded(events: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """Events in which what is heard again and again stands once, with its counts.

    That are those of level debug, and whatever tells how often it happened since it was told last
    (packets that are dropped), of any level. Between two other events those that say the same are
    one: the newest of them with the id of the first, how often it was heard, and the sum of what
    they count.

    Args:
        events: with their ids, in the order of their times.
    """
    found: list[tuple[int, Event]] = []
    runs: dict[tuple[EventKind, str, str], int] = {}
    heard: dict[int, list[Event]] = {}
    for number, event in events:
        if event.level is not Level.DEBUG and not isinstance(event.fields.get("count"), int):
            runs = {}
            found.append((number, event))
            continue
        place = runs.setdefault((event.kind, event.subject, event.message), len(found))
        heard.setdefault(place, []).append(event)
        if place == len(found):
            found.append((number, event))
    for place, several in heard.items():
        if len(several) > 1:
            found[place] = (found[place][0], _several(several))
    return found


def _several(events: Sequence[Event]) -> Event:
    """Events that say the same as one, at the time of the newest."""
    newest, first = events[-1], events[0]
    counts = [event.fields.get("count") for event in events]
    total = sum(count for count in counts if isinstance(count, int))
    told = f", {total:,} in all" if total else ""
    seconds = duration(round(newest.time - first.time))
    fields: dict[str, Scalar] = {**newest.fields, "times": len(events), "first": first.time}
    if total:
        fields["count"] = total
    message = f"{newest.message}{told}: {len(events)} times in {seconds}"
    return replace(newest, message=message, fields=fields)
