"""What every app of ours does with a terminal: its driver, its colours, how its keys are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App
from textual.binding import Binding

from ctconsole.ui.keys import keyed
from ctconsole.ui.themes import VARIABLE_DEFAULTS

if TYPE_CHECKING:
    import asyncio

    from textual.driver import Driver

    from ctconsole.ui.choices import Choices


class SurfaceApp(App[None]):
    """An app that looks like the console, and gives the terminal back whatever ends it.

    Attributes:
        choices: what is settled, and what is chosen meanwhile.
    """

    choices: Choices
    _leaving = False
    _main_loop: asyncio.AbstractEventLoop | None = None

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
