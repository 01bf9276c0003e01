"""The line in which a filter is typed: how many rows it lets through, and how it may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.highlighter import Highlighter
from rich.text import Text
from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label, Static

from ctconsole.model.filter.complete import completions, term_at
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.input_line import InputLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from ctconsole.errors import FilterError
    from ctconsole.model.filter.complete import Completion
    from ctconsole.model.filter.rules import Fields

_EXAMPLES = {
    "entries": "proto:tcp dport:443 state:syn idle<30s !src:10.0.0.0/8",
    "events": "level>=warning kind:map-* age<10m",
    "nodes": "fill>80% full_in<4h or split>0 or up:no",
}


class _Wrong(Highlighter):
    """Marks the letters that are wrong."""

    span: tuple[int, int] | None = None

    def highlight(self, text: Text) -> None:
        """See rich."""
        if self.span is not None:
            text.stylize("reverse", *self.span)


class FilterBar(Vertical):
    """Hidden until it is opened; stays while a filter is in force.

    Args:
        fields: what can be asked for.
        rows: what is filtered now, for the values that are offered.
        id: of the widget.
    """

    BINDINGS = bindings("filter")

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

    class SaveAsked(Message):
        """The filter is to be saved under a name."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, fields: Fields[Any], rows: Callable[[], Any], id: str) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._fields = fields
        self._rows = rows
        self._wrong = _Wrong()
        self._bad = self._refused = False
        self._error: FilterError | None = None
        self._offers: list[Completion] = []
        self._chosen = -1
        self._recalled = 0
        self._typed = self._offered_to = ""

    def compose(self) -> ComposeResult:
        """A sign, the text and the count; below it what is wrong, or how it may go on."""
        with Horizontal():
            yield Label("/", markup=False)
            yield InputLine(placeholder=_EXAMPLES[self._fields.what], highlighter=self._wrong)
            yield Static(id="filter-count", markup=False)
        yield Static(id="filter-hint")

    @property
    def text(self) -> str:
        """What is typed."""
        return self._input.value

    @property
    def _input(self) -> Input:
        return self.query_one(Input)

    @property
    def _begun(self) -> str:
        """The text before the cursor."""
        return self.text[: self._input.cursor_position]

    def open(self, text: str, *, focus: bool) -> None:
        """Show the bar with this filter in it."""
        self.display = bool(text) or focus
        if self.text != text:
            self._put(text)
        self.set_class(focus, "-typing")
        if focus:
            self._recalled, self._typed = 0, text
            # At once: what is typed next belongs into the field.
            self.screen.set_focus(self._input)
            self._offer()

    def close(self) -> None:
        """Hide the bar with no filter in it."""
        self.open("", focus=False)

    def count(self, shown: int, whole: int) -> None:
        """Say how many rows pass; what kept them waiting is over."""
        if self._refused:
            self.complain(None)
        line = self.query_one("#filter-count", Static)
        line.update(f"{shown:,} of {whole:,} {self._fields.what}")

    def complain(self, error: FilterError | None) -> None:
        """Mark and say what is wrong with the filter; None takes it back."""
        hint = self.query_one("#filter-hint", Static)
        self._bad, self._refused, self._error = error is not None, False, error
        # What is only not ended yet is not told as wrong.
        if error is None or (self._offers and error.at + error.length >= len(error.text)):
            hint.remove_class("-wrong")
            self._mark(None)
            self._offer()
            return
        self._blame(error)

    def _blame(self, error: FilterError) -> None:
        """Mark what is wrong, and say it below."""
        hint = self.query_one("#filter-hint", Static)
        hint.add_class("-wrong")
        before = len(self.text) - len(self.text.lstrip()) if error.text != self.text else 0
        at = error.at + before
        self._mark((at, at + error.length))
        hint.update(Text(clean(f"column {at + 1}: {error}")))

    def refuse(self, error: FilterError) -> None:
        """Say what the rows do not tell, until they do."""
        self.complain(error)
        self._refused = True

    def say(self, sentence: str) -> None:
        """Say something about the filter, until rows are counted."""
        self._refused = True
        self.query_one("#filter-hint", Static).update(Text(clean(sentence)))

    def _mark(self, span: tuple[int, int] | None) -> None:
        if span != self._wrong.span:
            self._wrong.span = span
            self._input.refresh()

    def _put(self, text: str) -> None:
        """Another text, which nobody typed."""
        field = self._input
        with field.prevent(Input.Changed):
            field.value = text
            field.cursor_position = len(text)

    def _offer(self) -> None:
        """Look for ways to go on, and show them; else what the field takes."""
        chosen = self._offers[self._chosen].text if self._chosen >= 0 else None
        if chosen == self._begun:
            # It is one of those offered: the next key may want the one after it.
            self._show_offers()
            return
        self._offers, self._chosen = [], -1
        if self.has_class("-typing"):
            self._offered_to = self._begun
            saved = console_of(self.app).filters.saved
            self._offers = completions(self._begun, self._fields, self._rows(), saved)
            self._show_offers()

    def _show_offers(self) -> None:
        hint = self.query_one("#filter-hint", Static)
        if hint.has_class("-wrong") and self._chosen < 0:
            return
        line = Text(no_wrap=True, overflow="ellipsis")
        # Those before the chosen one make room for it.
        first = max(0, self._chosen - 3)
        for place, one in enumerate(self._offers[first : first + 40], first):
            style = "reverse" if place == self._chosen else ""
            line.append(clean(one.word), style).append("  ")
        if len(self._offers) == 1:
            line.append(clean(self._offers[0].about), "dim")
        if not self._offers:
            rule = term_at(self._begun, self._fields)
            if rule is not None:
                line.append(f"{rule.asked.name}: {rule.asked.about}; {rule.takes}", "dim")
        hint.update(line)

    def on_descendant_focus(self) -> None:
        """A click leads here too."""
        self.add_class("-typing")

    def on_descendant_blur(self) -> None:
        """Somebody looks at something else."""
        self.remove_class("-typing")

    @on(Input.Changed)
    def _edited(self, message: Input.Changed) -> None:
        message.stop()
        self._recalled, self._typed = 0, message.value
        self.post_message(self.Changed(message.value))
        self._offer()

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        # Whoever shows the rows has heard of all that was typed when this is heard of.
        self.post_message(self.Left(clear=False))

    def end(self) -> bool:
        """Leave the field with what is typed; stay in it where that is wrong, and say why.

        Returns:
            Whether it was left.
        """
        text = self.text.strip()
        if text and self._error is not None and not self._refused:
            self._blame(self._error)
            return False
        self.display = bool(text)
        self.remove_class("-typing")
        if not self._bad:
            problem = console_of(self.app).filters.remember(self._fields.what, text)
            if problem:
                console_of(self.app).flash(problem)
            self.query_one("#filter-hint", Static).update("")
        return True

    def action_leave(self) -> None:
        """Clear the filter."""
        self.close()
        self.complain(None)
        self.post_message(self.Left(clear=True))

    def action_complete(self, by: int) -> None:
        """Put the next way to go on in place of the word that is typed."""
        if self._chosen < 0 and self._offered_to != self._begun:
            # Keys may come faster than what they change is told.
            self._offer()
        if not self._offers:
            return
        offers, rest = self._offers, self.text[self._input.cursor_position :]
        chosen = (self._chosen + by) % len(offers) if self._chosen >= 0 or by > 0 else -1
        one = offers[chosen]
        self._put(one.text + rest)
        self._input.cursor_position = len(one.text)
        self.post_message(self.Changed(self.text))
        if len(offers) == 1:
            self._offer()
            return
        self._offers, self._chosen = offers, chosen % len(offers)
        self._show_offers()

    def action_recall(self, by: int) -> None:
        """Put a filter there that was typed before; behind the newest is what is being typed."""
        typed = console_of(self.app).filters.typed(self._fields.what)
        place = max(-len(typed), min(0, self._recalled + by))
        if place != self._recalled:
            self._recalled = place
            self._put(typed[place] if place else self._typed)
            self.post_message(self.Changed(self.text))

    def action_save(self) -> None:
        """Ask for a name."""
        if self.text.strip() and not self._bad:
            self.post_message(self.SaveAsked(self.text.strip()))
