"""The dialogue that recreates a map: says what it costs, wants the map's name typed, does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.table import Table
from rich.text import Text
from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from ctconsole.config import LIMIT_TABLE_MAX, LIMIT_TABLE_MIN
from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.model.ct.risk import REASONS, Risk
from ctconsole.model.units import parse_size
from ctconsole.ui.levels import RISK_WORDS
from ctconsole.ui.screens.confirm import ConfirmScreen
from ctconsole.ui.text import clean, plural, short_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import PurePath

    from textual.widget import Widget

    from ctconsole.manager.recreate import RecreatePlan, RecreateReport
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.actions import Actions

_REPLAN_SECONDS = 2.0


def table_size(text: str) -> int:
    """A table size as a person types it: ``524288``, ``524,288``, ``512k``, ``1M``.

    Raises:
        UsageError: not a number, or outside Cilium's limits; says which.
    """
    try:
        size = parse_size(text)
    except CtconsoleError as error:
        raise UsageError("Not a size: type a number such as 524288, 512k or 1M") from error
    if not LIMIT_TABLE_MIN <= size <= LIMIT_TABLE_MAX:
        raise UsageError(f"{size:,} is outside {LIMIT_TABLE_MIN:,} to {LIMIT_TABLE_MAX:,}")
    return size


def _proposal(size: int) -> int:
    """Twice the size, within the limits."""
    return max(LIMIT_TABLE_MIN, min(2 * size, LIMIT_TABLE_MAX))


class RecreateScreen(ConfirmScreen["RecreatePlan", "RecreateReport"]):
    """Returns the report when the map was recreated, else None."""

    BOX: ClassVar[str] = "recreate"
    VERB: ClassVar[tuple[str, str]] = ("Recreate", "Recreating …")
    PLANNING: ClassVar[str] = "…"

    def __init__(self, row: MapRow, actions: Actions) -> None:
        super().__init__(row, "Recreate")
        self._actions = actions

    def fields(self) -> Iterable[Widget]:
        """The size wished for."""
        with Horizontal(classes="field"):
            yield Label("New size")
            yield Input(str(_proposal(self.row.info.max_entries)), id="size")
            yield Static("512k and 1M work too", classes="hint")

    def on_mount(self) -> None:
        """Plan for the proposed size, and again while the table changes under the dialogue."""
        self.set_interval(_REPLAN_SECONDS, self._replan)

    @on(Input.Changed, "#size")
    def _size_changed(self) -> None:
        self.forget_plan()
        self.start_planning()

    def start_planning(self) -> None:
        """Plan for the size typed, or say what is wrong with it."""
        try:
            size = table_size(self.query_one("#size", Input).value)
        except UsageError as error:
            self.complain(error.message)
        else:
            self.complain("")
            self._plan_for(size)

    @on(Input.Submitted, "#size")
    def _size_submitted(self) -> None:
        self.query_one("#name").focus()

    def _replan(self) -> None:
        if self.plan is not None and self.idle:
            self._plan_for(self.plan.wish.max_entries)

    def _plan_for(self, size: int) -> None:
        path = cast("PurePath", self.row.info.pin)
        self.make_plan(lambda: self._actions.plan_recreate(path, size))

    def wanted(self, plan: RecreatePlan) -> bool:
        """Whether it is for the size that is typed by now."""
        try:
            return plan.wish.max_entries == table_size(self.query_one("#size", Input).value)
        except UsageError:
            return False

    def act(self, plan: RecreatePlan) -> RecreateReport:
        """Recreate the map."""
        return self._actions.recreate(plan)

    def costs(self, plan: RecreatePlan) -> Table:
        """See `costs_table`."""
        return costs_table(plan, self.app.theme_variables)

    def sentence(self, report: RecreateReport) -> str:
        """See `report_sentence`."""
        return report_sentence(self.row.info.label, report)


def costs_table(plan: RecreatePlan, colours: Mapping[str, str]) -> Table:
    """What a recreation costs, in four lines and the warnings."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim", width=15)
    table.add_column(overflow="fold")
    old, new = plan.info.max_entries, plan.wish.max_entries
    table.add_row("size", Text.assemble(f"{old:,} -> ", (f"{new:,}", "bold"), " entries"))
    both = plan.memory_old + plan.memory_new
    memory = f"{short_size(plan.memory_old)} now + {short_size(plan.memory_new)} new = "
    memory += f"{short_size(both)} of {short_size(plan.memory_free)} free"
    table.add_row("memory", memory)
    if plan.entries:
        lost = Text(plural(plan.entries, "entry", "entries"), f"bold {colours['fill-crit']}")
        table.add_row("will be lost", lost)
        if plan.alive is not None and plan.established is not None:
            alive = f"{plan.alive:,} alive, and of those {plan.established:,} established"
            table.add_row("of these", alive)
        for risk, reason, number in plan.verdicts:
            if risk >= Risk.AT_RISK:
                word, colour = RISK_WORDS[risk]
                told = Text(f"{number:,}", colours[colour]).append(
                    f"  {REASONS[reason]}", "not bold"
                )
                table.add_row(Text(word, colours[colour]), told)
    else:
        table.add_row("will be lost", "nothing: the map is empty")
    for warning in plan.warnings:
        table.add_row("▲", Text(clean(warning), colours["fill-warn"]))
    return table


def report_sentence(label: str, report: RecreateReport) -> str:
    """What became of it, in one sentence."""
    return (
        f"{clean(label)} was recreated in {report.seconds:.2f} s: map {report.old_id} is now "
        f"{report.new_id}, {plural(report.lost, 'entry', 'entries')} lost."
    )
