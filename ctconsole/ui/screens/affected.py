"""What each way of changing a table's size would do to its entries, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text
from textual import on, work
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from ctconsole.errors import CtconsoleError
from ctconsole.model.ct.outcomes import REASONS, Change, Reason, Risk
from ctconsole.model.ct.risk import fates
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.levels import RISK_WORDS
from ctconsole.ui.screens.details import EntryDetails
from ctconsole.ui.screens.faults import TellsFaults
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.ct_rows import Arrangement, CtRows, Sorting
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from ctconsole.model.ct.outcomes import Verdicts
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.plan import Plan
    from ctconsole.ui.actions import Actions

_WAYS = (Change.RESIZE, Change.RECREATE, Change.FLUSH)
_CLASSES = (None, Risk.UNTOUCHED, Risk.COMES_BACK, Risk.AT_RISK, Risk.BREAKS, Risk.DEAD)
"""Those that can be shown alone; None shows all."""


@dataclass(frozen=True)
class _Judged:
    """A table, and what each way does to each of its rows."""

    table: CtTable
    verdicts: dict[Change, Verdicts]


class AffectedScreen(TellsFaults, ModalScreen[None]):
    """Lists the entries of a plan's tables by way and by what becomes of them.

    Args:
        actions: reads the tables.
        plan: of a resize or its undo.
    """

    BINDINGS = bindings("affected")

    def __init__(self, actions: Actions, plan: Plan) -> None:
        super().__init__()
        self._actions, self._plan = actions, plan
        self._judged: Sequence[_Judged] = ()
        self._map = self._way = self._kind = 0

    def compose(self) -> ComposeResult:
        """Ways and classes with their numbers, the entries, and why the one at the cursor is so."""
        with Vertical(id="affected", classes="dialogue") as box:
            box.border_title = Text(clean(f"{self._plan.title}: entry by entry"))
            box.border_subtitle = console_of(self.app).keyed(
                "{affected.way-before} {affected.way} way · {affected.class} class · "
                "{table.select} opens · {affected.close} closes"
            )
            yield Static(id="ways")
            yield LineTable(id="entries", empty="Reading …")
            yield Static(id="why", markup=False)

    def on_mount(self) -> None:
        """Read the tables in a worker."""
        self.query_one(LineTable).focus()
        self._read()

    @work(thread=True, exclusive=True, group="affected", exit_on_error=False)
    def _read(self) -> None:
        try:
            judged = [
                _Judged(table, {way: fates(table, way, missing) for way in _WAYS})
                for table, missing in self._actions.planned_tables(self._plan)
            ]
        except (CtconsoleError, OSError) as error:
            self.app.call_from_thread(self._failed, str(error))
        else:
            self.app.call_from_thread(self._show_all, judged)

    def _failed(self, sentence: str) -> None:
        if self.is_mounted:
            self.query_one(LineTable).set_empty(clean(sentence))

    def _show_all(self, judged: Sequence[_Judged]) -> None:
        if self.is_mounted:
            self._judged = judged
            self._show()

    def _show(self) -> None:
        """Bring everything up to date with what was chosen."""
        table = self.query_one(LineTable)
        if not self._judged:
            table.set_empty("These maps hold no connections: nothing is forecast of them.")
            return
        one, way, kind = self._judged[self._map], _WAYS[self._way], _CLASSES[self._kind]
        verdicts = one.verdicts[way]
        chosen = np.arange(len(one.table))
        if kind is not None:
            chosen = np.flatnonzero(verdicts.risk == kind)
        # The worst first, and those of one reason together.
        order = chosen[np.lexsort((verdicts.reason[chosen], 255 - verdicts.risk[chosen]))]
        table.set_empty(f"{way.value}: none of them {kind.word if kind is not None else ''}")
        table.set_rows(
            CtRows(
                Arrangement(one.table, order.astype(np.uint32), Sorting("", descending=False), {})
            ),
            at=0,
        )
        self.query_one("#ways", Static).update(self._ways(one))
        self._tell_why()

    def _ways(self, one: _Judged) -> Text:
        """A line for each way with the number of each class, what is shown marked."""
        text = Text(no_wrap=True, overflow="ellipsis")
        which = f"  map {self._map + 1} of {len(self._judged)}, [ ]" * (len(self._judged) > 1)
        entries = plural(len(one.table), "entry", "entries")
        text.append(f"{clean(one.table.info.label)}", "bold").append(f"  {entries}{which}\n", "dim")
        heads = "".join(f"{'all' if kind is None else kind.word:>12}" for kind in _CLASSES)
        text.append(f"{'':<10}{heads}", "dim")
        for number, way in enumerate(_WAYS):
            here = number == self._way
            text.append(f"\n{'▶ ' if here else '  '}{way.value:<8}", "bold" if here else "")
            for place, kind in enumerate(_CLASSES):
                found = len(one.table) if kind is None else one.verdicts[way].count(kind)
                style = "" if kind is None else self.app.theme_variables[RISK_WORDS[kind][1]]
                shown = here and place == self._kind
                text.append(f"{found:>12,}", f"{style} reverse".strip() if shown else style)
        return text

    @on(LineTable.Moved)
    def _tell_why(self) -> None:
        """Say what becomes of the entry at the cursor, and why."""
        rows = self.query_one(LineTable).rows
        told = ""
        if self._judged and isinstance(rows, CtRows) and len(rows):
            row = rows.arrangement.order[self.query_one(LineTable).cursor]
            verdicts = self._judged[self._map].verdicts[_WAYS[self._way]]
            risk, why = Risk(int(verdicts.risk[row])), Reason(int(verdicts.reason[row]))
            told = f"{_WAYS[self._way].value}: {risk.word}: {REASONS[why]}"
        self.query_one("#why", Static).update(told)

    @on(LineTable.Selected)
    def _open(self, message: LineTable.Selected) -> None:
        rows = message.table.rows
        if isinstance(rows, CtRows) and len(rows) and isinstance(message.key, bytes):
            self.app.push_screen(EntryDetails(rows.arrangement.table, message.key))

    def action_way(self, by: int) -> None:
        """Show what another way would do."""
        self._way = (self._way + by) % len(_WAYS)
        self._show()

    def action_kind(self, by: int) -> None:
        """Show those alone of which the same becomes."""
        self._kind = (self._kind + by) % len(_CLASSES)
        self._show()

    def action_map(self, by: int) -> None:
        """Show another of the maps that change together."""
        self._map = (self._map + by) % max(1, len(self._judged))
        self._show()
