"""The dialogue that deletes entries: says whose connections break, asks, does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from ctconsole.errors import CtconsoleError
from ctconsole.model.risk import REASONS
from ctconsole.ui.levels import RISK_WORDS
from ctconsole.ui.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

    from textual.app import ComposeResult

    from ctconsole.agent.flush import FlushPlan, FlushReport
    from ctconsole.model.query import Query
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.actions import Actions
    from ctconsole.ui.app import ConsoleApp


class FlushScreen(ModalScreen["FlushReport | None"]):
    """Returns the report when entries were deleted, else None.

    Args:
        row: the map.
        actions: plans and deletes.
        query: what to delete; the empty query means the whole map.
        key: of the one entry to delete, None for all that the query lets through.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="flush.close"),
    ]

    def __init__(self, row: MapRow, actions: Actions, query: Query, key: bytes | None) -> None:
        super().__init__()
        self._row = row
        self._actions = actions
        self._query = query
        self._key = key
        self._path = cast("PurePath", row.info.pin)
        self._plan: FlushPlan | None = None
        self._report: FlushReport | None = None
        self._busy = False

    def compose(self) -> ComposeResult:
        """What, the costs, confirmation, buttons."""
        label = clean(self._row.info.label)
        with Vertical(id="flush", classes="dialogue") as box:
            one = self._key is not None
            what = "Delete one entry of" if one else "Delete entries of" if self._query else "Flush"
            box.border_title = Text(f"{what} {label}")
            box.border_subtitle = "esc cancels"
            with VerticalScroll(can_focus=False):
                yield Static(id="problem", markup=False)
                yield Static(id="costs")
                with Horizontal(classes="field", id="confirm"):
                    yield Label("Type the name")
                    yield Input(placeholder=label, id="name")
                yield Static(id="outcome", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Delete", variant="error", id="go", disabled=True)
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Plan; one entry is deleted without its map's name being typed."""
        self.query_one("#confirm").display = self._key is None
        self._refresh()
        self._make_plan()

    @property
    def plan(self) -> FlushPlan | None:
        """The plan shown, None until it is made."""
        return self._plan

    @property
    def confirmed(self) -> bool:
        """Whether there is something to delete and the name was typed where it is asked for."""
        typed = self.query_one("#name", Input).value.strip()
        idle = not self._busy and self._report is None
        named = self._key is not None or typed == self._row.info.label
        return idle and named and self._plan is not None and self._plan.chosen > 0

    @on(Input.Changed, "#name")
    def _name_changed(self) -> None:
        self._refresh()

    @on(Input.Submitted)
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        if self.confirmed and self._plan is not None:
            self._busy = True
            self._refresh()
            self._flush(self._plan)

    @on(Button.Pressed, "#cancel")
    def action_close(self) -> None:
        """Leave, unless entries are being deleted right now."""
        if not self._busy:
            self.dismiss(self._report)

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _make_plan(self) -> None:
        try:
            plan = self._actions.plan_flush(self._path, self._query, self._key)
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._say, "#problem", str(error))
        else:
            self.app.call_from_thread(self._planned, plan)

    def _planned(self, plan: FlushPlan) -> None:
        self._plan = plan
        self._refresh()
        if self._key is not None:
            self.query_one("#go").focus()

    @work(thread=True, exclusive=True, group="act", exit_on_error=False)
    def _flush(self, plan: FlushPlan) -> None:
        try:
            report = self._actions.flush(plan)
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._failed, str(error))
        else:
            self.app.call_from_thread(self._done, report)

    def _failed(self, sentence: str) -> None:
        self._busy = False
        self._refresh()
        self.query_one("#outcome").add_class("-failed")
        self._say("#outcome", f"▲ {sentence}")

    def _done(self, report: FlushReport) -> None:
        self._busy = False
        self._report = report
        self._refresh()
        self.query_one("#confirm").display = False
        self._say("#outcome", report_sentence(report))
        self.query_one("#cancel", Button).label = "Close"
        self.query_one("#flush").border_subtitle = "esc closes"
        self.query_one("#cancel").focus()
        cast("ConsoleApp", self.app).hurry()

    def _say(self, where: str, text: str) -> None:
        line = self.query_one(where, Static)
        line.update(clean(text))
        line.display = bool(text)

    def _refresh(self) -> None:
        self.query_one("#name", Input).disabled = self._busy or self._report is not None
        go = self.query_one("#go", Button)
        go.disabled = not self.confirmed
        go.label = "Deleting …" if self._busy else "Delete"
        self.query_one("#cancel", Button).disabled = self._busy
        if self._report is None:
            costs = Text("Looking what breaks …", "dim")
            self.query_one("#costs", Static).update(
                costs_table(self._plan, self.app.theme_variables) if self._plan else costs
            )


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
