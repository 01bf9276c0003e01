"""View 1: every map at a glance, what is filling up, and what happened last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal
from textual.widgets import Static

from ctconsole.model.advice import AdviceVerdict, Watched, advise
from ctconsole.model.units import count, duration
from ctconsole.observe.sampler import standing
from ctconsole.ui.keys import bindings
from ctconsole.ui.levels import WARN, Tone, level_of, percent
from ctconsole.ui.screens.base import SortableView
from ctconsole.ui.screens.details import MapDetails
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.ct_rows import Sorting
from ctconsole.ui.widgets.event_rows import SHORT, EventRows
from ctconsole.ui.widgets.fill_graph import FillGraph
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.map_rows import MapRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow


def alert(sample: Sample) -> tuple[str, Tone]:
    """One sentence about what most needs a look.

    A split brain, else the fullest map above the first threshold, else a pin that is not shown.
    """
    split = next((one for one in standing(sample).values() if one.split), None)
    if split:
        return f"▲ {clean(split.verdict)} · 5 shows which", Tone.CRIT
    rows = sample.node.rows if sample.node else ()
    full = [
        row for row in rows if row.fill is not None and row.fill >= WARN and row.info.type.is_hash
    ]
    if not full:
        return _not_shown(sample.node.passed_over if sample.node else ())
    row = max(full, key=lambda row: row.fill or 0)
    fill = row.fill or 0.0
    text = f"▲ {clean(row.info.label)} is {percent(fill)} full{_prospect(row, sample)}"
    if len(full) > 1:
        text += f"; {len(full) - 1} more above {percent(WARN)}"
    return text, level_of(fill)


def _prospect(row: MapRow, sample: Sample) -> str:
    """Where a table's fill goes, and the size it should have."""
    trend = sample.trends.get(row.key, ())
    if not trend or sample.node is None:
        return ""
    advice = advise(Watched(row.info, trend, sample.node.cpus))
    text = ""
    if advice.full:
        text = ": it throws entries out" if row.info.type.is_lru else ": it refuses new ones"
    elif advice.full_in is not None and advice.grown is not None:
        rate = f"{advice.grown.rate:+,.0f}/s"
        text = f", at {rate} it is full in about {duration(round(advice.full_in))}"
    if advice.verdict is AdviceVerdict.ENLARGE:
        text += f"; {count(advice.wanted or 0)} entries are advised"
    return text


def _not_shown(passed_over: Sequence[str]) -> tuple[str, Tone]:
    """That some pins could not be opened, and why the first of them."""
    if not passed_over:
        return "", Tone.OK
    more = f"; {len(passed_over) - 1} more" if len(passed_over) > 1 else ""
    return f"▲ {clean(passed_over[0])}{more}", Tone.WARN


def _ages(sample: Sample) -> dict[str, float]:
    """Seconds since each conntrack table was read, by `MapRow.key`."""
    return {key: max(0.0, sample.taken_at - at) for key, at in sample.read_at.items() if at}


class OverviewScreen(SortableView):
    """The first thing a person sees."""

    VIEW = "overview"

    BINDINGS = bindings("overview")

    def __init__(self) -> None:
        super().__init__()
        self.sorting = Sorting("group", descending=False)

    def compose_body(self) -> Iterable[Widget]:
        """Alert, maps, and below them the fill curve beside the last events."""
        yield Static(id="alert", markup=False)
        yield LineTable(id="maps", empty="No pinned maps here yet.")
        with Horizontal(id="below"):
            yield FillGraph(id="graph")
            yield LineTable(id="recent", empty="Nothing has happened yet.")

    def on_mount(self) -> None:
        """Name the panel."""
        self.query_one("#recent").border_title = "Last events"

    def show_sample(self, sample: Sample) -> None:
        """Show the maps of this sample."""
        table = self.query_one("#maps", LineTable)
        if sample.node is None:
            table.set_empty("Reading the node's maps …" if not sample.error else sample.error)
            return
        table.set_empty("No pinned maps here yet.")
        table.set_rows(
            MapRows(
                sample.node.rows,
                sample.trends,
                self.sorting,
                sample.stats,
                _ages(sample),
                usage=standing(sample),
            )
        )
        recent = EventRows(sample.events, now=self.console.now(), columns=SHORT)
        events = self.query_one("#recent", LineTable)
        if events.rows is None or not recent.same_as(events.rows):
            events.set_rows(recent)
        text, level = alert(sample)
        bar = self.query_one("#alert", Static)
        bar.update(text)
        bar.display = bool(text)
        bar.set_classes(f"-{level}")
        self._draw_graph()

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

    def resort(self) -> None:
        """Show the same sample in the new order."""
        self.show_sample(self.console.sample)

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
        row = self.selected
        trends = self.console.sample.trends
        self.query_one(FillGraph).show(row, trends.get(row.key, ()) if row else ())

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
