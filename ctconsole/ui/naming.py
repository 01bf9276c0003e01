"""What addresses and services are called, read when somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work

from ctconsole.errors import CtconsoleError
from ctconsole.ui.moments import MomentApp
from ctconsole.ui.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ctconsole.model.names import Names


class NamingApp(MomentApp):
    """Shows moments with numbers, or with names.

    Attributes:
        names: what is called how, while names are shown.
        known_names: the same, shown or not; None before it was read.
    """

    names: Names | None = None
    known_names: Names | None = None
    _read_names: Callable[[], tuple[Names, Sequence[str]]] | None = None
    """Reads them, and says in words what it could not learn; may take its time."""

    def toggle_names(self) -> None:
        """Show names, or numbers again."""
        if self.names is not None:
            self.names = None
            self.show_sample()
        elif self._read_names is None:
            self.flash("nobody here knows names")
        else:
            self.flash("reading names …")
            self._fetch_names(self._read_names, show=True)

    def learn_names(self) -> bool:
        """See `ctconsole.ui.console.Console`."""
        if self._read_names is not None:
            self._fetch_names(self._read_names, show=False)
        return self._read_names is not None

    @work(thread=True, exclusive=True, group="names", exit_on_error=False)
    def _fetch_names(self, read: Callable[[], tuple[Names, Sequence[str]]], *, show: bool) -> None:
        try:
            names, warnings = read()
        except (CtconsoleError, OSError) as error:
            self.call_from_thread(self.flash, str(error))
        else:
            self.call_from_thread(self._named, names, warnings, show=show)

    def _named(self, names: Names, warnings: Sequence[str], *, show: bool) -> None:
        self.known_names = names
        if show:
            self.names = names
        known = f"{plural(len(names.endpoints), 'name')} known"
        self.flash("; ".join((known, *warnings)))
        self.show_sample()
