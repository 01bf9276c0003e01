"""The other entries of one connection: its other direction, its service, its backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctconsole.model.ct.table import Direction
from ctconsole.model.ct.words import STATES, protocol_name, texts
from ctconsole.model.text.addresses import end_text

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Rows: TypeAlias = npt.NDArray[np.intp]

_STATES = texts(STATES)
MEANT = {
    Direction.OUT: "out of the endpoint",
    Direction.IN: "into the endpoint",
    Direction.SERVICE: "client to service",
}
"""What the directions of entries mean."""


def related(table: CtTable, row: int) -> Rows:
    """The rows of the other entries of a row's connection, in their order.

    They have the same protocol and client end, and the same other end, whichever of both opened;
    or they are of one service, one of them its SERVICE entry: that leads to a backend.
    """
    one = table.take(slice(row, row + 1))
    port = table.keys["sport"].dtype.type
    ends, keys = one.ends, table.keys
    client = int(ends.source_port[0])
    swapped = port(client)
    # Comparing two bytes first leaves few rows to look at whole; either end may be the client's.
    some = np.flatnonzero((keys["sport"] == swapped) | (keys["dport"] == swapped))
    some = some[(some != row) & (keys["nexthdr"][some] == keys["nexthdr"][row])]
    part = table.take(some)
    at = part.ends
    source = _is(at.source, ends.source[0]) & (at.source_port == ends.source_port[0])
    target = _is(at.destination, ends.source[0]) & (at.destination_port == ends.source_port[0])
    there = _is(at.destination, ends.destination[0])
    there &= at.destination_port == ends.destination_port[0]
    back = _is(at.source, ends.destination[0]) & (at.source_port == ends.destination_port[0])
    number = part.values["rev_nat_index"]
    served = (number == one.values["rev_nat_index"][0]) & (number != 0)
    served &= part.service | bool(one.service[0])
    return np.asarray(some[(source & (there | served)) | (target & back)])


def _is(addresses: npt.NDArray[np.uint8], one: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((addresses == one).all(axis=1))


def in_a_line(one: CtTable) -> str:
    """The entry of a table of one row: which connection it is, and which way."""
    ends, way = one.ends, Direction(int(one.direction[0]))
    source = end_text(ends.source[0].tobytes(), int(ends.source_port[0]))
    destination = end_text(ends.destination[0].tobytes(), int(ends.destination_port[0]))
    protocol = protocol_name(int(one.keys["nexthdr"][0]))
    return f"{protocol} {source} -> {destination}, {MEANT[way]}"


def with_state(one: CtTable) -> str:
    """The same, and how it is; a SERVICE entry's backend."""
    chosen = f", backend {int(one.backend[0])}" if one.service[0] else ""
    return f"{in_a_line(one)}, {_STATES[int(one.state[0])]}{chosen}"
