"""A small menu: choose one of a few things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the menu: what is returned, what is shown, and a quiet remark."""

    value: str
    label: str
    remark: str = ""


class PickScreen(ModalScreen[str | None]):
    """Returns the value chosen, or None after escape."""

    BINDINGS = bindings("pick")

    def __init__(self, title: str, choices: Sequence[Choice], current: str = "") -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._current = current

    def compose(self) -> ComposeResult:
        """The menu, with the current choice under the cursor."""
        width = max(len(choice.label) for choice in self._choices)
        with Vertical(id="pick", classes="dialogue") as box:
            box.border_title = Text(self._title)
            box.border_subtitle = console_of(self.app).keyed("enter chooses · {pick.close}")
            yield OptionList(
                *(
                    Option(
                        Text.assemble(clean(c.label).ljust(width), "  ", (clean(c.remark), "dim"))
                    )
                    for c in self._choices
                )
            )

    def on_mount(self) -> None:
        """Start on the current choice."""
        values = [choice.value for choice in self._choices]
        if self._current in values:
            self.query_one(OptionList).highlighted = values.index(self._current)

    def action_cursor(self, by: int) -> None:
        """Move as the arrow keys do."""
        menu = self.query_one(OptionList)
        if by > 0:
            menu.action_cursor_down()
        else:
            menu.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _chosen(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[message.option_index].value)
