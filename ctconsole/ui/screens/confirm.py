"""The frame of a dialogue that changes something: plan, costs, a name typed, the act, the report.

The deed itself, what it costs and what became of it come as a `Plan` and a `Report`; a dialogue
only says how it is planned and done, and what is asked before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from rich.text import Text
from textual import on, work
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from ctconsole.errors import CtconsoleError
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.faults import TellsFaults
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.plan_table import plan_table, report_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt
    from textual.app import ComposeResult
    from textual.widget import Widget

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.plan import Plan, Report
    from ctconsole.observe.sampler import Sample
    from ctconsole.ui.actions import Actions


_GLANCE: Final = 0.1
"""Seconds between two looks at how far the act is."""


class ConfirmScreen(TellsFaults, ModalScreen["Report | None"]):
    """Returns the report when the act was done, else None.

    Args:
        actions: plans and acts.
        title: of the box.
        name: what will have to be typed, as far as it is known before the plan is.
    """

    BINDINGS = bindings("dialogue")

    BOX: ClassVar[str]
    """Id of the box, for its style."""
    VERB: ClassVar[tuple[str, str]]
    """What the button says, and what it says while the act is done."""
    PLANNING: ClassVar[str]
    """What stands in the place of the costs until they are known."""
    KEYS: ClassVar[str] = "{dialogue.plan} plans again · {dialogue.close} cancels"
    """Which keys do what, below the box (see `ctconsole.ui.keys.keyed`)."""
    CAN_CANCEL: ClassVar[bool] = False
    """Whether the act can be cancelled while it is done; the error it raises says what is left."""

    def __init__(self, actions: Actions, title: str, name: str = "") -> None:
        super().__init__()
        self.actions = actions
        self._title = clean(title)
        self._wanted_name = name
        self._plan: Plan | None = None
        self._report: Report | None = None
        self._now: int | None = None
        self._busy = self._at_end = False
        self._asked = 0
        self._problem = ""
        self._cancelled = threading.Event()
        # Set by the worker, which is not made to wait for the screen; read by a timer.
        self._progress = ""

    def fields(self) -> Iterable[Widget]:
        """What is asked before the costs can be known."""
        return ()

    def start_planning(self) -> None:
        """Have the plan made that what is asked calls for; see `make_plan`."""
        raise NotImplementedError

    def worthwhile(self, plan: Plan) -> bool:
        """Whether a plan would do anything."""
        del plan
        return True

    def entries_now(self, sample: Sample) -> int | None:
        """How many entries a new sample counts of those the plan is about, None if unknown.

        May plan anew where the plan is for something that is not there any more.
        """
        del sample
        return None

    def at_stake(self, table: CtTable) -> npt.NDArray[np.bool_] | None:
        """The rows of the table that may be lost; None where nobody can say."""
        return np.ones(len(table), np.bool_)

    def compose(self) -> ComposeResult:
        """Fields, costs, confirmation, buttons."""
        with Vertical(id=self.BOX, classes="dialogue") as box:
            box.border_title = Text(self._title)
            box.border_subtitle = console_of(self.app).keyed(self.KEYS)
            with VerticalScroll(can_focus=False):
                yield from self.fields()
                yield Static(id="problem", markup=False)
                yield Static(id="costs")
                with Horizontal(classes="field", id="confirm"):
                    yield Label("Type the name")
                    yield Input(id="name")
                yield Static(id="progress", markup=False)
                yield Static(id="outcome", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(self.VERB[0], variant="error", id="go", disabled=True)
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Plan."""
        self.want_name(self._wanted_name)
        self.refresh_dialogue()
        self.start_planning()
        self.set_interval(_GLANCE, self._follow)
        # What is above the outcome may find its size later than it.
        self.watch(self.query_one(VerticalScroll), "virtual_size", self._show_end, init=False)

    def on_unmount(self) -> None:
        """Whoever leaves the console in the middle of an act that can be cancelled cancels it."""
        self._cancelled.set()

    def want_name(self, name: str) -> None:
        """Have this typed before anything is done; nothing where it is empty."""
        self._wanted_name = name
        self.query_one("#confirm").display = bool(name)
        self.query_one("#name", Input).placeholder = clean(name)

    @property
    def plan(self) -> Plan | None:
        """The plan shown, None until it is made."""
        return self._plan

    @property
    def idle(self) -> bool:
        """Whether nothing is being done and nothing was."""
        return not self._busy and self._report is None

    @property
    def confirmed(self) -> bool:
        """Whether there is a plan worth doing, and its name was typed if it has one."""
        plan = self._plan
        if plan is None or not self.idle or not self.worthwhile(plan):
            return False
        return plan.confirm_name in {"", self.query_one("#name", Input).value.strip()}

    def show_sample(self, sample: Sample) -> None:
        """Count anew what would be lost; the plan stays until another is asked for."""
        if self._report is not None:
            self._say("#progress", console_of(self.app).sequel.told)
        elif self._plan is not None and self.idle:
            now = self.entries_now(sample)
            if now != self._now:
                self._now = now
                self.refresh_dialogue()

    @on(Input.Changed, "#name")
    def _name_changed(self) -> None:
        self.refresh_dialogue()

    @on(Input.Submitted, "#name")
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        if self.confirmed and self._plan is not None:
            self._busy, self._at_end = True, False
            self._progress = ""
            self._cancelled.clear()
            self._say("#outcome", "")
            self.refresh_dialogue()
            if self.CAN_CANCEL:
                self.query_one("#cancel").focus()
            console = console_of(self.app)
            paths = self._plan.paths
            console.sequel.changing(self._title, paths, console.sample, self.at_stake)
            self._act(self._plan)

    @on(Button.Pressed, "#cancel")
    def action_close(self) -> None:
        """Leave; while something is being changed, have it cancelled if it can be."""
        if not self._busy:
            self.dismiss(self._report)
        elif self.CAN_CANCEL:
            self._cancelled.set()
            self.refresh_dialogue()

    def action_plan_again(self) -> None:
        """Look anew what it costs."""
        if self.idle:
            self.start_planning()

    def action_page(self, by: int) -> None:
        """Scroll what does not fit, whatever has the focus."""
        self._at_end = False
        told = self.query_one(VerticalScroll)
        (told.scroll_page_down if by > 0 else told.scroll_page_up)(animate=False)

    def _end_with(self, text: str) -> None:
        """Say what came of it, and bring that into sight."""
        self._say("#outcome", text)
        self._at_end = True
        self._show_end()

    def _show_end(self) -> None:
        if self._at_end:
            outcome = self.query_one("#outcome")
            self.call_after_refresh(outcome.scroll_visible, animate=False, top=True)

    def asked(self) -> Iterable[Input]:
        """What `fields` has to type into."""
        return (field for field in self.query(Input) if field.id != "name")

    def make_plan(self, make: Callable[[], Plan]) -> None:
        """Plan in a worker; the plan, or why there is none, is shown when it is made."""
        self._asked += 1
        self._make_plan(make, self._asked)

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _make_plan(self, make: Callable[[], Plan], asked: int) -> None:
        try:
            plan = make()
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._not_planned, str(error), asked)
        else:
            self.app.call_from_thread(self._planned, plan, asked)

    def _not_planned(self, sentence: str, asked: int) -> None:
        if self.is_mounted and asked == self._asked:
            self.forget_plan()
            self.complain(sentence)

    def _planned(self, plan: Plan, asked: int) -> None:
        # What is asked may have changed while this was planned.
        if not (self.is_mounted and self.idle and asked == self._asked):
            return
        first = self._plan is None
        self._plan, self._now = plan, None
        self.complain("")
        self.want_name(plan.confirm_name)
        self.refresh_dialogue()
        if first and not (plan.confirm_name or any(field.has_focus for field in self.asked())):
            self.query_one("#go").focus()

    @work(thread=True, exclusive=True, group="act", exit_on_error=False)
    def _act(self, plan: Plan) -> None:
        console_of(self.app).sequel.read_before()
        try:
            report = self.actions.carry_out(plan, self._hear, self._cancelled.is_set)
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._failed, str(error))
        else:
            self.app.call_from_thread(self._done, report)

    def _hear(self, text: str) -> None:
        self._progress = text

    def _follow(self) -> None:
        if self._busy:
            self._say("#progress", clean(self._progress))

    def _failed(self, sentence: str) -> None:
        self._busy = False
        # What was planned may have been half done: it is planned, and the name typed, anew.
        self._plan = None
        self.query_one("#name", Input).value = ""
        self.refresh_dialogue()
        if self._wanted_name:
            self.query_one("#name").focus()
        self.start_planning()
        self.query_one("#outcome").add_class("-failed")
        self._end_with(f"▲ {clean(sentence)}")
        console_of(self.app).hurry()

    def _done(self, report: Report) -> None:
        self._busy = False
        self._report = report
        console = console_of(self.app)
        console.sequel.changed()
        self.refresh_dialogue()
        self.query_one("#confirm").display = False
        self.query_one("#outcome").set_class(bool(report.failure), "-failed")
        # What was asked for and what happened are not the same here.
        late = "It was too late to cancel.\n" if self._cancelled.is_set() else ""
        self._end_with(late + report_text(report))
        self.query_one("#cancel", Button).label = "Close"
        self.query_one(f"#{self.BOX}").border_subtitle = console.keyed("{dialogue.close} closes")
        self.query_one("#cancel").focus()
        console.hurry()

    def complain(self, text: str) -> None:
        """Say why there is no plan; nothing where there is no reason."""
        self._problem = text
        self._say("#problem", clean(text))
        self._show_costs()

    def _say(self, where: str, text: str) -> None:
        line = self.query_one(where, Static)
        line.update(text)
        line.display = bool(text)

    def forget_plan(self) -> None:
        """What is asked has changed: what was planned is not for it."""
        self._asked += 1
        self._plan = None
        self.refresh_dialogue()

    def refresh_dialogue(self) -> None:
        """Bring fields, costs and buttons up to date."""
        for field in self.query(Input):
            field.disabled = not self.idle
        go = self.query_one("#go", Button)
        go.disabled = not self.confirmed
        go.label = self.VERB[self._busy]
        go.variant = "primary" if self._plan and not self._plan.data_loss else "error"
        cancel = self.query_one("#cancel", Button)
        asked = self._busy and self._cancelled.is_set()
        cancel.disabled = self._busy and (asked or not self.CAN_CANCEL)
        if self._report is None:
            cancel.label = "Cancelling …" if asked else "Cancel"
        self.query_one("#progress").display = self._busy and bool(self._progress)
        self._show_costs()

    def _show_costs(self) -> None:
        """The plan, or that one is being made; nothing where it is said why there is none."""
        plan, done = self._plan, self._report is not None
        costs = self.query_one("#costs", Static)
        costs.display = plan is not None or not self._problem
        costs.update(
            plan_table(plan, self.app.theme_variables, done=done, now=self._now)
            if plan is not None
            else Text(self.PLANNING, "dim")
        )
