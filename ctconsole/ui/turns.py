"""Keys one after the other: each goes to whoever has the focus once the one before is dealt with.

Textual hands a key to the widget that has the focus when the key arrives. Of keys that come in one
go (typed ahead on a slow line, pasted by a terminal without bracketed paste, sent by a script) the
later ones arrive before the first has moved the focus: letters meant for a filter would be commands
of the table below it. So they wait for their turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual import events
    from textual.app import App
    from textual.dom import DOMNode
    from textual.timer import Timer

PATIENCE: Final = 1.0
"""Seconds after which a key is not waited for any more: whoever had it is gone, or at long work."""


class KeyTurns:
    """Whose turn it is.

    Args:
        app: whose keys they are.
        deal: deals with a key as the app would without turns.
    """

    def __init__(
        self, app: App[None], deal: Callable[[events.Key | events.Paste], Awaitable[None]]
    ) -> None:
        self._app = app
        self._deal = deal
        self._waiting: deque[events.Key | events.Paste] = deque()
        self._turn = 0
        self._under_way = False
        self._patience: Timer | None = None

    async def take(self, event: events.Key | events.Paste) -> None:
        """Deal with a key now, or when those before it have had their turn."""
        if not self._under_way:
            await self._begin(event)
            return
        self._waiting.append(event)
        if self._patience is None:
            turn = self._turn
            self._patience = self._app.set_timer(PATIENCE, lambda: self._over(turn))

    async def _begin(self, event: events.Key | events.Paste) -> None:
        self._under_way = True
        self._turn += 1
        # A key goes from the widget that has the focus up to the app, as far as nobody takes it.
        target = self._app.focused or self._app.screen
        await self._deal(event)
        # Twice: a widget may have said to those above it what the key has made of it.
        way = [*target.ancestors_with_self]
        self._follow(way + way, self._turn)

    def _follow(self, nodes: list[DOMNode], turn: int) -> None:
        """Go the way of a key, behind it; what does not run any more is passed by."""
        while nodes:
            if nodes.pop(0).call_later(self._follow, nodes, turn):
                return
        # A screen that the key opened chooses its focus, and tells the app of it.
        screen = self._app.screen
        if not screen.call_later(self._app.call_later, self._over, turn):
            self._app.call_later(self._over, turn)

    async def _over(self, turn: int) -> None:
        """Let the next key have its turn, if the one of this number still has it."""
        if turn != self._turn or not self._under_way:
            return
        self._under_way = False
        if self._patience is not None:
            self._patience.stop()
            self._patience = None
        if self._waiting:
            first = self._waiting.popleft()
            if self._waiting:
                self._patience = self._app.set_timer(
                    PATIENCE, lambda turn=turn + 1: self._over(turn)
                )
            await self._begin(first)
