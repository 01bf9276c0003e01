"""The last line: the keys that are most needed here, as many as there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from ctconsole.keytable import BY_ID
from ctconsole.ui.console import console_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events
    from textual.screen import Screen

    from ctconsole.keytable import Key

PINNED = 9
"""Keys up to this rank stand at the right end, and are left out last."""

_GAP = 2


class Shown(NamedTuple):
    """A key as it stands in the line."""

    key: Key
    pressed: str
    display: str

    @property
    def width(self) -> int:
        """Cells of key, blank and word."""
        return cell_len(self.display) + 1 + cell_len(self.key.word)


def fitting(shown: Iterable[Shown], width: int) -> tuple[Sequence[Shown], Sequence[Shown]]:
    """The keys for which there is room, the most needed first.

    Args:
        shown: all that might be.
        width: cells of the line.

    Returns:
        Those for the left end, and those for the right end, the most needed last.
    """
    left: list[Shown] = []
    right: list[Shown] = []
    used = _GAP
    for one in sorted(shown, key=lambda one: one.key.rank):
        if used + one.width > width:
            break
        used += one.width + _GAP
        (right if one.key.rank <= PINNED else left).append(one)
    return left, right[::-1]


class KeyFooter(Widget):
    """Follows what has the focus; a click does as the key does."""

    DEFAULT_CSS = "KeyFooter { dock: bottom; height: 1; }"

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "key-footer--key",
        "key-footer--word",
        "key-footer--off",
    }

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Be told when other keys are in force."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_unmount(self) -> None:
        """Be told no more."""
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _changed(self, screen: Screen[object]) -> None:
        del screen
        self.refresh()

    def _shown(self) -> Iterable[Shown]:
        """Each key of the table with the first of what does it here."""
        seen = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            key = BY_ID.get(binding.id or "")
            if key is not None and key.rank and key.id not in seen and active.enabled:
                seen.add(key.id)
                yield Shown(key, binding.key, self.app.get_key_display(binding))

    def render(self) -> Text:
        """Keys and words; what cannot be done here is quiet."""
        left, right = fitting(self._shown(), self.size.width)
        console = console_of(self.app)
        text = Text(no_wrap=True)
        self._places = []
        ending = sum(one.width + _GAP for one in right)
        for one in (*left, *right):
            if right and one is right[0]:
                text.append(" " * (self.size.width - text.cell_len - ending + 1))
            else:
                text.append(" " * (_GAP if self._places else 1))
            begin = text.cell_len
            off = "off" if console.why_not(one.key) else ""
            text.append(one.display, self.get_component_rich_style(f"key-footer--{off or 'key'}"))
            text.append(" ")
            text.append(one.key.word, self.get_component_rich_style(f"key-footer--{off or 'word'}"))
            self._places.append((begin, text.cell_len, one.pressed))
        return text

    def on_click(self, event: events.Click) -> None:
        """Do as the key under the pointer does."""
        for begin, end, pressed in self._places:
            if begin <= event.x < end:
                self.app.simulate_key(pressed)
