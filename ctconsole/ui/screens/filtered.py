"""A view whose rows are chosen by a filter: the keys, and what comes from the bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.screen import Screen

from ctconsole.errors import CtconsoleError, FilterError
from ctconsole.model.ct.query import EVERYTHING, Query
from ctconsole.model.filter.names import SIGN
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.ask import AskScreen
from ctconsole.ui.screens.base import View
from ctconsole.ui.widgets.filter_bar import FilterBar
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from ctconsole.ui.console import Console


class FilteringScreen(Screen[None]):
    """Has a `FilterBar`, which leads to `filter_to`."""

    BINDINGS = bindings("filtered")

    @property
    def console(self) -> Console:
        """Whom to ask."""
        return console_of(self.app)

    @property
    def filter_text(self) -> str:
        """The filter in force."""
        raise NotImplementedError

    def filter_to(self, text: str) -> None:
        """Show what this filter lets through; an unfinished one leaves what is shown."""
        raise NotImplementedError

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.query_one(FilterBar).open(self.filter_text, focus=True)

    def show_filter(self, text: str) -> None:
        """Show by a filter that was typed elsewhere; by none where it is empty."""
        if not text:
            self.action_clear_filter()
            return
        self.query_one(FilterBar).open(text, focus=False)
        self.filter_to(text)

    def action_clear_filter(self) -> None:
        """Show every row again."""
        self.query_one(FilterBar).close()
        self.filter_to("")
        self.query_one(LineTable).focus()

    @on(FilterBar.Changed)
    def _filter_changed(self, message: FilterBar.Changed) -> None:
        self.filter_to(message.text)

    @on(FilterBar.Left)
    def _filter_left(self, message: FilterBar.Left) -> None:
        if message.clear:
            self.filter_to("")
        elif not self.query_one(FilterBar).end():
            return
        self.query_one(LineTable).focus()

    @on(FilterBar.SaveAsked)
    def _save_asked(self, message: FilterBar.SaveAsked) -> None:
        asks = AskScreen("Save the filter as", "web; then @web stands for it")
        self.app.push_screen(asks, lambda name: self._save(name, message.text))

    def _save(self, name: str | None, text: str) -> None:
        if name is None:
            return
        name = name.removeprefix(SIGN)
        try:
            self.console.filters.save(name, text)
        except CtconsoleError as error:
            self.console.flash(str(error))
        else:
            self.console.flash(f"saved as {SIGN}{name}")


class FilteredView(FilteringScreen, View):
    """A view whose rows are chosen by a filter."""


class EntriesFiltered(FilteredView):
    """A view of entries; all such views share one filter.

    Attributes:
        query_shown: the filter in force, as it is asked of entries.
    """

    def __init__(self) -> None:
        super().__init__()
        self.query_shown = EVERYTHING

    @property
    def filter_text(self) -> str:
        """See `FilteredView`."""
        return self.console.filter_text

    def on_mount(self) -> None:
        """Whoever changes views quickly is here before the bar is."""
        self.take_over_filter()
        super().on_mount()

    def refilter(self) -> None:
        """Show the table at hand by another filter."""
        raise NotImplementedError

    def take_over_filter(self) -> None:
        """Show by the filter that was set elsewhere."""
        bar = self.query_one(FilterBar)
        if not bar.is_mounted:
            # A view that is being opened comes to it in `on_mount`.
            return
        if self.console.filter_text != bar.text:
            bar.open(self.console.filter_text, focus=False)
            self.filter_to(self.console.filter_text)

    def filter_to(self, text: str) -> None:
        """See `FilteredView`."""
        bar = self.query_one(FilterBar)
        try:
            query = Query.parse(text, self.console.filters.saved)
        except FilterError as error:
            bar.complain(error)
            return
        bar.complain(None)
        self.console.filter_text = query.text
        if query != self.query_shown:
            self.query_shown = query.named(self.console.known_names)
            waits = query.needs_names and self.console.known_names is None
            if waits and self.console.learn_names():
                bar.say("reading names …")
            else:
                self.refilter()

    def names_came(self) -> bool:
        """Whether names came that the filter waited for; it knows them from now on."""
        known = self.console.known_names
        if not self.query_shown.needs_names or self.query_shown.names is known:
            return False
        self.query_shown = self.query_shown.named(known)
        return True

    def refused(self, error: FilterError) -> None:
        """The table does not tell what the filter asks; called from a worker."""
        self.app.call_from_thread(self.query_one(FilterBar).refuse, error)
