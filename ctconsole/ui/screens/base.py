"""What every view of the console is: chrome around a body that shows samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.screen import Screen

from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.columns import ColumnsScreen
from ctconsole.ui.screens.details import EntryDetails
from ctconsole.ui.screens.faults import TellsFaults
from ctconsole.ui.screens.pick import Choice, PickScreen
from ctconsole.ui.widgets.alarm_line import AlarmLine
from ctconsole.ui.widgets.chrome import StatusBar, TitleBar
from ctconsole.ui.widgets.ct_rows import Sorting
from ctconsole.ui.widgets.key_footer import KeyFooter
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.sequel_line import SequelLine
from ctconsole.ui.widgets.time_bar import TimeBar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult
    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample
    from ctconsole.ui.console import Console
    from ctconsole.ui.widgets.rows import Column


class View(TellsFaults, Screen[None]):
    """One of the views of `VIEW_NAMES`: title, body, status line, keys."""

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it
        (0, "-narrow"),
        (112, "-wide"),
        (150, "-broad"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it
        (0, "-short"),
        (32, "-tall"),
    ]

    AUTO_FOCUS = "LineTable"

    BINDINGS = bindings("view")

    VIEW: ClassVar[str] = ""
    """The mode's name, as in `VIEW_NAMES`."""

    @property
    def console(self) -> Console:
        """Whom to ask."""
        return console_of(self.app)

    def compose(self) -> ComposeResult:
        """Chrome around the body."""
        yield TitleBar(self.console.looked_at, self.VIEW)
        yield self.alarm_line()
        yield from self.compose_body()
        yield SequelLine(markup=False)
        yield TimeBar()
        yield StatusBar()
        yield KeyFooter()

    def alarm_line(self) -> AlarmLine:
        """What is told below the title."""
        return AlarmLine()

    def compose_body(self) -> Iterable[Widget]:
        """The view's own widgets."""
        raise NotImplementedError

    def show_sample(self, sample: Sample) -> None:
        """Show this sample; called for the view on top, in the app's thread."""
        raise NotImplementedError

    def shown(self) -> str:
        """How many rows of how many are shown, for the status line."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """A view may be opened long after the sample was taken."""
        for table in self.query(LineTable).results():
            table.choose(self.console.columns(self.VIEW))
            break
        self.show_sample(self.console.sample)

    def action_follow(self) -> None:
        """Show the entry that is followed, wherever it is by now."""
        followed = self.console.following.entry
        if followed is None:
            told = "no entry is followed; {entries.follow} on one in Entries follows it"
            self.console.flash(self.console.keyed(told))
        else:
            around = self.console.following.around
            table = followed.last if around is None else around
            self.app.push_screen(EntryDetails(table, followed.key, self.console.names))

    def action_sequel(self) -> None:
        """List what came back of the last change, or say why not."""
        told = self.console.sequel.list()
        if told:
            self.console.flash(told)

    def action_columns(self) -> None:
        """Choose the columns of the first table."""
        table = self.query(LineTable).first()
        if table.rows is not None:
            self.app.push_screen(ColumnsScreen(table), self._columns_chosen)

    def action_sideways(self, by: int) -> None:
        """Scroll the table that has the focus, or else the first, by a column."""
        focused = self.focused
        table = focused if isinstance(focused, LineTable) else self.query(LineTable).first()
        table.sideways(by)

    def _columns_chosen(self, columns: tuple[str, ...] | None) -> None:
        if columns is not None:
            self.console.choose_columns(self.VIEW, columns)

    def on_screen_resume(self) -> None:
        """Catch up with what was sampled while another view was on top."""
        if self.is_mounted:
            self.show_sample(self.console.sample)
            self.console.refresh_status()


class SortingScreen(Screen[None]):
    """A screen whose first table can be sorted: from a menu, by heading, or column by column."""

    BINDINGS = bindings("sorted")

    VIEW: ClassVar[str] = ""
    """What is sorted, as the configuration calls it."""

    sorting: Sorting

    @property
    def console(self) -> Console:
        """Whom to ask."""
        return console_of(self.app)

    def on_mount(self) -> None:
        """Begin with the order that is settled."""
        chosen = self.console.choices.sorting(self.VIEW)
        if chosen is not None:
            self.sorting = Sorting(chosen[0], descending=chosen[1])

    def resort(self) -> None:
        """Show what is shown in the order of `sorting`."""
        raise NotImplementedError

    def action_sort(self) -> None:
        """Choose the column from a menu."""
        choices = [
            Choice(c.name, c.title.capitalize(), "now" if c.name == self.sorting.column else "")
            for c in self._columns()
        ]
        if choices:
            self.app.push_screen(
                PickScreen("Sort by", choices, self.sorting.column), self._sort_chosen
            )

    def action_sort_by(self, by: int) -> None:
        """Sort by a neighbouring column."""
        names = [column.name for column in self._columns()]
        if names:
            place = names.index(self.sorting.column) if self.sorting.column in names else 0
            self.sort_by(names[(place + by) % len(names)])

    def sortable(self) -> list[str]:
        """What can be sorted by."""
        return [column.name for column in self._columns()]

    def sort_by(self, column: str, *, descending: bool | None = None) -> None:
        """Sort by a column; by the same column again, the other way round unless it is said."""
        if descending is not None:
            self.sorting = Sorting(column, descending=descending)
        elif column == self.sorting.column:
            self.sorting = Sorting(column, descending=not self.sorting.descending)
        else:
            right = next((c.right for c in self._columns() if c.name == column), False)
            # Numbers are looked at from the largest down, names from A on.
            self.sorting = Sorting(column, descending=right or column == "fill")
        chosen = self.sorting
        self.console.choices.choose_sorting(self.VIEW, chosen.column, descending=chosen.descending)
        # A million rows take a moment; whoever pressed a key sees at once that it was heard.
        self.query(LineTable).first().await_order(chosen.column)
        self.resort()

    @on(LineTable.SortAsked)
    def _heading_clicked(self, message: LineTable.SortAsked) -> None:
        self.sort_by(message.column)

    def _sort_chosen(self, column: str | None) -> None:
        if column is not None:
            self.sort_by(column)

    def _columns(self) -> list[Column]:
        rows = self.query(LineTable).first().rows
        return [column for column in rows.columns if column.sortable] if rows else []


class SortableView(SortingScreen, View):
    """A view whose first table can be sorted."""
