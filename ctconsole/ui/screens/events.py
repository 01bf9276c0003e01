"""The timeline: one line for each event, newest first; enter unfolds what is known of it."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

from textual import on

from ctconsole.errors import FilterError
from ctconsole.model.filter.events import Happened, event_fields, parse_events
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.filtered import FilteredView
from ctconsole.ui.text import plural
from ctconsole.ui.widgets.event_rows import EventRows
from ctconsole.ui.widgets.filter_bar import FilterBar
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample


_NEW = "Nothing has happened yet: restarts, new maps and recreations will stand here."
_NOTHING = "No event matches the filter; esc shows all again."


class EventsScreen(FilteredView):
    """View 4."""

    VIEW = "events"

    BINDINGS = bindings("events")

    def __init__(self) -> None:
        super().__init__()
        self._open: frozenset[int] = frozenset()
        self._chosen = parse_events("")
        self._whole = 0

    def compose_body(self) -> Iterable[Widget]:
        """The table, and what chooses of it."""
        yield FilterBar(event_fields(), self._happened, id="filter")
        yield LineTable(
            id="timeline",
            empty=_NEW,
        )

    def show_sample(self, sample: Sample) -> None:
        """Lay the events out anew when there are new ones."""
        table = self.query_one(LineTable)
        events = sample.events
        if self._chosen:
            happened = Happened([event for _, event in events], self.console.now())
            events = tuple(compress(events, self._chosen.rows(happened)))
        rows = EventRows(events, self._open, now=self.console.now(), chosen=self._chosen.text)
        self._whole = len(sample.events)
        self.query_one(FilterBar).count(len(events), self._whole)
        if table.rows is None or not rows.same_as(table.rows):
            table.set_empty(_NOTHING if self._chosen else _NEW)
            table.set_rows(rows)

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
        """Number of events."""
        rows = self.query_one(LineTable).rows
        if not isinstance(rows, EventRows):
            return ""
        whole = plural(self._whole, "event")
        return f"{rows.events:,} of {whole}" if self._chosen else whole

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
