"""The line behind ``:``; completes, recalls, and says what a command does or why it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from textual import on
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from ctconsole.ui.keys import bindings
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.input_line import InputLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


class Commanded(Protocol):
    """Who knows the commands."""

    def hint(self, text: str) -> tuple[str, bool]:
        """What to say of what is typed, and whether it cannot be done."""
        ...

    def completions(self, text: str) -> list[str]:
        """How it can go on, each as the line would then be."""
        ...

    def run(self, text: str) -> None:
        """Do what it says, or tell why not."""
        ...


class CommandScreen(ModalScreen[str | None]):
    """Returns what was typed, or None after escape.

    Args:
        commands: knows what can be typed.
        typed: what was typed before, the newest last.
    """

    BINDINGS = bindings("command")

    def __init__(self, commands: Commanded, typed: Sequence[str]) -> None:
        super().__init__()
        self._commands = commands
        self._typed = typed
        self._recalled = 0
        self._begun = ""
        self._offered: Sequence[str] = ()
        self._chosen = -1

    def compose(self) -> ComposeResult:
        """The line, and a line about it."""
        with Vertical(id="command-line"):
            yield Static(id="command-hint", markup=False)
            with Horizontal():
                yield Label(":")
                yield InputLine(id="command", compact=True)

    def on_mount(self) -> None:
        """Say what there is."""
        self._tell("")

    @on(Input.Changed)
    def _changed(self, message: Input.Changed) -> None:
        if self._chosen < 0 or message.value != self._offered[self._chosen]:
            self._offered, self._chosen = (), -1
        self._tell(message.value)

    def _tell(self, text: str) -> None:
        told, off = self._commands.hint(text)
        hint = self.query_one("#command-hint", Static)
        hint.update(clean(told))
        hint.set_class(off, "-off")

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.dismiss(message.value.strip() or None)

    def action_complete(self, by: int) -> None:
        """Put the next way to go on in the place of what is typed."""
        line = self.query_one(Input)
        if not self._offered:
            self._offered, self._chosen = self._commands.completions(line.value), -1
        if self._offered:
            self._chosen = (self._chosen + by) % len(self._offered) if self._chosen >= 0 else 0
            self._put(self._offered[self._chosen])
            if len(self._offered) == 1:
                self._offered, self._chosen = (), -1

    def action_recall(self, by: int) -> None:
        """Put a command there that was typed before; behind the newest is what is being typed."""
        line = self.query_one(Input)
        if not self._recalled:
            self._begun = line.value
        place = max(-len(self._typed), min(0, self._recalled + by))
        if place != self._recalled:
            self._recalled = place
            self._put(self._typed[place] if place else self._begun)

    def _put(self, text: str) -> None:
        line = self.query_one(Input)
        line.value = text
        line.cursor_position = len(text)
