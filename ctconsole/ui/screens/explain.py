"""What operators ask of a node, answered from what is at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from textual import work
from textual.widgets import Static

from ctconsole.errors import CtconsoleError
from ctconsole.model.explain.answer import sentence
from ctconsole.model.explain.questions import QUESTIONS
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.details import Details
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.model.explain.answer import Answer
    from ctconsole.model.explain.facts import Known
    from ctconsole.observe.sampler import Sample


class ExplainScreen(Details):
    """Every question with its answer, what that rests on and what is not known.

    Args:
        read: gathers what is at hand; takes its time.
    """

    BINDINGS = bindings("explain")

    def __init__(self, read: Callable[[], Known]) -> None:
        super().__init__("What is going on here")
        self._read = read

    def on_mount(self) -> None:
        """Say what is being done; the answers come from a worker."""
        self.query_one("#details").border_subtitle = console_of(self.app).keyed(
            "{explain.again} looks again · {explain.close} closes"
        )
        self.action_again()

    def show_sample(self, sample: Sample) -> None:
        """Answers are of the moment they were asked for."""

    def action_again(self) -> None:
        """Look and answer anew."""
        self.query_one("#facts", Static).update(Text("Reading the tables …", "dim"))
        self._gather()

    @work(thread=True, exclusive=True, group="explain", exit_on_error=False)
    def _gather(self) -> None:
        app = self.app
        try:
            known = self._read()
            found = [(one.text, one.answer(known)) for one in QUESTIONS]
        except (CtconsoleError, OSError) as error:
            app.call_from_thread(self._fail, str(error))
        else:
            app.call_from_thread(self._show, found)

    def _fail(self, error: str) -> None:
        if self.is_mounted:
            self.query_one("#facts", Static).update(Text(clean(error)))

    def _show(self, found: list[tuple[str, Answer]]) -> None:
        if self.is_mounted:
            self.query_one("#facts", Static).update(answers_table(found, self.app.theme_variables))


def answers_table(found: list[tuple[str, Answer]], colours: Mapping[str, str]) -> Table:
    """The questions, each with the sentences of its answer below."""
    table = Table.grid()
    for number, (question, answer) in enumerate(found):
        if number:
            table.add_row("")
        table.add_row(Text(question, "bold"))
        for told in answer.sentences:
            table.add_row(_line(f"{sentence(told)}.", colours["foreground"]))
        if answer.rests_on:
            table.add_row(_line(f"rests on: {'; '.join(answer.rests_on)}.", "dim"))
        for told in answer.unknown:
            table.add_row(_line(f"not known: {told}.", colours["fill-warn"]))
    return table


def _line(text: str, style: str) -> Padding:
    return Padding(Text(clean(text), style), (0, 0, 0, 2))
