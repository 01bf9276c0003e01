"""Our own listings, for programs: JSON, one object per line, and CSV.

Unlike Cilium's JSON they say what a person means: addresses as text from the connection's source
to its destination (also for SERVICE entries, which are stored the other way round), ports and
RevNAT ids in host order, times as RFC 3339 in UTC. What a dump file cannot tell is null, or
empty in CSV.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.ct.cells import flag_names, protocols, tcp_flags
from ctconsole.model.ct.table import Direction, State
from ctconsole.model.listing.ct_names import name_columns
from ctconsole.model.text.addresses import address
from ctconsole.model.text.cells import BOOLEANS, CSV, JSON, Style, moment, optional, words
from ctconsole.model.text.chunks import chunk_jobs, in_order
from ctconsole.model.text.columns import Column, decimal, join, literal, signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names
    from ctconsole.model.text.chunks import Job

    Bytes: TypeAlias = npt.NDArray[np.uint8]

_DIRECTIONS: Final = tuple(direction.name.lower() for direction in Direction)
_STATES: Final = tuple(state.name.lower() for state in State)


class _Cell(NamedTuple):
    name: str
    columns: list[Column]


def render_listing_json(
    tables: Iterable[CtTable], names: Names | None = None
) -> Iterator[memoryview]:
    """All entries of all maps as one JSON array with an object on each line.

    Args:
        tables: the maps.
        names: adds what addresses, services and identities are called; None adds nothing.
    """
    empty = True
    for text in _objects(tables, names, before=b",\n", after=b""):
        if empty:
            text[0] = ord("[")
            empty = False
        yield text.data
    yield memoryview(b"[]\n" if empty else b"\n]\n")


def render_listing_ndjson(
    tables: Iterable[CtTable], names: Names | None = None
) -> Iterator[memoryview]:
    """One JSON object per line (see `render_listing_json`)."""
    for text in _objects(tables, names, before=b"", after=b"\n"):
        yield text.data


def render_listing_csv(
    tables: Iterable[CtTable], names: Names | None = None
) -> Iterator[memoryview]:
    """CSV with a line of names; lists are separated by ``|`` (see `render_listing_json`)."""
    for text in in_order(_csv_jobs(tables, names)):
        yield text.data


def _csv_jobs(tables: Iterable[CtTable], names: Names | None) -> Iterator[Job]:
    headed = False
    for table in tables:
        if len(table) and not headed:
            headed = True
            yield partial(_heading, table, names)
        yield from chunk_jobs(partial(_csv, table, names), len(table))


def _heading(table: CtTable, names: Names | None) -> Bytes:
    cells = _cells(table.take(slice(0, 1)), CSV, names)
    return np.frombuffer((",".join(cell.name for cell in cells) + "\n").encode(), np.uint8)


def _csv(table: CtTable, names: Names | None, rows: slice) -> Bytes:
    chunk = table.take(rows)
    columns: list[Column] = []
    for cell in _cells(chunk, CSV, names):
        columns += [*([literal(b",")] if columns else []), *cell.columns]
    return join([*columns, literal(b"\n")], len(chunk))


def _objects(
    tables: Iterable[CtTable], names: Names | None, *, before: bytes, after: bytes
) -> Iterator[Bytes]:
    def objects(table: CtTable, rows: slice) -> Bytes:
        chunk = table.take(rows)
        columns: list[Column] = []
        opening = before + b"{"
        for cell in _cells(chunk, JSON, names):
            columns += [literal(opening + b'"%s": ' % cell.name.encode()), *cell.columns]
            opening = b", "
        return join([*columns, literal(b"}" + after)], len(chunk))

    return in_order(
        job for table in tables for job in chunk_jobs(partial(objects, table), len(table))
    )


def _cells(table: CtTable, style: Style, names: Names | None) -> list[_Cell]:
    """What a listing says of every entry, in its order."""
    cells = [*_who(table, style), *_life(table, style), *_counted(table), *_seen(table, style)]
    if names is None:
        return cells
    return cells + [_Cell(name, [column]) for name, column in name_columns(table, names, style)]


def _who(table: CtTable, style: Style) -> list[_Cell]:
    ends, keys = table.ends, table.keys
    quote = [literal(style.quote)] if style.quote else []
    return [
        _Cell("map", [literal(_name(table.info.label, style))]),
        _Cell("protocol", [protocols(style).column(keys["nexthdr"])]),
        _Cell("direction", [words(_DIRECTIONS, style).column(table.direction)]),
        _Cell("related", [BOOLEANS.column(table.related.view(np.uint8))]),
        _Cell("source", [*quote, *address(ends.source), *quote]),
        _Cell("source_port", decimal(ends.source_port)),
        _Cell("destination", [*quote, *address(ends.destination), *quote]),
        _Cell("destination_port", decimal(ends.destination_port)),
    ]


def _name(label: str, style: Style) -> bytes:
    """A map's name, which may hold anything: it is the kernel's or a file's."""
    if style is JSON:
        return json.dumps(label).encode()
    quoted = label.replace('"', '""')
    return (f'"{quoted}"' if set(label) & set('",\r\n') else label).encode()


def _life(table: CtTable, style: Style) -> list[_Cell]:
    unknown = [literal(style.null)] if style.null else []
    alive = [BOOLEANS.column(table.alive.view(np.uint8))] if table.has_clock else unknown
    remaining = signed(table.remaining) if table.has_clock else unknown
    return [
        _Cell("state", [words(_STATES, style).column(table.state)]),
        _Cell("alive", alive),
        _Cell("expires", _when(table, "lifetime", style)),
        _Cell("remaining_seconds", remaining),
        _Cell("lifetime", decimal(table.values["lifetime"])),
    ]


def _when(table: CtTable, field: str, style: Style) -> list[Column]:
    """A stamp of the table's clock as a time of day; null where it is 0 or there is no clock."""
    stamps = table.values[field]
    if not (table.has_clock and table.taken_at):
        return [literal(style.null)] if style.null else []
    seconds = table.seconds_from_now(stamps) + int(table.taken_at)
    return moment(seconds, stamps > 0, style)


def _counted(table: CtTable) -> list[_Cell]:
    """Both directions together, then each counter of a layout that tells them apart."""
    cells = [_Cell("packets", decimal(table.packets)), _Cell("bytes", decimal(table.bytes))]
    known = {cell.name for cell in cells}
    apart = (name for name in table.spec.counters if name not in known)
    return cells + [_Cell(name, decimal(_counter(table, name))) for name in apart]


def _counter(table: CtTable, name: str) -> npt.NDArray[Any]:
    """A counter, 0 where SERVICE entries keep something else in its place."""
    column = table.values[name]
    if name in table.spec.service_counters:
        return column
    return np.where(table.service, np.zeros_like(column), column)


def _seen(table: CtTable, style: Style) -> list[_Cell]:
    values = table.values
    flags = tcp_flags(style)
    cells = [
        _Cell("flags", flag_names(values["flags"], table.layout, style)),
        _Cell("rx_flags_seen", [flags.column(values["rx_flags_seen"])]),
        _Cell("tx_flags_seen", [flags.column(values["tx_flags_seen"])]),
        _Cell("last_rx_report", _when(table, "last_rx_report", style)),
        _Cell("last_tx_report", _when(table, "last_tx_report", style)),
        _Cell("rev_nat", decimal(values["rev_nat_index"].astype(np.uint16))),
        _Cell("backend_id", optional(decimal(table.backend), table.service, style.null)),
        _Cell("source_security_id", decimal(values["src_sec_id"])),
    ]
    if "ifindex" in (values.dtype.names or ()):
        cells.append(_Cell("ifindex", decimal(values["ifindex"])))
    return cells
