"""The help overlay, made from the bindings that are in force where it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.app import ComposeResult

_ORDER = ("view", "table", "map", "agent", "app")
_TITLES = {
    "view": "Views",
    "table": "In a table",
    "map": "Maps and entries",
    "agent": "Agent",
    "app": "Everywhere",
}


def help_sections(bindings: Iterable[Binding]) -> dict[str, list[tuple[list[str], str]]]:
    """Keys and what they do, by the part of the binding's id before the dot.

    Several keys of one action stand together; bindings without an id are not ours to explain.
    """
    found: dict[str, dict[str, tuple[list[str], str]]] = {}
    for binding in bindings:
        if not binding.id or not binding.description:
            continue
        section = binding.id.split(".", 1)[0]
        keys, _ = found.setdefault(section, {}).setdefault(
            binding.id, ([], binding.tooltip or binding.description)
        )
        keys.append(binding.key)
    known = sorted(found, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    return {name: list(found[name].values()) for name in known}


class HelpScreen(ModalScreen[None]):
    """Lists the keys; any of ``?``, escape or ``q`` closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,f1", "dismiss", "Close", id="help.close"),
    ]

    def __init__(self, bindings: Sequence[Binding], notes: Sequence[str]) -> None:
        super().__init__()
        self._active = bindings
        self._notes = notes

    def compose(self) -> ComposeResult:
        """One block for each section."""
        with Vertical(id="help", classes="dialogue") as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            with VerticalScroll():
                for section, lines in help_sections(self._active).items():
                    yield Static(_TITLES.get(section, section.title()), classes="help-title")
                    yield Static(self._table(lines), classes="help-keys")
                for note in self._notes:
                    yield Static(note, classes="help-note", markup=False)

    def _table(self, lines: Sequence[tuple[list[str], str]]) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=16, no_wrap=True)
        table.add_column(ratio=1)
        for keys, words in lines:
            shown = " ".join(self.app.get_key_display(Binding(key, "")) for key in keys)
            table.add_row(Text(shown, style="bold"), Text(words))
        return table
