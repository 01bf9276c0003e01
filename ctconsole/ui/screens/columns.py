"""Which columns a table shows, in which order, and how wide: tried out at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text
from textual import on
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.faults import TellsFaults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from ctconsole.ui.widgets.line_table import LineTable
    from ctconsole.ui.widgets.rows import Column

_MARKS = "☐☑"


class _Line(NamedTuple):
    """One column in the list.

    Attributes:
        column: which.
        shown: whether it is wanted.
        width: terminal cells somebody gave it; 0: as the table lays it out.
    """

    column: Column
    shown: bool
    width: int = 0

    @property
    def choice(self) -> str:
        """As `LineTable.choose` has it."""
        return f"{self.column.name}:{self.width}" if self.width else self.column.name


class ColumnsScreen(TellsFaults, ModalScreen[tuple[str, ...]]):
    """Returns the columns chosen, as `LineTable.choose` has them; none for all as they fit.

    Args:
        table: the table, which follows every step.
    """

    BINDINGS = bindings("columns")

    def __init__(self, table: LineTable) -> None:
        super().__init__()
        self._table = table
        columns = table.rows.columns if table.rows is not None else ()
        self._lines = _lines(columns, table)

    def compose(self) -> ComposeResult:
        """The list, the leftmost column first."""
        with Vertical(id="pick", classes="dialogue") as box:
            box.border_title = "Columns"
            box.border_subtitle = console_of(self.app).keyed(
                "{columns.toggle} shows · {columns.right} {columns.left} move · "
                "{columns.wider} {columns.narrower} width · {columns.default} default · "
                "{columns.done}"
            )
            yield OptionList()

    def on_mount(self) -> None:
        """List them."""
        self._list(0)

    @on(OptionList.OptionSelected)
    def action_show_or_hide(self) -> None:
        """Show the column, or hide it; the last one stays."""
        at = self._at
        line = self._lines[at]
        if not line.shown or sum(one.shown for one in self._lines) > 1:
            self._lines[at] = line._replace(shown=not line.shown)
            self._try_out(at)

    def action_move(self, by: int) -> None:
        """Move the column in the table."""
        at, to = self._at, self._at + by
        if 0 <= to < len(self._lines):
            self._lines[at], self._lines[to] = self._lines[to], self._lines[at]
            self._try_out(to)

    def action_widen(self, by: int) -> None:
        """Give the column another width."""
        at = self._at
        line = self._lines[at]
        now = line.width or self._table.widths.get(line.column.name, line.column.width)
        self._lines[at] = line._replace(width=max(1, now + by))
        self._try_out(at)

    def action_default(self) -> None:
        """All columns, as they fit."""
        self._table.choose(())
        columns = self._table.rows.columns if self._table.rows is not None else ()
        self._lines = _lines(columns, self._table)
        self._list(self._at)

    def action_cursor(self, by: int) -> None:
        """Move as the arrow keys do."""
        menu = self.query_one(OptionList)
        if by > 0:
            menu.action_cursor_down()
        else:
            menu.action_cursor_up()

    def action_done(self) -> None:
        """Leave with what is seen."""
        self.dismiss(self._table.chosen)

    @property
    def _at(self) -> int:
        return self.query_one(OptionList).highlighted or 0

    def _try_out(self, at: int) -> None:
        self._table.choose([line.choice for line in self._lines if line.shown])
        self._list(at)

    def _list(self, at: int) -> None:
        menu = self.query_one(OptionList)
        menu.clear_options()
        menu.add_options(Option(_told(line, self._table)) for line in self._lines)
        if self._lines:
            menu.highlighted = min(at, len(self._lines) - 1)


def _lines(columns: Sequence[Column], table: LineTable) -> list[_Line]:
    """The columns that are shown in their order, then the others."""
    given = dict(one.partition(":")[::2] for one in table.chosen)
    by_name = {column.name: column for column in columns}
    shown = [
        _Line(by_name[name], shown=True, width=int(given.get(name) or 0)) for name in table.widths
    ]
    return [*shown, *(_Line(one, shown=False) for one in columns if one.name not in table.widths)]


def _told(line: _Line, table: LineTable) -> Text:
    title = line.column.title.capitalize() or line.column.name.capitalize()
    width = table.widths.get(line.column.name)
    return Text.assemble(
        f"{_MARKS[line.shown]} {title.ljust(14)}", (f"  {width} wide" if width else "", "dim")
    )
