"""Our own lists of Cilium's other maps: a table for people, JSON, one object per line, CSV.

Numbers are in host order, addresses are text, names are words. What is not known is null, or
empty in CSV.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.records.columns import columns, native, service_word
from ctconsole.model.records.spec import Form
from ctconsole.model.records.structs import ENDPOINT_KEY_IPV6
from ctconsole.model.text.cells import CSV, JSON, Style, padding
from ctconsole.model.text.chunks import in_chunks
from ctconsole.model.text.columns import TextColumn, join, literal
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from ctconsole.model.records.spec import ListColumn
    from ctconsole.model.records.table import RecordTable

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]

_WORDS: Final = Style(b"", b"-", b"", b"", b",")
_WIDTHS: Final = {
    Form.PROTOCOL: 6,
    Form.DIRECTION: 3,
    Form.TRAFFIC: 7,
    Form.MAC: 17,
    Form.REASON: 53,
    Form.METRIC_DIRECTION: 7,
    Form.FILE: 17,
    Form.DENY: 5,
    Form.AGE: 11,
    Form.ALGORITHM: 6,
    Form.PREFIX_BITS: 3,
    Form.PREFIX: 43,
    Form.EITHER_ADDRESS: 39,
}

_EITHER: Final = {Form.PREFIX: 18, Form.EITHER_ADDRESS: 15}
"""Widths where all addresses are IPv4."""


def render_records_table(table: RecordTable) -> Iterator[memoryview]:
    """One map: a line about it, a line of names, a line for each entry, a blank line."""
    widths = [max(len(cell.name), _width(table, cell)) for cell in table.spec.cells]
    names = "  ".join(
        cell.name.upper().ljust(width) for cell, width in zip(table.spec.cells, widths, strict=True)
    )
    yield memoryview(f"{heading(table)}\n{names.rstrip()}\n".encode())

    def lines(rows: slice) -> Bytes:
        chunk = table.take(rows)
        parts: list[TextColumn] = []
        for cell, width in zip(table.spec.cells, widths, strict=True):
            text = columns(chunk, cell, _WORDS)
            last = cell is table.spec.cells[-1]
            fill = [] if last else [*padding(text, width, len(chunk)), literal(b"  ")]
            parts += [*text, *fill]
        return join([*parts, literal(b"\n")], len(chunk))

    for text in in_chunks(lines, len(table)):
        yield text.data
    yield memoryview(b"\n")


def heading(table: RecordTable) -> str:
    """The line about a map that stands above its entries."""
    info = table.info
    room = f" of {count(info.max_entries)}" if info.max_entries else ""
    number = f", id {info.id}" if info.id else ""
    return f"{info.label}: {count(len(table))}{room} entries{number}"


def _width(table: RecordTable, cell: ListColumn) -> int:
    """Room for the longest text a cell can have here."""
    field = table.column(cell.field)
    if cell.form is Form.ADDRESS:
        return 15 if field.shape[1] == 4 else 39  # noqa: PLR2004 - bytes of an IPv4 address
    if cell.form in {Form.NUMBER, Form.COUNTER}:
        return len(str(native(field).max())) if len(field) else 1
    if cell.form in {Form.OF_SLOT, Form.AFFINITY, Form.PROXY_PORT}:
        numbers, there = service_word(table, cell.form)
        return len(str(numbers[there].max())) if there.any() else 1
    if cell.form in _EITHER and not _has_ipv6(table, cell):
        return _EITHER[cell.form]
    return _WIDTHS.get(cell.form, 0)


def _has_ipv6(table: RecordTable, cell: ListColumn) -> bool:
    if "family" not in (table.spec.key.names or ()):
        return table.is_ipv6
    families = table.column("node_family" if cell.field.startswith("node_") else "family")
    return bool(np.any(families == ENDPOINT_KEY_IPV6))


def render_records_json(tables: Iterable[RecordTable]) -> Iterator[memoryview]:
    """All entries of all maps as one JSON array with an object on each line."""
    empty = True
    for table in tables:
        for text in _objects(table, before=b",\n", after=b""):
            if empty:
                text[0] = ord("[")
                empty = False
            yield text.data
    yield memoryview(b"[]\n" if empty else b"\n]\n")


def render_records_ndjson(tables: Iterable[RecordTable]) -> Iterator[memoryview]:
    """One JSON object per line."""
    for table in tables:
        for text in _objects(table, before=b"", after=b"\n"):
            yield text.data


def _objects(table: RecordTable, *, before: bytes, after: bytes) -> Iterator[Bytes]:
    opening = before + b'{"map": ' + json.dumps(table.info.label).encode()
    return in_chunks(_rows(table, JSON, opening, b', "%s": ', b"}" + after), len(table))


def render_records_csv(tables: Iterable[RecordTable]) -> Iterator[memoryview]:
    """CSV; every map that has other columns than the one before starts with a line of names."""
    headed: tuple[ListColumn, ...] = ()
    for table in tables:
        if headed != table.spec.cells:
            headed = table.spec.cells
            yield memoryview(",".join(["map", *(cell.name for cell in headed), ""])[:-1].encode())
            yield memoryview(b"\n")
        for text in in_chunks(_rows(table, CSV, _name(table), b",", b"\n"), len(table)):
            yield text.data


def _name(table: RecordTable) -> bytes:
    label = table.info.label
    quoted = label.replace('"', '""')
    return (f'"{quoted}"' if set(label) & set('",\r\n') else label).encode()


def _rows(
    table: RecordTable, style: Style, opening: bytes, between: bytes, closing: bytes
) -> Callable[[slice], Bytes]:
    def text(rows: slice) -> Bytes:
        chunk = table.take(rows)
        parts = [literal(opening)]
        for cell in table.spec.cells:
            label = between % cell.name.encode() if b"%s" in between else between
            parts += [literal(label), *columns(chunk, cell, style)]
        return join([*parts, literal(closing)], len(chunk))

    return text
