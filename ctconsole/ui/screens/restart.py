"""The dialogue that restarts the agent, with other table sizes where wished."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.ui.console import console_of
from ctconsole.ui.screens.recreate import table_size
from ctconsole.ui.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult

    from ctconsole.observe.source import NodeSnapshot
    from ctconsole.ui.actions import Actions

SIZE_OPTIONS = {
    "bpf-ct-global-tcp-max": ("TCP table", ("cilium_ct4_global", "cilium_ct6_global")),
    "bpf-ct-global-any-max": (
        "Other protocols",
        ("cilium_ct_any4_global", "cilium_ct_any6_global"),
    ),
}
"""The sizes offered: option, its name for a person, and the maps it sizes (``initMapInfo``)."""


def entries_lost(node: NodeSnapshot | None, option: str, size: int) -> int:
    """Entries in the maps that a restart with this size removes."""
    names = SIZE_OPTIONS[option][1]
    rows = node.rows if node else ()
    return sum(
        row.entries or 0 for row in rows if row.info.label in names and row.info.max_entries != size
    )


class RestartScreen(ModalScreen[str | None]):
    """Returns a sentence on the outcome, None when nothing was done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="restart.close"),
    ]

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self._actions = actions
        self._sizes: Mapping[str, int] | None = None
        self._busy = False
        self._outcome: str | None = None

    def compose(self) -> ComposeResult:
        """One field for each size; what a change means; buttons."""
        with Vertical(id="restart", classes="dialogue") as box:
            box.border_title = "Restart agent"
            box.border_subtitle = "esc cancels"
            with VerticalScroll(can_focus=False):
                for option, (name, _) in SIZE_OPTIONS.items():
                    with Horizontal(classes="field"):
                        yield Label(name)
                        yield Input(id=option, disabled=True)
                        yield Static(option, classes="hint")
                yield Static(id="meaning", markup=False)
                yield Static(id="outcome", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Restart", variant="primary", id="go", disabled=True)
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Ask the agent what it runs with."""
        self.query_one("#meaning", Static).update("Asking the agent …")
        self._ask()

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _ask(self) -> None:
        try:
            sizes = dict(self._actions.agent_sizes())
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._failed, str(error))
        else:
            self.app.call_from_thread(self._known, sizes)

    def _known(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        for option in SIZE_OPTIONS:
            field = self.query_one(f"#{option}", Input)
            if option in sizes:
                field.disabled = False
                field.value = str(sizes[option])
        self._refresh()
        self.query(Input).first().focus()

    def changes(self) -> dict[str, str]:
        """The options typed that are not what the agent runs with.

        Raises:
            UsageError: a field holds no size.
        """
        changed = {}
        for option, now in (self._sizes or {}).items():
            if option in SIZE_OPTIONS:
                size = table_size(self.query_one(f"#{option}", Input).value)
                if size != now:
                    changed[option] = str(size)
        return changed

    @on(Input.Changed)
    def _refresh(self) -> None:
        go = self.query_one("#go", Button)
        meaning = self.query_one("#meaning", Static)
        if self._sizes is None:
            return
        try:
            changed = self.changes()
        except UsageError as error:
            meaning.update(f"▲ {error.message}")
            meaning.set_classes("-warn")
            go.disabled = True
            return
        node = console_of(self.app).sample.node
        lost = sum(entries_lost(node, option, int(size)) for option, size in changed.items())
        go.disabled = self._busy or self._outcome is not None
        go.label = "Restarting …" if self._busy else "Restart"
        go.variant = "error" if lost else "primary"
        if not changed:
            meaning.update("The sizes stay: every map is opened as it is and keeps its entries.")
        else:
            meaning.update(
                "▲ A map of another size is removed and created empty: "
                f"{plural(lost, 'entry', 'entries')} will be lost."
            )
        meaning.set_classes("-warn" if changed else "")

    @on(Input.Submitted)
    def _submitted(self) -> None:
        # What a changed size loses is to be read before anything is done.
        self.query_one("#go").focus()

    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        if self._sizes is None or self._busy or self._outcome is not None:
            return
        try:
            changed = self.changes()
        except UsageError:
            return
        self._busy = True
        self._refresh()
        for field in self.query(Input):
            field.disabled = True
        self.query_one("#cancel").disabled = True
        self._restart(changed)

    @work(thread=True, exclusive=True, group="act", exit_on_error=False)
    def _restart(self, changed: dict[str, str]) -> None:
        try:
            sentence = self._actions.restart_agent(changed)
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._failed, str(error))
        else:
            self.app.call_from_thread(self._done, sentence)

    def _failed(self, sentence: str) -> None:
        self._busy = False
        self.query_one("#cancel").disabled = False
        self.query_one("#cancel").focus()
        self._refresh()
        self._say(f"▲ {sentence}", failed=True)
        self.query_one("#meaning").display = self._sizes is not None
        for option in self._sizes or ():
            for field in self.query(f"#{option}").results(Input):
                field.disabled = False

    def _done(self, sentence: str) -> None:
        self._busy = False
        self._outcome = sentence
        self.query_one("#cancel", Button).label = "Close"
        self.query_one("#restart").border_subtitle = "esc closes"
        self.query_one("#cancel").disabled = False
        self.query_one("#cancel").focus()
        self._refresh()
        self._say(sentence, failed=False)
        self.query_one("#meaning").display = False
        console_of(self.app).hurry()

    def _say(self, text: str, *, failed: bool) -> None:
        outcome = self.query_one("#outcome", Static)
        outcome.update(Text(clean(text)))
        outcome.set_class(failed, "-failed")
        outcome.display = True

    @on(Button.Pressed, "#cancel")
    def action_close(self) -> None:
        """Leave, unless the agent is being restarted right now."""
        if not self._busy:
            self.dismiss(self._outcome)
