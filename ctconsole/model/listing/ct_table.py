"""Our own listing for people: aligned columns, one heading per map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.model.ct.cells import flag_names, protocols
from ctconsole.model.ct.table import State
from ctconsole.model.listing.ct_names import name_columns
from ctconsole.model.text.addresses import address
from ctconsole.model.text.cells import CSV, Style, padding, words
from ctconsole.model.text.chunks import in_chunks
from ctconsole.model.text.columns import Column, decimal, join, literal, signed, token_table
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names
    from ctconsole.model.text.columns import Bytes

_WORDS: Final = Style(b"", b"-", b"", b"", b" ")
_DIRECTIONS: Final = ("OUT", "IN", "SVC")
_STATES: Final = token_table(f"  {state.name.lower():<11}  ".encode() for state in State)
_REMARKS: Final = token_table([b"  ", b"  related "])
_END_WIDTH: Final = {False: 21, True: 45}
_RIGHT: Final = {"EXPIRES": 8, "PACKETS": 10, "BYTES": 13, "REVNAT": 7, "BACKEND": 8, "IDENTITY": 9}


def render_listing_table(table: CtTable, names: Names | None = None) -> Iterator[memoryview]:
    """One map: a line about it, a line of names, a line for each entry, a blank line.

    EXPIRES is the seconds left, or the raw lifetime where the table has no clock.

    Args:
        table: the map.
        names: adds who speaks with whom at the end of each line; None adds nothing.
    """
    yield memoryview(_heading(table).encode())
    for text in in_chunks(lambda rows: _lines(table.take(rows), names), len(table)):
        yield text.data
    yield memoryview(b"\n")


def _heading(table: CtTable) -> str:
    info, width = table.info, _END_WIDTH[table.is_ipv6]
    room = f" of {count(info.max_entries)}" if info.max_entries else ""
    expired = count(int(np.count_nonzero(~table.alive)))
    known = f", {expired} expired" if table.has_clock else ""
    number = f", id {info.id}" if info.id else ""
    right = "".join(f"{name:>{size}}" for name, size in _RIGHT.items())
    return (
        f"{info.label}: {count(len(table))}{room} entries{known}{number}, "
        f"layout {table.layout}\n"
        f"{'PROTO':<7}{'DIR':<4}{'SOURCE':<{width + 1}}{'DESTINATION':<{width}}"
        f"  {'STATE':<11}  {right}  FLAGS\n"
    )


def _lines(table: CtTable, names: Names | None) -> Bytes:
    rows, ends, values = len(table), table.ends, table.values
    width = _END_WIDTH[table.is_ipv6]
    source = [*address(ends.source), literal(b":"), *decimal(ends.source_port)]
    destination = [*address(ends.destination), literal(b":"), *decimal(ends.destination_port)]
    protocol = [protocols(CSV).column(table.keys["nexthdr"])]
    direction = [words(_DIRECTIONS, CSV).column(table.direction)]
    numbers = {
        "EXPIRES": signed(table.remaining),
        "PACKETS": decimal(table.packets),
        "BYTES": decimal(table.bytes),
        "REVNAT": decimal(values["rev_nat_index"].astype(np.uint16)),
        "BACKEND": decimal(table.backend),
        "IDENTITY": decimal(values["src_sec_id"]),
    }
    left: list[Column] = []
    for cell, size in ((protocol, 6), (direction, 3), (source, width)):
        left += [*cell, *padding(cell, size, rows), literal(b" ")]
    left += [*destination, *padding(destination, width, rows), _STATES.column(table.state)]
    for name, cell in numbers.items():
        left += [*padding(cell, _RIGHT[name] - 1, rows), literal(b" "), *cell]
    remark = _REMARKS.column(table.related.astype(np.uint8))
    flags = flag_names(values["flags"], table.layout, _WORDS)
    return join([*left, remark, *flags, *_names(table, names), literal(b"\n")], rows)


def _names(table: CtTable, names: Names | None) -> list[Column]:
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
