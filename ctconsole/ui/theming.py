"""The colours of the console: which there are, which is taken, and one's own while they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.settings.fields import did_you_mean
from ctconsole.ui.console import console_of
from ctconsole.ui.themes import AUTO_THEME, DEFAULT_THEME, LOW_THEME, read_themes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from textual.app import App


class Theming:
    """Registers themes with an app, and those of a folder anew whenever they change.

    Args:
        app: whose colours they are.
        own: a folder of a person's own; None for none.
        say: says something in the status line.
    """

    def __init__(self, app: App[None], own: Path | None, say: Callable[[str], None]) -> None:
        self._app = app
        self._own = own
        self._say = say
        self._bad: dict[str, str] = {}
        self._seen: tuple[tuple[str, int, int], ...] = ()

    @property
    def bad(self) -> Mapping[str, str]:
        """Themes that cannot be used, by the name of their file, and why."""
        return self._bad

    @property
    def names(self) -> list[str]:
        """What can be taken."""
        return sorted(self._app.available_themes)

    def load(self) -> None:
        """Register ours, and those of the folder."""
        self._register(None)
        self.follow()

    def follow(self) -> None:
        """Read the folder again if something in it has changed; costs a look at its files."""
        now = tuple(self._state())
        if self._own is not None and now != self._seen:
            self._seen = now
            self._bad.clear()
            self._register(self._own)

    def take(self, name: str, depth: str) -> None:
        """Show these colours, or say that there are none of the name.

        Args:
            name: a theme's, or `AUTO_THEME`.
            depth: how many colours the terminal has.
        """
        if name == AUTO_THEME:
            name = LOW_THEME if depth == "16" else DEFAULT_THEME
        if name not in self._app.available_themes:
            close = self._bad.get(name) or did_you_mean(name, self._app.available_themes)
            lists = console_of(self._app).keyed("{app.palette} lists them")
            self._say(f"there is no theme {name}; {close or lists}")
            name = DEFAULT_THEME
        self._app.theme = name
        # Half of a colour is none of sixteen: what is behind a dialogue is not dimmed.
        self._app.set_class(depth == "16", "-sixteen")

    def _register(self, folder: Path | None) -> None:
        good, bad = read_themes(folder)
        for theme in good:
            self._app.register_theme(theme)
            if theme.name == self._app.theme:
                # The name stays, so Textual sees no change by itself.
                self._app._watch_theme(theme.name)  # noqa: SLF001 - it has no public way
        for path, error in bad.items():
            self._bad[path.stem] = str(error)
            self._say(str(error))

    def _state(self) -> Iterator[tuple[str, int, int]]:
        for path in sorted(self._own.glob("*.toml")) if self._own is not None else ():
            try:
                found = path.stat()
            except OSError:
                continue
            yield path.name, found.st_mtime_ns, found.st_size
