"""Our own listing for people: aligned columns, one heading per map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.model.ct.show import table_columns
from ctconsole.model.listing.ct_names import name_columns
from ctconsole.model.text.cells import Style
from ctconsole.model.text.chunks import in_chunks
from ctconsole.model.text.columns import TextColumn, join, literal
from ctconsole.model.units import count
from ctconsole.model.whose import called

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names
    from ctconsole.model.text.columns import Bytes

_WORDS: Final = Style(b"", b"-", b"", b"", b" ")


def render_listing_table(
    table: CtTable, names: Names | None = None, title: str = ""
) -> Iterator[memoryview]:
    """One map: a line about it, a line of names, a line for each entry, a blank line.

    EXPIRES is the seconds left, or the raw lifetime where the table has no clock.

    Args:
        table: the map.
        names: adds who speaks with whom at the end of each line; None adds nothing.
        title: the line about it, where that tells of more than the table's own entries.
    """
    yield memoryview(_heading(table, title).encode())
    for text in in_chunks(lambda rows: _lines(table.take(rows), names), len(table)):
        yield text.data
    yield memoryview(b"\n")


def title_line(table: CtTable) -> str:
    """The line about a map that stands above its entries."""
    info = table.info
    room = f" of {count(info.max_entries)}" if info.max_entries else ""
    expired = count(int(np.count_nonzero(~table.alive)))
    known = f", {expired} expired" if table.has_clock else ""
    if table.at_least:
        known = f", at least {expired} expired"
    number = f", id {info.id}" if info.id else ""
    return (
        f"{called(info.label, table.whose)}: {count(len(table))}{room} entries{known}{number}, "
        f"layout {table.layout}"
    )


def _heading(table: CtTable, title: str) -> str:
    titles = "".join(column.heading(table) for column in table_columns())
    return f"{title or title_line(table)}\n{titles}\n"


def _lines(table: CtTable, names: Names | None) -> Bytes:
    cells = [cell for column in table_columns() for cell in column.columns(table)]
    return join([*cells, *_names(table, names), literal(b"\n")], len(table))


def _names(table: CtTable, names: Names | None) -> list[TextColumn]:
    """``  [web -> db, service shop/web]``, a dash for what has no name."""
    if names is None:
        return []
    source, destination, service, _ = name_columns(table, names, _WORDS)
    return [
        literal(b"  ["),
        source[1],
        literal(b" -> "),
        destination[1],
        literal(b", service "),
        service[1],
        literal(b"]"),
    ]
