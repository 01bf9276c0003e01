"""The timeline: one line for each event, newest first; enter unfolds what is known of it."""

from __future__ import annotations

import re
from collections import Counter
from itertools import compress
from typing import TYPE_CHECKING

from textual import on

from ctconsole.errors import FilterError
from ctconsole.model.event import Level, marks_of
from ctconsole.model.filter.events import Happened, event_fields, parse_events
from ctconsole.model.units import duration
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.filtered import FilteredView
from ctconsole.ui.screens.pick import Choice, PickScreen
from ctconsole.ui.text import plural
from ctconsole.ui.widgets.event_rows import EventRows
from ctconsole.ui.widgets.fill_graph import FillGraph
from ctconsole.ui.widgets.filter_bar import FilterBar
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample


_LEVEL = re.compile(r"(?<!\S)level>=\w+")
_KIND = re.compile(r"(?<!\S)kind:[\w-]+")
_MAP = re.compile(r"(?<!\S)map:[\w-]+")
"""The terms that keys put into the filter."""

_NEW = "Nothing has happened yet: restarts, new maps and recreations will stand here."
_NOTHING = "No event matches the filter; {entries.all} shows all again."


class EventsScreen(FilteredView):
    """View 4."""

    VIEW = "events"

    BINDINGS = bindings("events")

    def __init__(self) -> None:
        super().__init__()
        self._open: frozenset[int] = frozenset()
        self._chosen = parse_events("")
        self._whole = self._passed = 0

    def compose_body(self) -> Iterable[Widget]:
        """The table, what chooses of it, and how full a map was meanwhile."""
        yield FilterBar(event_fields(), self._happened, id="filter")
        yield LineTable(
            id="timeline",
            empty=_NEW,
        )
        yield FillGraph(id="behind")

    def show_sample(self, sample: Sample) -> None:
        """Lay the events out anew when there are new ones."""
        table = self.query_one(LineTable)
        events = sample.events
        if self._chosen:
            happened = Happened([event for _, event in events], self.console.now())
            events = tuple(compress(events, self._chosen.rows(happened)))
        rows = EventRows(events, self._open, now=self.console.now(), chosen=self._chosen.text)
        self._whole = len(sample.events)
        self._passed = len(events)
        self.query_one(FilterBar).count(len(events), self._whole)
        if table.rows is None or not rows.same_as(table.rows):
            table.set_empty(self.console.keyed(_NOTHING) if self._chosen else _NEW)
            table.set_rows(rows)
        self._draw_behind()

    @on(LineTable.Moved, "#timeline")
    def _draw_behind(self) -> None:
        """The fill of the map that the event under the cursor is about, else of the fullest."""
        sample = self.console.sample
        rows = self.query_one(LineTable).rows
        event = (
            rows.event(self.query_one(LineTable).cursor) if isinstance(rows, EventRows) else None
        )
        maps = [row for row in sample.node.rows if row.fill is not None] if sample.node else []
        chosen = next((row for row in maps if event and row.key == event.subject), None)
        fullest = max(maps, key=lambda row: row.fill or 0.0, default=None)
        row = chosen or fullest
        trend = sample.trends.get(row.key, ()) if row else ()
        marks = marks_of(sample.events, row.key) if row else ()
        self.query_one(FillGraph).show(row, trend, marks, event.time if event else None)

    def _happened(self) -> Happened:
        events = [event for _, event in self.console.sample.events]
        return Happened(events, self.console.now())

    @property
    def filter_text(self) -> str:
        """See `FilteredView`; that of entries is another."""
        return self._chosen.text

    def filter_to(self, text: str) -> None:
        """See `FilteredView`."""
        bar = self.query_one(FilterBar)
        try:
            self._chosen = parse_events(text, self.console.filters.saved)
        except FilterError as error:
            bar.complain(error)
            return
        bar.complain(None)
        self.show_sample(self.console.sample)
        self.console.refresh_status()

    def shown(self) -> str:
        """Number of events; of those that are told once the lines."""
        rows = self.query_one(LineTable).rows
        if not isinstance(rows, EventRows):
            return ""
        whole = plural(self._whole, "event")
        text = f"{self._passed:,} of {whole}" if self._chosen else whole
        return text if rows.events == self._passed else f"{text} in {plural(rows.events, 'line')}"

    @on(LineTable.Selected)
    def _toggle(self, message: LineTable.Selected) -> None:
        number = message.key[0] if isinstance(message.key, tuple) else message.key
        if isinstance(number, int):
            self._open = self._open ^ {number}
            self.show_sample(self.console.sample)

    def action_unfold_all(self) -> None:
        """Unfold everything, or fold it again."""
        events = self.console.sample.events
        self._open = frozenset() if self._open else frozenset(number for number, _ in events)
        self.show_sample(self.console.sample)

    def action_widen(self) -> None:
        """Show another stretch of time in the graph."""
        self.console.flash(f"the graph shows {duration(self.query_one(FillGraph).widen())}")

    def action_level(self) -> None:
        """Leave out what is quieter than the next level, and at last nothing again."""
        shown = _LEVEL.search(self.filter_text)
        words = ["", *(f"level>={level}" for level in (Level.INFO, Level.WARNING, Level.ERROR))]
        now = shown[0] if shown else ""
        following = words[(words.index(now) + 1) % len(words)] if now in words else ""
        self._put(_LEVEL, following)

    def action_kind(self) -> None:
        """Choose one kind of those there are."""
        counts = Counter(event.kind.value for _, event in self.console.sample.events)
        self._pick("Which kind?", "kind", _KIND, counts)

    def action_pick_map(self) -> None:
        """Choose one map of those that events are about."""
        subjects = (event.subject for _, event in self.console.sample.events)
        counts = Counter(subject.rpartition("/")[2] for subject in subjects if "/" in subject)
        self._pick("Which map?", "map", _MAP, counts)

    def _pick(self, title: str, name: str, term: re.Pattern[str], counts: Counter[str]) -> None:
        choices = [Choice("", "all of them")]
        choices += [Choice(word, word, f"{count:,}") for word, count in counts.most_common()]
        found = term.search(self.filter_text)
        current = found[0].partition(":")[2] if found else ""

        def chosen(word: str | None) -> None:
            if word is not None:
                self._put(term, f"{name}:{word}" if word else "")

        self.app.push_screen(PickScreen(title, choices, current), chosen)

    def _put(self, term: re.Pattern[str], instead: str) -> None:
        """Change one term of the filter, and leave the others."""
        rest = " ".join(term.sub("", self.filter_text).split())
        if instead and " or " in f" {rest} ":
            rest = f"({rest})"
        text = " ".join(filter(None, (rest, instead)))
        if text:
            self.query_one(FilterBar).open(text, focus=False)
        else:
            self.query_one(FilterBar).close()
        self.filter_to(text)
