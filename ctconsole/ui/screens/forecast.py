"""What the loss of its entries would do to a table's connections, before anybody does it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual import work
from textual.widgets import Static

from ctconsole.errors import CtconsoleError, FilterError
from ctconsole.model.ct.outcomes import REASONS, Change, Risk, reasons_to_tell
from ctconsole.model.ct.query import EVERYTHING
from ctconsole.model.ct.risk import forecast
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.levels import RISK_WORDS
from ctconsole.ui.screens.details import Details
from ctconsole.ui.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.model.ct.knowledge import Translations
    from ctconsole.model.ct.outcomes import Forecast, Reason
    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.sampler import Sample

_COLUMNS = (Risk.COMES_BACK, Risk.AT_RISK, Risk.BREAKS, Risk.DEAD)
_MEANINGS = {
    Change.RECREATE: "statistics lost too",
    Change.FLUSH: "translations lost too",
}


class ForecastScreen(Details):
    """Counts by outcome and reason; follows the table through the samples.

    Args:
        table: the table of the sample it was opened on.
        query: which of its entries are judged.
    """

    BINDINGS = bindings("forecast")

    def __init__(self, table: CtTable, query: Query = EVERYTHING) -> None:
        chosen = f" by {query.text}" if query else ""
        super().__init__(f"What becomes of {table.info.label}{chosen}")
        self._table = table
        self._query = query
        self._translated: Mapping[int, Translations] | None = None

    def on_mount(self) -> None:
        """Say what is being done; the answer comes from a worker."""
        self.query_one("#details").border_subtitle = console_of(self.app).keyed(
            "{forecast.list} lists those that break · {forecast.close} closes"
        )
        self.query_one("#facts", Static).update(Text("Judging every entry …", "dim"))
        self._judge(self._table)

    def show_sample(self, sample: Sample) -> None:
        """Judge the newest table while the box is open."""
        table = sample.table
        if table is not None and table.info.label == self._table.info.label:
            self._table = table
            self._judge(table)

    def action_list(self) -> None:
        """Leave for the entries that break when the table is re-created."""
        self.dismiss()
        chosen = f" {self._query.filter.grouped}" if self._query else ""
        console_of(self.app).open_filtered(f"risk:breaks{chosen}")

    @work(thread=True, exclusive=True, group="forecast", exit_on_error=False)
    def _judge(self, table: CtTable) -> None:
        app, console = self.app, console_of(self.app)
        try:
            if self._translated is None:
                self._translated = console.read_translated()
        except (CtconsoleError, OSError) as error:
            # The rest can be said without them; they are not asked for again.
            self._translated = {}
            app.call_from_thread(console.flash, f"translations are not known: {error}")
        known = table.knowledge
        if known.translated is None:
            table = replace(table, knowledge=replace(known, translated=self._translated))
        if self._query:
            try:
                part = table.take(self._query.rows(table))
            except FilterError as error:
                app.call_from_thread(self.query_one("#facts", Static).update, Text(str(error)))
                return
        else:
            part = table
        app.call_from_thread(self._show, part, forecast(part), len(table))

    def _show(self, table: CtTable, found: tuple[Forecast, ...], whole: int) -> None:
        if not self.is_mounted:
            return
        self.query_one("#facts", Static).update(
            forecast_table(table, found, self.app.theme_variables, whole)
        )


def forecast_table(
    table: CtTable, found: tuple[Forecast, ...], colours: Mapping[str, str], whole: int
) -> Table:
    """A line for each change, then the reasons of those that do not come back by themselves."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, width=9)
    for _ in _COLUMNS:
        grid.add_column(no_wrap=True, justify="right", width=10)
    grid.add_column(overflow="fold", style="dim")
    said = plural(whole, "entry", "entries")
    if len(table) != whole:
        said = f"{len(table):,} of {said}"
    titles = (Text(RISK_WORDS[one][0], colours[RISK_WORDS[one][1]]) for one in _COLUMNS)
    grid.add_row("", *titles, clean(f"of {said}"))
    for one in found:
        counts = (Text(f"{one.count(column):,}", "bold") for column in _COLUMNS)
        grid.add_row(one.change.value, *counts, _MEANINGS[one.change])
    outer = Table.grid()
    outer.add_row(grid)
    for change, reasons in reasons_to_tell(found):
        outer.add_row("")
        outer.add_row(_reasons(change, reasons, colours))
    if not table.has_clock:
        outer.add_row("")
        outer.add_row(
            Text("The clock is not known: entries that have expired count as alive.", "dim")
        )
    return outer


def _reasons(
    change: Change, worst: Sequence[tuple[Risk, Reason, int]], colours: Mapping[str, str]
) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, width=9)
    grid.add_column(no_wrap=True, justify="right", width=10)
    grid.add_column(no_wrap=True, width=9)
    grid.add_column(overflow="fold")
    for number, (risk, why, count) in enumerate(worst):
        word, colour = RISK_WORDS[risk]
        style = colours[colour]
        first = "" if number else change.value
        grid.add_row(first, Text(f"{count:,}", style), Text(word, style), REASONS[why])
    return grid
