"""The dialogue that deletes entries: says whose connections break, asks, does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.table import Table
from rich.text import Text

from ctconsole.model.ct.risk import REASONS
from ctconsole.ui.levels import RISK_WORDS
from ctconsole.ui.screens.confirm import ConfirmScreen
from ctconsole.ui.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

    from ctconsole.agent.flush import FlushPlan, FlushReport
    from ctconsole.model.ct.query import Query
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.actions import Actions


class FlushScreen(ConfirmScreen["FlushPlan", "FlushReport"]):
    """Returns the report when entries were deleted, else None.

    Args:
        row: the map.
        actions: plans and deletes.
        query: what to delete; the empty query means the whole map.
        key: of the one entry to delete, None for all that the query lets through.
    """

    BOX: ClassVar[str] = "flush"
    VERB: ClassVar[tuple[str, str]] = ("Delete", "Deleting …")
    PLANNING: ClassVar[str] = "Looking what breaks …"

    def __init__(self, row: MapRow, actions: Actions, query: Query, key: bytes | None) -> None:
        one = key is not None
        super().__init__(
            row, "Delete one entry of" if one else "Delete entries of" if query else "Flush"
        )
        self._actions = actions
        self._query = query
        self._key = key

    def on_mount(self) -> None:
        """Plan; one entry is deleted without its map's name being typed."""
        self.query_one("#confirm").display = self._key is None
        self.refresh_dialogue()
        self.start_planning()

    def start_planning(self) -> None:
        """Look what breaks."""
        path = cast("PurePath", self.row.info.pin)
        self.make_plan(lambda: self._actions.plan_flush(path, self._query, self._key))

    def worthwhile(self, plan: FlushPlan) -> bool:
        """Whether anything is chosen."""
        return plan.chosen > 0

    def act(self, plan: FlushPlan) -> FlushReport:
        """Delete."""
        return self._actions.flush(plan)

    def costs(self, plan: FlushPlan) -> Table:
        """See `costs_table`."""
        return costs_table(plan, self.app.theme_variables)

    def sentence(self, report: FlushReport) -> str:
        """See `report_sentence`."""
        return report_sentence(report)


def costs_table(plan: FlushPlan, colours: Mapping[str, str]) -> Table:
    """What a deletion costs: how many entries, what becomes of them and why."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim", width=11)
    table.add_column(no_wrap=True, justify="right", width=9)
    table.add_column(overflow="fold")
    if plan.query:
        table.add_row("filter", "", Text(clean(plan.query.text), "bold"))
    whole = f"of {plural(plan.entries, 'entry', 'entries')} will be deleted"
    table.add_row("entries", Text(f"{plan.chosen:,}", "bold"), whole)
    for risk, reason, number in plan.verdicts:
        word, colour = RISK_WORDS[risk]
        style = colours[colour]
        table.add_row(Text(word, style), Text(f"{number:,}", style), REASONS[reason])
    for warning in plan.warnings:
        table.add_row("▲", "", Text(clean(warning), colours["fill-warn"]))
    return table


def report_sentence(report: FlushReport) -> str:
    """What was done."""
    text = f"{plural(report.deleted, 'entry', 'entries')} deleted"
    if report.mappings:
        text += f" and {plural(report.mappings, 'NAT entry', 'NAT entries')} with them"
    if report.kept:
        text += f"; {report.kept:,} kept: traffic had changed them"
    return f"{text}, in {report.seconds:.2f} s."
