"""What became of the entries of a table that was changed, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
    from collections.abc import Sequence

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


class SequelOf(NamedTuple):
    """What became of the entries of one map.

    Attributes:
        name: of the map.
        table: the entries as they were before.
        sequels: what became of each.
    """

    name: str
    table: CtTable
    sequels: Sequels


class SequelScreen(TellsFaults, ModalScreen[None]):
    """Lists the entries as they were before the change, the worst first.

    Args:
        title: what was changed, and when this was seen.
        maps: each map of the change that was compared.
    """

    BINDINGS = bindings("sequel")

    def __init__(self, title: str, maps: Sequence[SequelOf]) -> None:
        super().__init__()
        self._title, self._maps = title, maps
        self._kind = self._place = 0

    @property
    def _one(self) -> SequelOf:
        """The map that is listed."""
        return self._maps[self._place]

    def compose(self) -> ComposeResult:
        """The classes with their numbers, the entries, and what is seen of one of them."""
        with Vertical(id="affected", classes="dialogue") as box:
            box.border_title = Text(clean(self._title))
            other = "{sequel.before} {sequel.next} map · " if len(self._maps) > 1 else ""
            box.border_subtitle = console_of(self.app).keyed(
                f"{other}{{sequel.class}} class · {{table.select}} opens it as it was · "
                "{sequel.close} closes"
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
        chosen = np.flatnonzero(np.isin(self._one.sequels.of, kinds))
        rank = np.argsort(np.array(_WORST_FIRST))[self._one.sequels.of[chosen]]
        order = chosen[np.argsort(rank, kind="stable")].astype(np.uint32)
        table = self.query_one(LineTable)
        table.set_empty(f"None of them: {name}.")
        table.set_rows(
            CtRows(Arrangement(self._one.table, order, Sorting("", descending=False), {})), at=0
        )
        text = Text(no_wrap=True, overflow="ellipsis")
        if len(self._maps) > 1:
            text.append(f" {clean(self._one.name)}, {self._place + 1} of {len(self._maps)}  ")
        for place, (word, of) in enumerate(_CLASSES):
            number = sum(self._one.sequels.counts[one] for one in of)
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
            told = SEQUEL_REASONS[Sequel(int(self._one.sequels.of[row]))]
        self.query_one("#why", Static).update(told)

    @on(LineTable.Selected)
    def _open(self, message: LineTable.Selected) -> None:
        if isinstance(message.key, bytes) and len(self._one.table):
            self.app.push_screen(EntryDetails(self._one.table, message.key))

    def action_kind(self, by: int) -> None:
        """Show those alone of which the same became."""
        self._kind = (self._kind + by) % len(_CLASSES)
        self._show()

    def action_map(self, by: int) -> None:
        """Show another map of the change."""
        self._place = (self._place + by) % len(self._maps)
        self._show()
