"""View 2: the connections of one CT map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import on, work
from textual.containers import Horizontal
from textual.widgets import Static
from textual.worker import get_current_worker

from ctconsole.errors import FilterError
from ctconsole.model.ct.query import EVERYTHING, entry_fields
from ctconsole.model.ct.seen import Seen
from ctconsole.model.ct.table import CtTable, State
from ctconsole.model.ct.words import STATES, texts
from ctconsole.ui.keys import bindings
from ctconsole.ui.newest import Newest
from ctconsole.ui.screens.base import SortableView
from ctconsole.ui.screens.details import EntryDetails, copy_entry
from ctconsole.ui.screens.filtered import EntriesFiltered
from ctconsole.ui.screens.forecast import ForecastScreen
from ctconsole.ui.screens.pick import Choice, PickScreen
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.ct_rows import LEGEND, CtRows, Sorting, arrange
from ctconsole.ui.widgets.filter_bar import FilterBar
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from ctconsole.model.ct.changes import Changes
    from ctconsole.model.names import Names
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.widgets.ct_rows import Arrangement

_STATES = texts(STATES)


class MapName(Static):
    """The name of the map shown; a click opens the menu of maps."""

    def on_click(self) -> None:
        """As the key does."""
        self.app.call_later(self.screen.run_action, "pick_map")


class EntriesScreen(EntriesFiltered, SortableView):
    """A table of up to millions of entries."""

    VIEW = "entries"

    BINDINGS = bindings("entries")

    def __init__(self) -> None:
        super().__init__()
        self.sorting = Sorting("bytes", descending=True)
        self._arranged: CtTable | None = None
        self._changes: Changes | None = None
        self._with_names: Names | None = None
        self._work = Newest[CtTable](self._arrange)

    def compose_body(self) -> Iterable[Widget]:
        """Which map and what is in it; the table."""
        with Horizontal(id="map-line"):
            yield MapName(id="map-name", markup=False)
            yield Static(id="summary")
        yield FilterBar(entry_fields(), self._seen, id="filter")
        yield LineTable(id="entries")

    def on_screen_resume(self) -> None:
        """Ask for the table while this view is on top; take over a filter set elsewhere."""
        self.choose(self.row)
        self.take_over_filter()
        self.show_sample(self.console.sample)

    def on_screen_suspend(self) -> None:
        """A table nobody looks at need not be read; under a dialogue it is still looked at."""
        if self.app.current_mode not in {self.VIEW, "top"}:
            self.console.watch_map(None)
        if self.app.current_mode != self.VIEW:
            self._let_go()

    def _let_go(self) -> None:
        """Keep no table while another view is on top, but what stands on the screen."""
        table = self.query_one(LineTable)
        rows = table.rows
        self._arranged = self._changes = None
        if isinstance(rows, CtRows) and len(rows):
            table.set_rows(rows.still(table.scroll_offset.y, table.size.height, table.cursor))

    @property
    def row(self) -> MapRow | None:
        """The map shown: the one chosen, else the first CT map."""
        return self.console.ct_map

    def choose(self, row: MapRow | None) -> None:
        """Show this map from now on."""
        if row is None:
            return
        if row.key != self.console.chosen_map:
            self._arranged = None
            self.query_one("#summary", Static).update("")
        self.console.chosen_map = row.key
        self.console.watch_map(row.info.pin or row.info.id)
        self.query_one("#map-name", Static).update(f"{clean(row.info.label)} ▼")

    def show_sample(self, sample: Sample) -> None:
        """Arrange the table of this sample in a worker; it is shown when that is done."""
        table = self.query_one(LineTable)
        row = self.row
        if row is None:
            table.set_empty("No conntrack map is pinned here." if sample.node else "Reading …")
            return
        if self.console.chosen_map is None:
            self.choose(row)
        if sample.table is None or sample.watched != (row.info.pin or row.info.id):
            table.set_empty(sample.error or f"Reading {clean(row.info.label)} …")
            return
        if not self.query_shown:
            table.set_empty(f"{clean(row.info.label)} is empty: no connection is tracked in it.")
        fresh = self.names_came()
        if (
            fresh
            or sample.table is not self._arranged
            or self._with_names is not self.console.names
        ):
            self._arranged, self._changes = sample.table, sample.changes
            self._with_names = self.console.names
            self._work.ask(sample.table)

    def shown(self) -> str:
        """Rows shown of rows there are."""
        rows = self.query_one(LineTable).rows
        if not isinstance(rows, CtRows):
            return ""
        whole = plural(len(rows.arrangement.table), "entry", "entries")
        return f"{len(rows):,} of {whole}" if rows.arrangement.query else whole

    def _seen(self) -> Seen | None:
        """What is filtered, for the values that are offered."""
        table = self._arranged
        return None if table is None else Seen(table, self.console.known_names)

    def resort(self) -> None:
        """Arrange the same table anew."""
        if self._arranged is not None:
            self._work.ask(self._arranged)

    @work(thread=True, group="arrange", exit_on_error=False)
    def _arrange(self) -> None:
        try:
            if (table := self._work.wanted) is not None:
                self._arrange_now(table)
        finally:
            # A worker that is cancelled belongs to a screen that is gone.
            if not get_current_worker().is_cancelled:
                self.app.call_from_thread(self._work.ended)

    def _arrange_now(self, table: CtTable) -> None:
        key = self.query_one(LineTable).held_key
        sorting = self.sorting
        held = key if isinstance(key, bytes) else None
        changes = self._changes if table is self._arranged else None
        rows = self.query_one(LineTable).rows
        before = rows.arrangement if isinstance(rows, CtRows) else None
        try:
            arrangement = arrange(
                table,
                sorting,
                held,
                self.query_shown,
                changes,
                before=before,
                # Who holds on to an entry looks at its surroundings, wherever that will be.
                first=None if held else self._tell_first,
            )
        except FilterError as error:
            # Not every table tells what the filter asks for.
            self.refused(error)
            self.app.call_from_thread(self.query_one(LineTable).await_order, "")
            return
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show, arrangement, held)

    def _tell_first(self, arrangement: Arrangement, count: int) -> None:
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show_first, arrangement, count)

    def _show_first(self, arrangement: Arrangement, count: int) -> None:
        """Show the uppermost rows of an order that is still being made."""
        table = self.query_one(LineTable)
        if self._is_wanted(arrangement) and table.held_key is None and not table.scroll_offset.y:
            rows = CtRows(arrangement, self._with_names)
            seen = min(table.size.height, len(rows))
            table.set_rows(rows.still(0, seen, table.cursor, count), at=table.cursor)

    def _is_wanted(self, arrangement: Arrangement) -> bool:
        """Whether it is of what is looked at, in the way that is asked for by now."""
        made = (arrangement.sorting, arrangement.query)
        return arrangement.table is self._arranged and made == (self.sorting, self.query_shown)

    def _show(self, arrangement: Arrangement, held: bytes | None) -> None:
        """Show what was arranged around the entry that the cursor held on to."""
        if not self._is_wanted(arrangement):
            return
        table = self.query_one(LineTable)
        # Who has moved on meanwhile is not taken back.
        stayed = table.held_key == held
        at = arrangement.at if stayed else None
        if arrangement.query and not len(arrangement.order):
            told = "No entry matches the filter; {entries.all} shows all again."
            table.set_empty(self.console.keyed(told))
        table.set_rows(CtRows(arrangement, self._with_names), at=at)
        if held and stayed and at is None and len(arrangement.order) and not arrangement.query:
            self.console.flash("the entry under the cursor is gone")
        self.query_one(FilterBar).count(len(arrangement.order), len(arrangement.table))
        self.query_one("#summary", Static).update(_summary(arrangement))
        self.console.refresh_status()

    def action_pick_map(self) -> None:
        """Choose from a menu."""
        choices = [Choice(row.key, row.info.label, _room(row)) for row in self.console.ct_maps]
        if choices:
            current = self.console.chosen_map or ""
            self.app.push_screen(PickScreen("Conntrack map", choices, current), self._picked)

    def action_next_map(self, by: int) -> None:
        """Show the neighbouring map."""
        self.console.next_ct_map(by)
        self._arranged = None
        self.choose(self.row)
        self.show_sample(self.console.sample)

    def action_recreate(self) -> None:
        """Open the dialogue, or say why not."""
        if self.row:
            self.console.intents.recreate(self.row)

    @on(LineTable.Selected, "#entries")
    def _details(self, message: LineTable.Selected) -> None:
        rows = message.table.rows
        if isinstance(rows, CtRows) and isinstance(message.key, bytes):
            table, names = rows.arrangement.table, self.console.names
            self.app.push_screen(EntryDetails(table, message.key, names))

    def _picked(self, key: str | None) -> None:
        row = next((row for row in self.console.ct_maps if row.key == key), None)
        if row:
            self.choose(row)
            self.show_sample(self.console.sample)

    def action_names(self) -> None:
        """Names, or numbers again."""
        self.console.toggle_names()

    def action_forecast(self) -> None:
        """Say what the loss of the table would do."""
        if self._arranged is not None:
            self.app.push_screen(ForecastScreen(self._arranged, self.query_shown))

    def action_delete(self) -> None:
        """Delete the entry under the cursor."""
        key = self.query_one(LineTable).held_key
        rows = self.query_one(LineTable).rows
        if self.row and rows is not None and len(rows):
            found = key if isinstance(key, bytes) else rows.key(self.query_one(LineTable).cursor)
            if isinstance(found, bytes):
                self.console.intents.delete_entries(self.row, EVERYTHING, found)

    def action_follow(self) -> None:
        """Follow the entry under the cursor; without one, show what is followed."""
        rows = self.query_one(LineTable).rows
        followed = self.console.following.entry
        key = rows.key(self.query_one(LineTable).cursor) if rows is not None and len(rows) else None
        if isinstance(rows, CtRows) and isinstance(key, bytes):
            if followed is None or followed.key != key:
                self.console.following.begin(rows.arrangement.table, key)
                self.console.flash("followed; F in another view shows it, also after its end")
            self.app.push_screen(EntryDetails(rows.arrangement.table, key, self.console.names))
        else:
            super().action_follow()

    def action_copy(self) -> None:
        """Choose how to copy the entry under the cursor."""
        rows = self.query_one(LineTable).rows
        if isinstance(rows, CtRows) and len(rows):
            key = rows.key(self.query_one(LineTable).cursor)
            copy_entry(self.app, rows.arrangement.table, key, self.console.names)

    def action_flush(self) -> None:
        """Delete what is shown."""
        if self.row:
            self.console.intents.delete_entries(self.row, self.query_shown)

    def refilter(self) -> None:
        """See `EntriesFiltered`."""
        self.resort()


def _room(row: MapRow) -> str:
    """How full a map is; a file may not tell of how much."""
    entries = f"{row.entries or 0:,}"
    return f"{entries} of {row.info.max_entries:,}" if row.info.max_entries else entries


_IN_ORDER = (
    State.ESTABLISHED,
    State.OPENING,
    State.ONE_WAY,
    State.HALF_CLOSED,
    State.CLOSING,
    State.EXPIRED,
)


def _summary(arrangement: Arrangement) -> Text:
    """How many entries are in which state."""
    text = Text(no_wrap=True, overflow="ellipsis")
    counts = arrangement.counts
    for state in _IN_ORDER:
        if counts[state] or state in {State.ESTABLISHED, State.EXPIRED}:
            text.append(f"  {counts[state]:,}", "bold")
            text.append(f" {_STATES[state]}", "dim")
    table, changes = arrangement.table, arrangement.changes
    if changes is not None:
        text.append(f"   +{changes.new_rate:,.0f}/s -{changes.gone_rate:,.0f}/s", "bold")
        if changes.evicted:
            text.append(f" ~{changes.evicted:,} evicted", "bold")
    text.append(f"   layout {table.layout}", "dim")
    text.append("   " + "  ".join(f"{mark} {meant}" for mark, meant in LEGEND), "dim")
    if not table.walk.complete:
        text.append(f"   ▲ incomplete: {clean(table.walk.note)}", "bold")
    return text
