"""Events as rows of a `LineTable`: folded to one line, or unfolded into their fields."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ctconsole.model.event import EventKind, Level, as_it_happened, folded
from ctconsole.model.units import day_and_time
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from ctconsole.model.event import Event
    from ctconsole.ui.widgets.rows import Rows

TIMELINE = (
    Column("fold", "", 1, sortable=False),
    Column("time", "TIME", 8, sortable=False),
    Column("kind", "WHAT", 20, rank=2, sortable=False),
    Column("subject", "WHERE", 18, grow=1, most=26, rank=1, sortable=False),
    Column("message", "EVENT", 24, grow=3, sortable=False),
)

SHORT = (
    Column("time", "TIME", 8, sortable=False),
    Column("subject", "WHERE", 16, grow=1, most=20, rank=1, sortable=False),
    Column("message", "EVENT", 20, grow=3, sortable=False),
)

_KIND_STYLES = {
    EventKind.MAP_RECREATED: "warn",
    EventKind.MAP_REMOVED: "warn",
    EventKind.MAP_MISMATCH: "warn",
    EventKind.MAP_FULL: "crit",
    EventKind.INSERT_FAILED: "crit",
    EventKind.AGENT_FAILED: "crit",
    EventKind.AGENT_START: "accent",
    EventKind.AGENT_READY: "accent",
    EventKind.AGENT_STOP: "accent",
    EventKind.STORY: "strong",
    EventKind.GC_PASS: "dim",
}

_LEVEL_STYLES = {Level.DEBUG: "dim", Level.INFO: "", Level.WARNING: "warn", Level.ERROR: "crit"}


class EventRows:
    """A timeline, newest first by when things happened; what is heard all the time stands once.

    Args:
        events: with their ids, in the order in which they were heard of.
        unfolded: ids of the events shown with their fields.
        now: seconds since the epoch; events of another day are shown with their date.
        columns: `TIMELINE` or `SHORT`.
        chosen: the filter that let them through.
    """

    def __init__(
        self,
        events: Sequence[tuple[int, Event]],
        unfolded: frozenset[int] = frozenset(),
        *,
        now: float,
        columns: tuple[Column, ...] = TIMELINE,
        chosen: str = "",
    ) -> None:
        self._events = folded(as_it_happened(events))
        self._newest = events[-1][0] if events else 0
        self._unfolded = unfolded
        self._today = time.localtime(now)[:3]
        self._columns = columns
        self._chosen = chosen
        self._lines: list[tuple[int, int]] = []
        for place in range(len(self._events) - 1, -1, -1):
            number, event = self._events[place]
            self._lines.append((place, -1))
            if number in unfolded:
                self._lines += [(place, detail) for detail in range(len(_details(event)))]

    @property
    def events(self) -> int:
        """Number of lines that are an event, unfolded or not."""
        return len(self._events)

    @property
    def identity(self) -> Hashable:
        """Equal for two timelines that look the same."""
        return len(self._events), self._newest, self._unfolded, self._chosen

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return self._columns

    @property
    def sort(self) -> tuple[str, bool]:
        """Always by time; no heading is marked."""
        return "", True

    def __len__(self) -> int:
        return len(self._lines)

    def same_as(self, other: Rows) -> bool:
        """Whether ``other`` shows the same lines, so that nothing needs to be drawn."""
        return isinstance(other, EventRows) and self.identity == other.identity

    def key(self, row: int) -> Hashable:
        """Event id and number of the detail line."""
        place, detail = self._lines[row]
        return self._events[place][0], detail

    def event(self, row: int) -> Event | None:
        """The event of a line; None where there is no such line."""
        return self._events[self._lines[row][0]][1] if 0 <= row < len(self._lines) else None

    def find(self, key: Hashable) -> int | None:
        """The line of an event; that of the event itself when the detail has been folded."""
        found = None
        for row, (place, detail) in enumerate(self._lines):
            number = self._events[place][0]
            if (number, detail) == key:
                return row
            if isinstance(key, tuple) and number == key[0] and detail == -1:
                found = row
        return found

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One line."""
        place, detail = self._lines[row]
        number, event = self._events[place]
        if detail >= 0:
            name, value = _details(event)[detail]
            return {"message": ((f"{clean(name)}: ", "dim"), (clean(value), "second"))}
        level = _LEVEL_STYLES[event.level]
        message = event.message
        if "subject" not in widths and event.subject:
            message = f"{event.subject.rsplit('/', 1)[-1]}: {message}"
        return {
            "fold": (("▼" if number in self._unfolded else "▶", "dim"),),
            "time": ((self._time(event.time), "dim"),),
            "kind": ((event.kind.value, _KIND_STYLES.get(event.kind, "second")),),
            "subject": ((clean(event.subject.rsplit("/", 1)[-1] or event.source), ""),),
            "message": ((clean(message), level),),
        }

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""

    def _time(self, seconds: float) -> str:
        local = time.localtime(seconds)
        return time.strftime("%H:%M:%S" if local[:3] == self._today else "%b %d", local)


def _details(event: Event) -> list[tuple[str, str]]:
    """What unfolding shows: the event's own fields, then who said it, of what, and when."""
    lines = [(name, str(value)) for name, value in event.fields.items()]
    milliseconds = int(event.time % 1 * 1000)
    lines += [("source", event.source), ("subject", event.subject or "-")]
    lines.append(("at", f"{day_and_time(event.time)}.{milliseconds:03d}"))
    return lines
