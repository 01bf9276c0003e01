"""What ctrl+p finds: verbs, maps, views, themes and filters; what may not be done is quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Provider
from textual.content import Content

from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from textual.app import SystemCommand


class CommandProvider(Provider):
    """The app's system commands, with those that cannot be done here dimmed."""

    def _commands(self) -> Iterator[SystemCommand]:
        yield from self.app.get_system_commands(self.screen)

    async def discover(self) -> AsyncIterator[DiscoveryHit]:
        """All of it."""
        for title, about, callback, _ in self._commands():
            yield DiscoveryHit(_quiet(title, about), callback, text=title, help=clean(about))

    async def search(self, query: str) -> AsyncIterator[Hit]:
        """What has these letters."""
        matcher = self.matcher(query)
        for title, about, callback, _ in self._commands():
            score = matcher.match(title)
            if score > 0:
                shown = _quiet(title, about) if is_off(about) else matcher.highlight(title)
                yield Hit(score, shown, callback, text=title, help=clean(about))


OFF = "not here: "
"""What begins the explanation of a command that cannot be carried out."""


def is_off(about: str) -> bool:
    """Whether a command cannot be carried out."""
    return about.startswith(OFF)


def _quiet(title: str, about: str) -> Content:
    return Content.from_rich_text(Text(clean(title), "dim" if is_off(about) else ""))
