"""View 3: what is in a table, and who fills it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from rich.text import Text
from textual import on, work
from textual.widgets import Static
from textual.worker import get_current_worker

from ctconsole.errors import FilterError
from ctconsole.model.ct.query import entry_fields
from ctconsole.model.ct.seen import Seen
from ctconsole.model.ct.stats import StatsTally
from ctconsole.model.ct.table import CtTable
from ctconsole.model.ct.words import DIRECTION_NAMES, protocol_name
from ctconsole.model.groupings import Grouping, why_none
from ctconsole.model.talkers import Moved, Ranking, talkers
from ctconsole.model.units import duration, percent
from ctconsole.observe.alarms import full_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.levels import Tone, level_of
from ctconsole.ui.newest import Newest
from ctconsole.ui.screens.filtered import EntriesFiltered
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.filter_bar import FilterBar
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.top_rows import RANKED, TOGETHER, TopLine, TopRows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from weakref import ReferenceType

    from textual.widget import Widget

    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.stats import Bar, Stats
    from ctconsole.model.names import Names
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow

_SAME = 1e-6
"""Seconds by which two moments may differ that are one."""

NAMED = 10
"""How many of each kind are shown."""

NAMED_ALONE = 100
"""How many are shown of one kind alone."""


class TopScreen(EntriesFiltered):
    """The watched table in numbers, and its largest users."""

    VIEW = "top"

    BINDINGS = bindings("top")

    def __init__(self) -> None:
        super().__init__()
        # Not the table itself: the one shown last would live on while another view is on top.
        self._counted: ReferenceType[CtTable] | None = None
        self._before: CtTable | None = None
        self._work = Newest[CtTable](self._count)
        self._grouping: Grouping | None = None
        self._ranking = Ranking.ENTRIES
        self._pods: Names | None = None

    def compose_body(self) -> Iterable[Widget]:
        """The numbers; the largest."""
        yield FilterBar(entry_fields(), self._seen, id="filter")
        yield Static(id="numbers")
        yield LineTable(id="tops", empty="Reading …")

    def on_screen_resume(self) -> None:
        """Ask for the table while this view is on top."""
        self.take_over_filter()
        super().on_screen_resume()
        row = self.row
        if row is not None:
            self.console.watch_map(row.info.pin or row.info.id)

    def _seen(self) -> Seen | None:
        """What is filtered, for the values that are offered."""
        table = self._counted() if self._counted is not None else None
        return None if table is None else Seen(table, self.console.known_names)

    def refilter(self) -> None:
        """See `EntriesFiltered`."""
        table = self._counted() if self._counted is not None else None
        if table is not None:
            self._work.ask(table)

    def on_screen_suspend(self) -> None:
        """A table nobody looks at need not be read."""
        if self.app.current_mode not in {self.VIEW, "entries"}:
            self.console.watch_map(None)
        if self.app.current_mode != self.VIEW:
            self._before = None

    @property
    def row(self) -> MapRow | None:
        """The map shown."""
        return self.console.ct_map

    def show_sample(self, sample: Sample) -> None:
        """Count in a worker; shown when that is done."""
        row = self.row
        table = self.query_one(LineTable)
        if row is None:
            table.set_empty("No conntrack map is pinned here." if sample.node else "Reading …")
            return
        where = row.info.pin or row.info.id
        if self.app.current_mode == self.VIEW:
            self.console.watch_map(where)
        if not self.query_shown:
            self._show_numbers(sample.stats.get(row.key))
        fresh = self.names_came() or self._pods_came()
        if sample.table is None or sample.watched != where:
            table.set_empty(f"Reading {clean(row.info.label)} …")
        elif fresh or not self._has_counted(sample.table):
            self._counted = ref(sample.table)
            self._work.ask(sample.table)

    def _show_numbers(self, stats: Stats | None) -> None:
        if self.row is not None:
            text = _numbers(self.row, stats, self.console.sample)
            self.query_one("#numbers", Static).update(text)

    def shown(self) -> str:
        """How many are named."""
        rows = self.query_one(LineTable).rows
        if rows is None or not len(rows):
            return ""
        if self._grouping is None:
            return f"largest {NAMED} of each kind, by {self._ranking}"
        return f"{len(rows)} by {self._grouping}, by {self._ranking}"

    @work(thread=True, group="tops", exit_on_error=False)
    def _count(self) -> None:
        try:
            if (table := self._work.wanted) is not None:
                self._count_now(table, self.query_shown)
        finally:
            if self.app.current_mode != self.VIEW:
                # The view was left while this went on.
                self._before = None
            # A worker that is cancelled belongs to a screen that is gone.
            if not get_current_worker().is_cancelled:
                self.app.call_from_thread(self._work.ended)

    def _count_now(self, table: CtTable, query: Query) -> None:
        try:
            passed, stats = self._numbers_of(table, query)
            lines = self._lines(table, query)
        except FilterError as error:
            self.refused(error)
            return
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show, table, query, passed, lines, stats)

    def _numbers_of(self, table: CtTable, query: Query) -> tuple[int, Stats | None]:
        """How many entries pass, and what they are; called in a worker."""
        if not query:
            return len(table), self.console.sample.stats.get(self._key)
        passed, tally = 0, StatsTally()
        tally.know_clock(table)
        # In parts: what passes may be as large as the table.
        for part in table.parts():
            some = part.take(query.rows(part))
            tally.add(some)
            passed += len(some)
        return passed, tally.stats()

    def _lines(self, table: CtTable, query: Query) -> list[TopLine]:
        """The largest of each kind asked for; called in a worker."""
        before, self._before = self._before, table
        alone = self._grouping
        return [
            TopLine(grouping, one)
            for grouping in (TOGETHER if alone is None else (alone,))
            for one in talkers(
                table,
                grouping,
                self._ranking,
                NAMED if alone is None else NAMED_ALONE,
                names=self._names_for(grouping),
                moved=_moved(before, table, self.console.sample),
                passes=query.rows if query else None,
            )
        ]

    def _pods_came(self) -> bool:
        """Whether names came that entries are put together by; they are known from now on."""
        asked = self._grouping in {Grouping.POD, Grouping.NAMESPACE}
        came = asked and self.console.known_names is not self._pods
        self._pods = self.console.known_names
        return came

    def _names_for(self, grouping: Grouping) -> Names | None:
        """Pods and namespaces are names, whether names are shown or not."""
        asked = grouping in {Grouping.POD, Grouping.NAMESPACE}
        return self.console.known_names if asked else self.console.names

    @property
    def _key(self) -> str:
        return self.row.key if self.row else ""

    def _show(
        self, table: CtTable, query: Query, passed: int, lines: list[TopLine], stats: Stats | None
    ) -> None:
        if self._has_counted(table) and query == self.query_shown:
            tops = self.query_one(LineTable)
            tops.set_empty(self._why_none(query, passed))
            tops.set_rows(TopRows(lines, passed, self._ranking))
            self.query_one(FilterBar).count(passed, len(table))
            self._show_numbers(stats)
            self.console.refresh_status()

    def _has_counted(self, table: CtTable) -> bool:
        return self._counted is not None and self._counted() is table

    def _why_none(self, query: Query, passed: int) -> str:
        if not passed:
            return (
                self.console.keyed("No entry matches the filter; {entries.all} shows all again.")
                if query
                else "The table is empty: no connection is tracked in it."
            )
        return why_none(self._grouping or Grouping.SOURCE, self.console.known_names)

    def action_group(self, by: int) -> None:
        """Put entries together by the next thing; after the last by several again."""
        every = (None, *Grouping)
        self._grouping = every[(every.index(self._grouping) + by) % len(every)]
        if self._grouping in {Grouping.POD, Grouping.NAMESPACE} and not self.console.known_names:
            self.console.learn_names()
        self._again()

    def action_rank(self) -> None:
        """Rank by the next number."""
        every = tuple(Ranking)
        self._ranking = every[(every.index(self._ranking) + 1) % len(every)]
        self._again()

    @on(LineTable.SortAsked)
    def _rank_by(self, message: LineTable.SortAsked) -> None:
        found = next((one for one, column in RANKED.items() if column == message.column), None)
        if found is not None:
            self._ranking = found
            self._again()

    def _again(self) -> None:
        # What moves is told with the next sample: the one before is not kept for it.
        self.refilter()
        self.console.hurry()
        self.console.refresh_status()

    def action_next_map(self, by: int) -> None:
        """Show the neighbouring map."""
        self.console.next_ct_map(by)
        self.show_sample(self.console.sample)

    @on(LineTable.Selected, "#tops")
    def _drill(self, message: LineTable.Selected) -> None:
        rows = message.table.rows
        if isinstance(rows, TopRows) and len(rows):
            chosen = rows.line(message.table.cursor).talker.filter
            if self.query_shown:
                chosen = f"{chosen} {self.query_shown.filter.grouped}"
            self.console.open_filtered(chosen)


def _moved(before: CtTable | None, table: CtTable, sample: Sample) -> Moved | None:
    """What moves are told from; None where the two samples at hand were not compared."""
    changes = sample.changes
    if before is None or changes is None or sample.table is not table:
        return None
    apart = table.taken_at - before.taken_at
    fits = len(changes.gone) == len(before) and len(changes.new) == len(table)
    return Moved(before, changes) if fits and abs(apart - changes.seconds) < _SAME else None


def _numbers(row: MapRow, stats: Stats | None, sample: Sample) -> Text:
    """A few lines: alive and dead, coming and going, by protocol, by time left."""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f" {clean(row.info.label)}", "bold")
    if row.fill is not None:
        full = full_of(sample, row)
        told = f"{percent(row.fill)} of {row.info.max_entries:,}" if full is None else full.text
        tone = Tone.CRIT if full is not None else level_of(row.fill, row.info.label)
        text.append(f"  {tone.glyph.strip()}{told}", "bold" if tone is Tone.CRIT else "")
    if stats is None:
        return text.append("  reading …", "dim")
    kinds = stats.kinds
    parts = [("entries", kinds.entries), ("established", kinds.established)]
    if kinds.half_closed:
        parts.append(("half-closed", kinds.half_closed))
    parts += [("closing", kinds.closing), ("unanswered", kinds.unanswered)]
    if stats.clock:
        parts[1:1] = [("alive", kinds.alive), ("expired", kinds.expired)]
    for word, number in parts:
        text.append(f"  {number:,}", "bold").append(f" {word}", "dim")
    changes = sample.changes
    if changes is not None and sample.table is not None:
        text.append(f"\n  new {changes.new_rate:,.0f}/s   gone {changes.gone_rate:,.0f}/s   ")
        evicted = "unknown" if changes.evicted is None else f"~{changes.evicted:,}"
        text.append(f"evicted {evicted} since the last sample", "dim")
    else:
        text.append("\n  new and gone: after the next sample", "dim")
    text.append("\n  by kind   ", "dim")
    for share in stats.shares[:5]:
        text.append(f"{protocol_name(share.protocol)} {DIRECTION_NAMES[share.direction]} ")
        text.append(f"{share.kinds.entries:,}   ", "bold")
    text.append("\n  life left ", "dim").append(_bars(stats.left, kinds.entries))
    text.append("\n  idle      ", "dim").append(_bars(stats.idle, kinds.alive))
    return text


def _bars(bars: tuple[Bar, ...], whole: int) -> str:
    if not bars:
        return "not known: the clock of this table is not"
    words = []
    for bar in bars:
        if bar.entries:
            share = percent(bar.entries / max(1, whole))
            words.append(f"{_range(bar)} {bar.entries:,} ({share})")
    return "   ".join(words)


def _range(bar: Bar) -> str:
    if bar.low is None:
        return "none"
    return f"over {duration(bar.low)}" if bar.high is None else f"below {duration(bar.high)}"
