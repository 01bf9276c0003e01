"""The dialogue that restarts the agent, with other table sizes where wished.

A restart with other sizes re-creates maps, so it is planned, told and confirmed as that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.model.catalogue import TABLE_LIMITS
from ctconsole.ui.screens.confirm import ConfirmScreen
from ctconsole.ui.screens.recreate import table_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from textual.widget import Widget

    from ctconsole.ui.actions import Actions

SIZES = {
    "bpf-ct-global-tcp-max": "TCP tables",
    "bpf-ct-global-any-max": "Other protocols",
}
"""The options offered, and their names for a person."""


class RestartScreen(ConfirmScreen):
    """Returns the report when the agent was restarted, else None."""

    BOX: ClassVar[str] = "restart"
    VERB: ClassVar[tuple[str, str]] = ("Restart", "Restarting …")
    PLANNING: ClassVar[str] = "Asking the agent …"

    def __init__(self, actions: Actions) -> None:
        super().__init__(actions, "Restart agent")
        self._sizes: Mapping[str, int] | None = None

    def fields(self) -> Iterable[Widget]:
        """One for each size."""
        for option, name in SIZES.items():
            with Horizontal(classes="field"):
                yield Label(name)
                yield Input(id=option)
                yield Static(option, classes="hint")

    def start_planning(self) -> None:
        """Ask the agent what it runs with, then plan for what is typed."""
        if self._sizes is None:
            self._ask()
            return
        try:
            changes = self.changes(self._sizes)
        except UsageError as error:
            self.complain(error.message)
        else:
            self.complain("")
            self.make_plan(lambda: self.actions.plan_restart(changes))

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _ask(self) -> None:
        try:
            sizes = dict(self.actions.agent_sizes())
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self.complain, str(error))
        else:
            self.app.call_from_thread(self._known, sizes)

    def _known(self, sizes: Mapping[str, int]) -> None:
        if not self.is_mounted:
            return
        self._sizes = sizes
        for option in SIZES.keys() & sizes.keys():
            self.query_one(f"#{option}", Input).value = str(sizes[option])
        self.refresh_dialogue()
        self.query(Input).first().focus()
        self.start_planning()

    def changes(self, sizes: Mapping[str, int]) -> dict[str, str]:
        """The options typed that are not what the agent runs with.

        Raises:
            UsageError: a field holds no size.
        """
        typed = {
            option: table_size(self.query_one(f"#{option}", Input).value, TABLE_LIMITS)
            for option in SIZES
            if option in sizes
        }
        return {option: str(size) for option, size in typed.items() if size != sizes[option]}

    def refresh_dialogue(self) -> None:
        """The sizes can be typed once they are known."""
        super().refresh_dialogue()
        for option in SIZES:
            known = self._sizes is not None and option in self._sizes
            self.query_one(f"#{option}", Input).disabled = not (known and self.idle)

    @on(Input.Changed)
    def _size_changed(self, message: Input.Changed) -> None:
        if message.input.id in SIZES and self._sizes is not None:
            self.forget_plan()
            self.start_planning()

    @on(Input.Submitted)
    def _size_submitted(self, message: Input.Submitted) -> None:
        if message.input.id in SIZES:
            self.query_one("#name" if self.query_one("#confirm").display else "#go").focus()
