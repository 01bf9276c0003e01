"""What became of the entries of a table that was changed, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text
from textual import on
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from ctconsole.model.ct.sequel import SEQUEL_REASONS, Sequel
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.details import EntryDetails
from ctconsole.ui.screens.faults import TellsFaults
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.ct_rows import Arrangement, CtRows, Sorting
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ctconsole.model.ct.sequel import Sequels
    from ctconsole.model.ct.table import CtTable

_CLASSES = (
    ("all", tuple(Sequel)),
    ("broke", tuple(one for one in Sequel if one.broke)),
    ("away", (Sequel.AWAY,)),
    ("there", (Sequel.BACK,)),
    ("over before", (Sequel.OVER,)),
)
"""What can be shown alone, and of which it consists."""

_WORST_FIRST = (*(one for one in Sequel if one.broke), Sequel.AWAY, Sequel.BACK, Sequel.OVER)


class SequelScreen(TellsFaults, ModalScreen[None]):
    """Lists the entries as they were before the change, the worst first.

    Args:
        title: what was changed, and when this was seen.
        table: the entries as they were before.
        sequels: what became of each.
    """

    BINDINGS = bindings("sequel")

    def __init__(self, title: str, table: CtTable, sequels: Sequels) -> None:
        super().__init__()
        self._title, self._table, self._sequels = title, table, sequels
        self._kind = 0

    def compose(self) -> ComposeResult:
        """The classes with their numbers, the entries, and what is seen of one of them."""
        with Vertical(id="affected", classes="dialogue") as box:
            box.border_title = Text(clean(self._title))
            box.border_subtitle = console_of(self.app).keyed(
                "{sequel.class} class · {table.select} opens it as it was · {sequel.close} closes"
            )
            yield Static(id="ways")
            yield LineTable(id="entries")
            yield Static(id="why", markup=False)

    def on_mount(self) -> None:
        """Show all."""
        self.query_one(LineTable).focus()
        self._show()

    def _show(self) -> None:
        name, kinds = _CLASSES[self._kind]
        chosen = np.flatnonzero(np.isin(self._sequels.of, kinds))
        rank = np.argsort(np.array(_WORST_FIRST))[self._sequels.of[chosen]]
        order = chosen[np.argsort(rank, kind="stable")].astype(np.uint32)
        table = self.query_one(LineTable)
        table.set_empty(f"None of them: {name}.")
        table.set_rows(
            CtRows(Arrangement(self._table, order, Sorting("", descending=False), {})), at=0
        )
        text = Text(no_wrap=True, overflow="ellipsis")
        for place, (word, of) in enumerate(_CLASSES):
            number = sum(self._sequels.counts[one] for one in of)
            text.append(f" {word} {number:,} ", "reverse" if place == self._kind else "")
            text.append("  ")
        self.query_one("#ways", Static).update(text)
        self._tell_why()

    @on(LineTable.Moved)
    def _tell_why(self) -> None:
        """Say what is seen of the entry at the cursor."""
        rows, told = self.query_one(LineTable).rows, ""
        if isinstance(rows, CtRows) and len(rows):
            row = rows.arrangement.order[self.query_one(LineTable).cursor]
            told = SEQUEL_REASONS[Sequel(int(self._sequels.of[row]))]
        self.query_one("#why", Static).update(told)

    @on(LineTable.Selected)
    def _open(self, message: LineTable.Selected) -> None:
        if isinstance(message.key, bytes) and len(self._table):
            self.app.push_screen(EntryDetails(self._table, message.key))

    def action_kind(self, by: int) -> None:
        """Show those alone of which the same became."""
        self._kind = (self._kind + by) % len(_CLASSES)
        self._show()
