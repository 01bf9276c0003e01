"""The line in which a filter is typed, with how many entries it lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label, Static

from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from textual.app import ComposeResult


class FilterBar(Horizontal):
    """Hidden until it is opened; stays while a filter is in force."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Show all", id="filter.leave"),
    ]

    class Changed(Message):
        """Another filter was typed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The person is done: with the filter kept, or with everything shown again."""

        def __init__(self, *, clear: bool) -> None:
            super().__init__()
            self.clear = clear

    def compose(self) -> ComposeResult:
        """A sign, the text, the count or what is wrong."""
        yield Label("/", markup=False)
        yield Input(placeholder="proto:tcp dport:443 state:syn idle<30s !src:10.0.0.0/8")
        yield Static(id="filter-count", markup=False)

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    def open(self, text: str, *, focus: bool) -> None:
        """Show the bar with this filter in it."""
        self.display = bool(text) or focus
        field = self.query_one(Input)
        if field.value != text:
            with field.prevent(Input.Changed):
                field.value = text
        if focus:
            # At once: what is typed next belongs into the field.
            self.screen.set_focus(field)

    def close(self) -> None:
        """Hide the bar with no filter in it."""
        self.open("", focus=False)

    def count(self, shown: int, whole: int) -> None:
        """Say how many entries pass, unless something is wrong."""
        line = self.query_one("#filter-count", Static)
        if not line.has_class("-wrong"):
            line.update(f"{shown:,} of {whole:,} entries")

    def complain(self, sentence: str) -> None:
        """Say what is wrong with the filter; an empty sentence takes it back."""
        line = self.query_one("#filter-count", Static)
        line.set_class(bool(sentence), "-wrong")
        line.update(clean(sentence))

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        self.post_message(self.Changed(message.value))

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.display = bool(message.value.strip())
        self.post_message(self.Left(clear=False))

    def action_leave(self) -> None:
        """Clear the filter."""
        self.close()
        self.post_message(self.Left(clear=True))
