"""Where an intent goes: the dialogue that asks before it is carried out, or why there is none."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.model.catalogue import RECREATABLE, RESIZABLE
from ctconsole.ui.console import console_of
from ctconsole.ui.screens.flush import FlushScreen
from ctconsole.ui.screens.recreate import RecreateScreen
from ctconsole.ui.screens.resize import ResizeScreen, UndoScreen
from ctconsole.ui.screens.restart import RestartScreen

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App

    from ctconsole.model.ct.query import Query
    from ctconsole.model.plan import Report
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.actions import Actions


class Dialogues:
    """What `ctconsole.ui.console.Intents` asks for, on the screens of an app.

    Args:
        app: a `ctconsole.ui.console.Console`.
        actions: what can be done to the node; None where it can only be looked at.
        hint: what opens the write gate, for whoever wants to act without ``actions``.

    Attributes:
        actions: as given.
        read_only: half a sentence: that nothing can be done, and what changes that.
    """

    def __init__(self, app: App[None], actions: Actions | None, hint: str) -> None:
        self.actions = actions
        self.read_only = f"read-only: {hint[:1].lower()}{hint[1:]}"
        self._app = app
        self._console = console_of(app)

    def delete_entries(self, row: MapRow, query: Query, key: bytes | None = None) -> None:
        """See `ctconsole.ui.console.Intents`."""
        if self.actions is None:
            self._flash(self.read_only)
        elif row.info.pin is None:
            self._flash(f"map {row.info.id} is pinned nowhere: its entries go with its programs")
        else:
            self._console.sequel.expect(row)
            self._app.push_screen(FlushScreen(row, self.actions, query, key), self._done)

    def resize(self, row: MapRow, size: str = "") -> None:
        """See `ctconsole.ui.console.Intents`."""
        self._change_size(row, partial(ResizeScreen, size=size))

    def undo_resize(self, row: MapRow) -> None:
        """See `ctconsole.ui.console.Intents`."""
        self._change_size(row, UndoScreen)

    def _change_size(
        self, row: MapRow, dialogue: Callable[[MapRow, Actions], ResizeScreen | UndoScreen]
    ) -> None:
        if self.actions is None:
            self._flash(self.read_only)
        elif row.info.pin is None or row.info.type not in RESIZABLE:
            kind = row.info.type.name.lower()
            self._flash(f"{row.info.label} is a {kind}: its entries cannot be carried over")
        else:
            self._console.sequel.expect(row)
            self._app.push_screen(dialogue(row, self.actions), self._done)

    def recreate(self, row: MapRow, size: str = "") -> None:
        """See `ctconsole.ui.console.Intents`."""
        if self.actions is None:
            self._flash(self.read_only)
        elif row.info.pin is None or row.info.type not in RECREATABLE:
            kind = row.info.type.name.lower()
            self._flash(f"{row.info.label} is a {kind}: it cannot be recreated while in use")
        else:
            self._console.sequel.expect(row)
            self._app.push_screen(RecreateScreen(row, self.actions, size), self._done)

    def restart_agent(self) -> None:
        """See `ctconsole.ui.console.Intents`."""
        if self.actions is None:
            self._flash(self.read_only)
        else:
            self._console.sequel.expect(self._console.ct_map)
            self._app.push_screen(RestartScreen(self.actions), self._done)

    @property
    def guarding(self) -> str:
        """What the guard does, in a few words; empty while it is off."""
        return self.actions.guarding if self.actions else ""

    def toggle_guard(self) -> None:
        """See `ctconsole.ui.console.Intents`."""
        pins = [row.info.pin for row in self._console.ct_maps if row.info.pin is not None]
        if self.actions is None:
            self._flash(self.read_only)
        elif not pins and not self.guarding:
            self._flash("there is no conntrack table here to guard")
        else:
            actions, on = self.actions, not self.guarding
            folder = pins[0].parent if pins else PurePath()
            self._app.run_worker(
                lambda: self._guard(actions, folder, on=on),
                name="_guard",
                thread=True,
                exclusive=True,
                group="guard",
                exit_on_error=False,
            )

    def _guard(self, actions: Actions, folder: PurePath, *, on: bool) -> None:
        try:
            told = actions.guard(folder, on=on)
        except (CtconsoleError, OSError) as error:
            told = str(error)
        self._app.call_from_thread(self._flash, told)

    def _done(self, report: Report | None) -> None:
        self._console.sequel.left()
        if report is not None:
            self._flash(report.failure or report.sentence)

    def _flash(self, text: str) -> None:
        self._console.flash(text)
