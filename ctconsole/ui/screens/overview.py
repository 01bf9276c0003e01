"""View 1: every map at a glance, what is filling up, and what happened last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.containers import Horizontal

from ctconsole.model.advice import AdviceVerdict
from ctconsole.model.event import Level, marks_of
from ctconsole.model.units import count, duration, size
from ctconsole.observe.alarms import advice_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.base import SortableView
from ctconsole.ui.screens.details import MapDetails
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.agent_panel import AgentPanel, brief
from ctconsole.ui.widgets.alarm_line import AlarmLine
from ctconsole.ui.widgets.ct_rows import Sorting
from ctconsole.ui.widgets.event_rows import SHORT, EventRows
from ctconsole.ui.widgets.fill_graph import FillGraph
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.map_rows import MapRows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from ctconsole.model.advice import Advice
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow


class OverviewScreen(SortableView):
    """The first thing a person sees."""

    VIEW = "overview"

    BINDINGS = bindings("overview")

    def __init__(self) -> None:
        super().__init__()
        self.sorting = Sorting("group", descending=False)

    def alarm_line(self) -> AlarmLine:
        """Several alarms; the fill of each table stands below."""
        return AlarmLine(3, calm=False)

    def compose_body(self) -> Iterable[Widget]:
        """Maps, and below them the fill curve beside the last events."""
        yield LineTable(id="maps", empty="No pinned maps here yet.")
        with Horizontal(id="below"):
            yield FillGraph(id="graph")
            yield AgentPanel(id="agent")
            yield LineTable(id="recent", empty="Nothing has happened yet.")

    def show_sample(self, sample: Sample) -> None:
        """Show the maps of this sample."""
        table = self.query_one("#maps", LineTable)
        if sample.node is None:
            table.set_empty("Reading the node's maps …" if not sample.error else sample.error)
            return
        table.set_empty("No pinned maps here yet.")
        table.set_rows(MapRows(sample, self.sorting))
        now = self.console.now()
        self.query_one(AgentPanel).show(sample, now)
        narrow = self.has_class("-narrow")
        # Where there is no room for its panel the agent is told in the title of another.
        told = f"Last events · {clean(brief(sample, now))}" if narrow else "Last events"
        self.query_one("#recent").border_title = Text(told)
        # What goes on all the time would drive the last restart out of sight.
        loud = [one for one in sample.events if one[1].level is not Level.DEBUG]
        recent = EventRows(loud, now=now, columns=SHORT)
        events = self.query_one("#recent", LineTable)
        if events.rows is None or not recent.same_as(events.rows):
            events.set_rows(recent)
        self._draw_graph()

    def on_resize(self) -> None:
        """What is told depends on the room there is, which Textual knows only after this."""
        self.call_after_refresh(self.show_sample, self.console.sample)

    def shown(self) -> str:
        """Number of maps."""
        node = self.console.sample.node
        return plural(len(node.rows), "map") if node else ""

    @property
    def selected(self) -> MapRow | None:
        """The map under the cursor."""
        table = self.query_one("#maps", LineTable)
        rows = table.rows
        return rows.row(table.cursor) if isinstance(rows, MapRows) and len(rows) else None

    def go_to(self, row: MapRow) -> None:
        """Put the cursor on a map."""
        table = self.query_one("#maps", LineTable)
        place = table.rows.find(row.key) if table.rows else None
        if place is not None:
            table.move_to(place)
            table.focus()

    def resort(self) -> None:
        """Show the same sample in the new order."""
        self.show_sample(self.console.sample)

    def action_widen(self) -> None:
        """Show another stretch of time."""
        self.console.flash(f"the graph shows {duration(self.query_one(FillGraph).widen())}")

    def action_info(self) -> None:
        """Show everything about the map."""
        if self.selected:
            self.app.push_screen(MapDetails(self.selected, self.console.sample))

    def action_resize(self) -> None:
        """Open the dialogue, or say why not."""
        if self.selected:
            self.console.intents.resize(self.selected)

    def action_undo(self) -> None:
        """Open the dialogue, or say why not."""
        if self.selected:
            self.console.intents.undo_resize(self.selected)

    def action_recreate(self) -> None:
        """Open the dialogue, or say why not."""
        if self.selected:
            self.console.intents.recreate(self.selected)

    def action_guard(self) -> None:
        """Hold the conntrack tables, or let go of them."""
        self.console.intents.toggle_guard()

    def action_restart(self) -> None:
        """Open the dialogue, or say why not."""
        self.console.intents.restart_agent()

    @on(LineTable.Moved, "#maps")
    def _draw_graph(self) -> None:
        row, sample = self.selected, self.console.sample
        graph = self.query_one(FillGraph)
        trend = sample.trends.get(row.key, ()) if row else ()
        graph.show(row, trend, marks_of(sample.events, row.key) if row else ())
        advice = advice_of(sample, row) if row else None
        graph.border_subtitle = Text(_advised(advice) if advice else "")

    @on(LineTable.Selected, "#maps")
    def _open(self) -> None:
        row = self.selected
        if row and row.is_conntrack:
            self.console.open_entries(row)
        else:
            self.action_info()

    @on(LineTable.Selected, "#recent")
    def _open_events(self) -> None:
        self.console.show_view("events")


def _advised(advice: Advice) -> str:
    """``1,048,576 advised, 143.0 MiB``: the size a table should have."""
    if advice.verdict is AdviceVerdict.UNKNOWN or not advice.watched.info.type.is_hash:
        return ""
    if advice.verdict is AdviceVerdict.KEEP:
        return "the size is enough" if not advice.full else "no size within its limits is enough"
    memory = f", {size(advice.memory_wanted)}" if advice.memory_wanted else ""
    return f"{count(advice.wanted or 0)} advised{memory}"
