"""The frame of a dialogue that changes a map: plan, costs, the name typed, the act, the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from ctconsole.errors import CtconsoleError
from ctconsole.ui.console import console_of
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.table import Table
    from textual.app import ComposeResult
    from textual.widget import Widget

    from ctconsole.observe.source import MapRow

Plan = TypeVar("Plan")
Report = TypeVar("Report")


class ConfirmScreen(ModalScreen["Report | None"], Generic[Plan, Report]):
    """Returns the report when the act was done, else None.

    Args:
        row: the map.
        title: of the box; the map's name follows.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="dialogue.close"),
    ]

    BOX: ClassVar[str]
    """Id of the box, for its style."""
    VERB: ClassVar[tuple[str, str]]
    """What the button says, and what it says while the act is done."""
    PLANNING: ClassVar[str]
    """What stands in the place of the costs until they are known."""

    def __init__(self, row: MapRow, title: str) -> None:
        super().__init__()
        self.row = row
        self._title = f"{title} {clean(row.info.label)}"
        self._plan: Plan | None = None
        self._report: Report | None = None
        self._busy = False

    def fields(self) -> Iterable[Widget]:
        """What is asked before the costs can be known."""
        return ()

    def start_planning(self) -> None:
        """Have the plan made that what is asked calls for; see `make_plan`."""
        raise NotImplementedError

    def act(self, plan: Plan) -> Report:
        """Do what was planned; in a worker thread.

        Raises:
            CtconsoleError: it failed.
        """
        raise NotImplementedError

    def costs(self, plan: Plan) -> Table:
        """What the plan costs, for a person."""
        raise NotImplementedError

    def sentence(self, report: Report) -> str:
        """What was done, in one sentence."""
        raise NotImplementedError

    def wanted(self, plan: Plan) -> bool:
        """Whether a plan that has just been made is still one for what is asked."""
        del plan
        return True

    def worthwhile(self, plan: Plan) -> bool:
        """Whether a plan would do anything."""
        del plan
        return True

    def compose(self) -> ComposeResult:
        """Fields, costs, confirmation, buttons."""
        with Vertical(id=self.BOX, classes="dialogue") as box:
            box.border_title = Text(self._title)
            box.border_subtitle = "esc cancels"
            with VerticalScroll(can_focus=False):
                yield from self.fields()
                yield Static(id="problem", markup=False)
                yield Static(id="costs")
                with Horizontal(classes="field", id="confirm"):
                    yield Label("Type the name")
                    yield Input(placeholder=clean(self.row.info.label), id="name")
                yield Static(id="outcome", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(self.VERB[0], variant="error", id="go", disabled=True)
                yield Button("Cancel", id="cancel")

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
        """Whether there is a plan worth doing, and the map's own name was typed if asked for."""
        typed = self.query_one("#name", Input).value.strip()
        named = not self.query_one("#confirm").display or typed == self.row.info.label
        return self.idle and named and self._plan is not None and self.worthwhile(self._plan)

    @on(Input.Changed, "#name")
    def _name_changed(self) -> None:
        self.refresh_dialogue()

    @on(Input.Submitted, "#name")
    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        if self.confirmed and self._plan is not None:
            self._busy = True
            self.refresh_dialogue()
            self._act(self._plan)

    @on(Button.Pressed, "#cancel")
    def action_close(self) -> None:
        """Leave, unless the map is being changed right now."""
        if not self._busy:
            self.dismiss(self._report)

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def make_plan(self, make: Callable[[], Plan]) -> None:
        """Plan in a worker; the plan, or why there is none, is shown when it is made."""
        try:
            plan = make()
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self.complain, str(error))
        else:
            self.app.call_from_thread(self._planned, plan)

    def _planned(self, plan: Plan) -> None:
        if self.idle and self.wanted(plan):
            self._plan = plan
            self.refresh_dialogue()
            if not self.query_one("#confirm").display:
                self.query_one("#go").focus()

    @work(thread=True, exclusive=True, group="act", exit_on_error=False)
    def _act(self, plan: Plan) -> None:
        try:
            report = self.act(plan)
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._failed, str(error))
        else:
            self.app.call_from_thread(self._done, report)

    def _failed(self, sentence: str) -> None:
        self._busy = False
        # What was planned may have been half done: it is planned, and the name typed, anew.
        self._plan = None
        self.query_one("#name", Input).value = ""
        self.refresh_dialogue()
        self.query_one("#name").focus()
        self.start_planning()
        self.query_one("#outcome").add_class("-failed")
        self._say("#outcome", f"▲ {sentence}")

    def _done(self, report: Report) -> None:
        self._busy = False
        self._report = report
        self.refresh_dialogue()
        self.query_one("#confirm").display = False
        self.query_one("#outcome").remove_class("-failed")
        self._say("#outcome", self.sentence(report))
        self.query_one("#cancel", Button).label = "Close"
        self.query_one(f"#{self.BOX}").border_subtitle = "esc closes"
        self.query_one("#cancel").focus()
        console_of(self.app).hurry()

    def complain(self, text: str) -> None:
        """Say why there is no plan; nothing where there is no reason."""
        self._say("#problem", text)

    def _say(self, where: str, text: str) -> None:
        line = self.query_one(where, Static)
        line.update(clean(text))
        line.display = bool(text)

    def forget_plan(self) -> None:
        """What is asked has changed: what was planned is not for it."""
        self._plan = None
        self.refresh_dialogue()

    def refresh_dialogue(self) -> None:
        """Bring fields, costs and buttons up to date."""
        for field in self.query(Input):
            field.disabled = not self.idle
        go = self.query_one("#go", Button)
        go.disabled = not self.confirmed
        go.label = self.VERB[self._busy]
        self.query_one("#cancel", Button).disabled = self._busy
        if self._report is None:
            self.query_one("#costs", Static).update(
                self.costs(self._plan) if self._plan else Text(self.PLANNING, "dim")
            )
