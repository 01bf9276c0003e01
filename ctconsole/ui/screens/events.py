"""The timeline: one line for each event, newest first; enter unfolds what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType

from ctconsole.ui.screens.base import View
from ctconsole.ui.text import plural
from ctconsole.ui.widgets.event_rows import EventRows
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample


class EventsScreen(View):
    """View 4."""

    VIEW = "events"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "x",
            "unfold_all",
            "Unfold all",
            id="map.unfold",
            tooltip="Unfold every event, or fold all of them again",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._open: frozenset[int] = frozenset()

    def compose_body(self) -> Iterable[Widget]:
        """The table is all there is."""
        yield LineTable(
            id="timeline",
            empty="Nothing has happened yet: restarts, new maps and recreations will stand here.",
        )

    def show_sample(self, sample: Sample) -> None:
        """Lay the events out anew when there are new ones."""
        table = self.query_one(LineTable)
        rows = EventRows(sample.events, self._open, now=self.console.now())
        if table.rows is None or not rows.same_as(table.rows):
            table.set_rows(rows)

    def shown(self) -> str:
        """Number of events."""
        rows = self.query_one(LineTable).rows
        return plural(rows.events, "event") if isinstance(rows, EventRows) else ""

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
