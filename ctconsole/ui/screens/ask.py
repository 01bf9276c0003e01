"""One line to type: a moment, a path, a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings

if TYPE_CHECKING:
    from textual.app import ComposeResult


class AskScreen(ModalScreen[str | None]):
    """Returns what was typed, or None after escape.

    Args:
        title: what is asked.
        placeholder: how an answer may look.
        value: an answer that is there already.
    """

    BINDINGS = bindings("ask")

    def __init__(self, title: str, placeholder: str, value: str = "") -> None:
        super().__init__()
        self._title = title
        self._placeholder = placeholder
        self._value = value

    def compose(self) -> ComposeResult:
        """The line."""
        with Vertical(id="ask", classes="dialogue") as box:
            box.border_title = Text(self._title)
            box.border_subtitle = console_of(self.app).keyed("enter · {ask.close}")
            yield Input(self._value, placeholder=self._placeholder)

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.dismiss(message.value.strip() or None)
