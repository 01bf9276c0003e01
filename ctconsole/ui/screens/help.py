"""The help overlay, made from the bindings that are in force where it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ctconsole.keytable import UNBOUND
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.legend import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.app import ComposeResult

_TITLES = {
    "view": "Views",
    "table": "In a table",
    "map": "Map",
    "maps": "Maps",
    "entries": "Rows",
    "fleet": "Fleet",
    "agent": "Agent",
    "time": "Time",
    "app": "Everywhere",
}
"""Headings, in their order."""

_ORDER = tuple(_TITLES)


def help_sections(bindings: Iterable[Binding]) -> dict[str, list[tuple[list[str], str]]]:
    """Keys and what they do, by the part of the binding's id before the dot.

    Several keys of one action stand together; bindings without an id are not ours to explain.
    """
    found: dict[str, dict[str, tuple[list[str], str]]] = {}
    for binding in bindings:
        if not binding.id or not binding.description or binding.key == UNBOUND:
            continue
        section = binding.id.split(".", 1)[0]
        keys, _ = found.setdefault(section, {}).setdefault(
            binding.id, ([], binding.tooltip or binding.description)
        )
        keys.append(binding.key)
    known = sorted(found, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    return {name: list(found[name].values()) for name in known}


_Block = tuple[int, str, Table]
"""Lines it takes, heading, what stands below."""

_AROUND = 2
"""Lines that a block takes beside its keys."""

_TWO_COLUMNS = 110


def _parted(blocks: Sequence[_Block]) -> list[Sequence[_Block]]:
    """Two columns, as even as the order of the blocks allows."""
    whole = sum(lines for lines, *_ in blocks)
    cuts = range(1, len(blocks))
    cut = min(cuts, key=lambda cut: abs(whole - 2 * sum(one[0] for one in blocks[:cut])), default=1)
    return [blocks[:cut], blocks[cut:]]


def _marks(marks: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(max_width=18)
    table.add_column(ratio=1)
    for mark, meant in marks:
        table.add_row(Text(mark, style="bold"), Text(meant))
    return table


class HelpScreen(ModalScreen[None]):
    """Lists the keys; any of ``?``, escape or ``q`` closes it."""

    BINDINGS = bindings("help")

    def __init__(
        self,
        bindings: Sequence[Binding],
        notes: Sequence[str],
        marks: Sequence[tuple[str, str]] = MARKS,
    ) -> None:
        super().__init__()
        self._marked = marks
        self._active = bindings
        self._notes = notes

    def compose(self) -> ComposeResult:
        """One block for each section, in two columns where there is room."""
        blocks = [
            (len(lines) + _AROUND, _TITLES.get(section, section.title()), self._table(lines))
            for section, lines in help_sections(self._active).items()
        ]
        blocks.append((len(self._marked) + _AROUND, "Marks", _marks(self._marked)))
        wide = self.app.size.width >= _TWO_COLUMNS
        with Vertical(id="help", classes="dialogue -wide" if wide else "dialogue") as box:
            box.border_title = "Keys"
            box.border_subtitle = console_of(self.app).keyed("{help.close} closes")
            with VerticalScroll():
                with Horizontal(classes="help-columns"):
                    for column in _parted(blocks) if wide else [blocks]:
                        with Vertical(classes="help-column"):
                            for _, title, table in column:
                                yield Static(title, classes="help-title")
                                yield Static(table, classes="help-keys")
                for note in self._notes:
                    yield Static(note, classes="help-note", markup=False)

    def _table(self, lines: Sequence[tuple[list[str], str]]) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=10, no_wrap=True)
        table.add_column(ratio=1)
        for keys, words in lines:
            shown = " ".join(self.app.get_key_display(Binding(key, "")) for key in keys)
            table.add_row(Text(shown, style="bold"), Text(console_of(self.app).keyed(words)))
        return table
