"""What every app of ours does with a terminal: its driver, its colours, how its keys are called."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import App
from textual.binding import Binding
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from ctconsole.keytable import keyed
from ctconsole.ui.screens.command import CommandScreen
from ctconsole.ui.themes import VARIABLE_DEFAULTS
from ctconsole.ui.turns import KeyTurns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from textual.driver import Driver

    from ctconsole.ui.choices import Choices
    from ctconsole.ui.filters import Filters
    from ctconsole.ui.screens.command import Commanded

FLASH_SECONDS = 6.0


class SurfaceApp(App[None]):
    """An app that looks like the console, and gives the terminal back whatever ends it.

    Attributes:
        choices: what is settled, and what is chosen meanwhile.
    """

    choices: Choices
    filters: Filters
    _leaving = False
    _main_loop: asyncio.AbstractEventLoop | None = None

    def __init__(self) -> None:
        super().__init__()
        self._flash = ""
        self._flash_until = 0.0
        self._flash_clock: Callable[[], float] = time.monotonic
        self._trouble: dict[str, str] = {}
        self._turns = KeyTurns(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        """As Textual's, but keys wait for their turn."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._turns.take(event)
        else:
            await super().on_event(event)

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice, or ours in the place of its Linux driver."""
        chosen = super().get_driver_class()
        if chosen.__name__ != "LinuxDriver":
            return chosen
        from ctconsole.ui.terminal import LosableDriver

        return LosableDriver

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colours, for themes that do not name them."""
        return VARIABLE_DEFAULTS

    def get_key_display(self, binding: Binding) -> str:
        """As Textual's, but without the glyph for enter, which many fonts lack."""
        return "enter" if binding.key == "enter" else super().get_key_display(binding)

    def keyed(self, text: str) -> str:
        """See `ctconsole.ui.console.Console`."""
        return keyed(text, self.choices.settings.keys, self._shown)

    def _shown(self, key: str) -> str:
        shown = self.get_key_display(Binding(key, ""))
        # In a sentence a caret is read for what it is.
        return shown.replace("^", "ctrl+", 1) if key.startswith("ctrl+") else shown

    def refresh_status(self) -> None:
        """Bring the status line up to date."""
        raise NotImplementedError

    def flash(self, text: str) -> None:
        """Say something in the status line for a few seconds."""
        self._flash, self._flash_until = text, self._flash_clock() + FLASH_SECONDS
        self.refresh_status()

    @property
    def flashed(self) -> str:
        """What is to be said now; empty for nothing."""
        return self._flash if self._flash_clock() < self._flash_until else ""

    def on_key(self, event: events.Key) -> None:
        """Say that a key does nothing, which else looks as if the console hung."""
        typing = isinstance(self.focused, Input)
        if not typing and event.key not in self.screen.active_bindings:
            # A letter that a keyboard has is called what it is, not as Unicode names it.
            letter = event.character if event.is_printable else None
            name = letter if letter and not letter.isspace() else self._shown(event.key)
            told = f"{name} does nothing here"
            helps = "" if self.screen.is_modal else "; {app.help} for the keys"
            self.flash(told + self.keyed(helps))

    def ask_command(self, commands: Commanded) -> None:
        """Ask for a command, carry it out, and remember it."""

        def typed(text: str | None) -> None:
            if text is None:
                return
            problem = self.filters.remember("commands", text)
            commands.run(text)
            if problem:
                self.flash(problem)

        self.push_screen(CommandScreen(commands, self.filters.typed("commands")), typed)

    @on(Worker.StateChanged)
    def _worker_changed(self, message: Worker.StateChanged) -> None:
        # A worker's failure is a fault of ours; it must be seen, and must not end the console.
        name, error = message.worker.name, message.worker.error
        if message.state is WorkerState.ERROR:
            self._trouble[name] = f"internal error in {name}: {error!r}"
            self.refresh_status()
        elif message.state is WorkerState.SUCCESS and self._trouble.pop(name, ""):
            self.refresh_status()

    @property
    def depth(self) -> str:
        """How many colours the terminal has, or is to be taken to have, as ``--color`` names it."""
        told = self.choices.settings.value("color")
        known = {"standard": "16", "256": "256"}
        return known.get(self.console.color_system or "", "true") if told == "auto" else told

    def leave(self) -> None:
        """End the app; may be called from a signal handler or from another thread."""
        self._leaving = True
        loop = self._main_loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.exit)
