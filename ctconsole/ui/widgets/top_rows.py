"""Who has the most entries, as rows of a `LineTable`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.model.ct.words import protocol_name
from ctconsole.model.text.addresses import address_text, end_text
from ctconsole.model.units import percent, short_size
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from ctconsole.model.ct.tops import Top, Tops
    from ctconsole.model.names import Names

COLUMNS = (
    Column("what", "MOST ENTRIES BY", 15, sortable=False),
    Column("who", "WHO", 24, grow=3, most=60, sortable=False),
    Column("entries", "ENTRIES", 10, right=True, sortable=False),
    Column("share", "SHARE", 6, right=True, sortable=False),
    Column("alive", "ALIVE", 10, right=True, rank=1, sortable=False),
    Column("unanswered", "UNANSWERED", 10, right=True, rank=2, sortable=False),
    Column("bytes", "BYTES", 9, right=True, rank=3, sortable=False),
)


@dataclass(frozen=True, slots=True)
class TopLine:
    """One row: its kind, what is shown, and the filter that shows its entries."""

    kind: str
    who: str
    name: str
    filter: str
    top: Top


def top_lines(tops: Tops, names: Names | None = None) -> list[TopLine]:
    """All rows: sources, destinations, services."""
    return [
        *_lines("source", tops.sources, names),
        *_lines("destination", tops.destinations, names),
        *_lines("service", tops.services, names),
    ]


def _lines(kind: str, tops: tuple[Top, ...], names: Names | None) -> Iterator[TopLine]:
    for top in tops:
        address = address_text(top.address)
        name = names.top(top, service=kind == "service") if names else ""
        if kind == "source":
            yield TopLine(kind, address, name, f"src:{address}", top)
            continue
        where = "dir:svc" if kind == "service" else "!dir:svc"
        query = f"dst:{address} dport:{top.port} proto:{top.protocol} {where}"
        who = f"{protocol_name(top.protocol)} {end_text(top.address, top.port)}"
        yield TopLine(kind, who, name, query, top)


class TopRows:
    """Rows of `TopLine`; keys are kind and text."""

    def __init__(self, lines: list[TopLine], entries: int) -> None:
        self._lines = lines
        self._entries = max(1, entries)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return COLUMNS

    @property
    def sort(self) -> tuple[str, bool]:
        """The order is fixed."""
        return "", True

    def __len__(self) -> int:
        return len(self._lines)

    def line(self, row: int) -> TopLine:
        """What a row shows."""
        return self._lines[row]

    def key(self, row: int) -> Hashable:
        """Kind and text."""
        return self._lines[row].kind, self._lines[row].who

    def find(self, key: Hashable) -> int | None:
        """The row of a key."""
        return next((row for row in range(len(self)) if self.key(row) == key), None)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One row; its kind is written where it changes."""
        del widths
        line = self._lines[row]
        first = row == 0 or self._lines[row - 1].kind != line.kind
        top = line.top
        who = f"{line.who}  {line.name}" if line.name else line.who
        return {
            "what": ((line.kind if first else "", "accent"),),
            "who": ((clean(who), ""),),
            "entries": ((f"{top.entries:,}", "strong"),),
            "share": ((percent(top.entries / self._entries), "dim"),),
            "alive": ((f"{top.alive:,}", ""),),
            "unanswered": ((f"{top.unanswered:,}", "warn" if top.unanswered else "dim"),),
            "bytes": ((short_size(top.bytes), "dim"),),
        }

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""
