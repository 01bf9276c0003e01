"""The dialogue that recreates a map: says what it costs, wants the map's name typed, does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from ctconsole.config import LIMIT_TABLE_MAX, LIMIT_TABLE_MIN
from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.model.risk import REASONS, Risk
from ctconsole.model.units import parse_size
from ctconsole.ui.levels import RISK_WORDS
from ctconsole.ui.text import clean, plural, short_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

    from textual.app import ComposeResult

    from ctconsole.manager.recreate import RecreatePlan, RecreateReport
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.actions import Actions
    from ctconsole.ui.app import ConsoleApp

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


class RecreateScreen(ModalScreen["RecreateReport | None"]):
    """Returns the report when the map was recreated, else None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="recreate.close"),
    ]

    def __init__(self, row: MapRow, actions: Actions) -> None:
        super().__init__()
        self._row = row
        self._actions = actions
        self._path = cast("PurePath", row.info.pin)
        self._plan: RecreatePlan | None = None
        self._report: RecreateReport | None = None
        self._busy = False

    def compose(self) -> ComposeResult:
        """Size, costs, confirmation, buttons."""
        info = self._row.info
        with Vertical(id="recreate", classes="dialogue") as box:
            box.border_title = Text(f"Recreate {clean(info.label)}")
            box.border_subtitle = "esc cancels"
            with VerticalScroll(can_focus=False):
                with Horizontal(classes="field"):
                    yield Label("New size")
                    yield Input(str(_proposal(info.max_entries)), id="size")
                    yield Static("512k and 1M work too", classes="hint")
                yield Static(id="problem", markup=False)
                yield Static(id="costs")
                with Horizontal(classes="field", id="confirm"):
                    yield Label("Type the name")
                    yield Input(placeholder=clean(info.label), id="name")
                yield Static(id="outcome", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Recreate", variant="error", id="go", disabled=True)
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Plan for the proposed size, and again while the table changes under the dialogue."""
        self.set_interval(_REPLAN_SECONDS, self._replan)

    @property
    def plan(self) -> RecreatePlan | None:
        """The plan shown: of the size typed, None while there is none."""
        return self._plan

    @on(Input.Changed, "#size")
    def _size_changed(self) -> None:
        self._plan = None
        try:
            size = table_size(self.query_one("#size", Input).value)
        except UsageError as error:
            self._say_problem(error.message)
        else:
            self._say_problem("")
            self._make_plan(size)
        self._refresh()

    @on(Input.Changed, "#name")
    def _name_changed(self) -> None:
        self._refresh()

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        if message.input.id == "size":
            self.query_one("#name").focus()
        else:
            self._go()

    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        if self.confirmed and self._plan is not None:
            self._busy = True
            self._refresh()
            self._recreate(self._plan)

    @on(Button.Pressed, "#cancel")
    def action_close(self) -> None:
        """Leave, unless the map is being replaced right now."""
        if not self._busy:
            self.dismiss(self._report)

    @property
    def confirmed(self) -> bool:
        """Whether everything is there: a plan for the size typed, and the map's own name."""
        typed = self.query_one("#name", Input).value.strip()
        idle = not self._busy and self._report is None
        return idle and self._plan is not None and typed == self._row.info.label

    def _replan(self) -> None:
        if self._plan is not None and not self._busy and self._report is None:
            self._make_plan(self._plan.wish.max_entries)

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _make_plan(self, size: int) -> None:
        try:
            plan = self._actions.plan_recreate(self._path, size)
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._say_problem, str(error))
        else:
            self.app.call_from_thread(self._planned, size, plan)

    def _planned(self, size: int, plan: RecreatePlan) -> None:
        try:
            wanted = table_size(self.query_one("#size", Input).value)
        except UsageError:
            return
        if size == wanted and not self._busy and self._report is None:
            self._plan = plan
            self._refresh()

    @work(thread=True, exclusive=True, group="act", exit_on_error=False)
    def _recreate(self, plan: RecreatePlan) -> None:
        try:
            report = self._actions.recreate(plan)
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._failed, str(error))
        else:
            self.app.call_from_thread(self._done, report)

    def _failed(self, sentence: str) -> None:
        self._busy = False
        self._plan = None
        self.query_one("#name", Input).value = ""
        self._refresh()
        self._say_outcome(f"▲ {sentence}", failed=True)

    def _done(self, report: RecreateReport) -> None:
        self._busy = False
        self._report = report
        self._refresh()
        self.query_one("#confirm").display = False
        self._say_outcome(report_sentence(self._row.info.label, report), failed=False)
        self.query_one("#cancel", Button).label = "Close"
        self.query_one("#recreate").border_subtitle = "esc closes"
        self.query_one("#cancel").focus()
        cast("ConsoleApp", self.app).hurry()

    def _say_problem(self, text: str) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(clean(text))
        problem.display = bool(text)

    def _say_outcome(self, text: str, *, failed: bool) -> None:
        outcome = self.query_one("#outcome", Static)
        outcome.update(clean(text))
        outcome.set_class(failed, "-failed")
        outcome.display = True

    def _costs(self) -> Table | Text:
        if self._plan is None:
            return Text("…", "dim")
        return costs_table(self._plan, self.app.theme_variables)

    def _refresh(self) -> None:
        busy = self._busy or self._report is not None
        for field in self.query(Input):
            field.disabled = busy
        go = self.query_one("#go", Button)
        go.disabled = not self.confirmed
        go.label = "Recreating …" if self._busy else "Recreate"
        self.query_one("#cancel", Button).disabled = self._busy
        if self._report is None:
            costs = self.query_one("#costs", Static)
            costs.update(self._costs())


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
