"""Who fills a conntrack table: the sources, destinations, services and flows with most in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.model.ct.keyhash import hash_columns
from ctconsole.model.ct.table import State

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

TOP: Final = 20
"""How many are named unless told."""


@dataclass(frozen=True, slots=True)
class Top:
    """One of those with the most entries.

    Attributes:
        row: a row of the table that shows it (`CtTable.ends`).
        entries: entries that have it.
        alive: of these, those not expired.
        unanswered: of these, those alive that nobody has answered.
        bytes: what its entries count together; 0 where the node does not count.
    """

    row: int
    entries: int
    alive: int
    unanswered: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Tops:
    """The largest of a table, each list with the most entries first.

    Attributes:
        sources: by source address.
        destinations: by destination address, port and protocol, SERVICE entries left out.
        services: by service address, port and protocol (SERVICE entries only).
        flows: rows with the most bytes, most first; empty where the node does not count.
    """

    sources: tuple[Top, ...]
    destinations: tuple[Top, ...]
    services: tuple[Top, ...]
    flows: tuple[int, ...]


def tops_of(table: CtTable, most: int = TOP) -> Tops:
    """Find the largest.

    Addresses are told apart by a 64-bit hash: two that share one would be counted as one, which
    takes billions of addresses to become likely.
    """
    ends, protocol = table.ends, table.keys["nexthdr"]
    service = np.flatnonzero(table.service)
    other = np.flatnonzero(~table.service) if len(service) else slice(None)
    source = hash_columns(ends.source)
    destination = hash_columns(ends.destination, ends.destination_port, protocol)
    return Tops(
        sources=_most(table, source, slice(None), most),
        destinations=_most(table, destination, other, most),
        services=_most(table, destination, service, most) if len(service) else (),
        flows=largest(table.bytes, most),
    )


def largest(numbers: npt.NDArray[Any], most: int) -> tuple[int, ...]:
    """Rows of the ``most`` largest numbers above zero, largest first."""
    if len(numbers) > most:
        rows = np.argpartition(numbers, len(numbers) - most)[-most:]
    else:
        rows = np.arange(len(numbers))
    rows = rows[numbers[rows] > 0]
    return tuple(int(row) for row in rows[np.argsort(numbers[rows], kind="stable")[::-1]])


def _most(
    table: CtTable, hashes: npt.NDArray[np.uint64], rows: npt.NDArray[np.intp] | slice, most: int
) -> tuple[Top, ...]:
    """The most frequent hashes among some rows, with what those rows add up to."""
    some = hashes[rows]
    if not len(some):
        return ()
    ordered = np.sort(some)
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(np.append(starts, len(ordered)))
    numbers = np.arange(len(table))[rows]
    found = []
    for place in largest(counts, most):
        mine = numbers[some == ordered[starts[place]]]
        found.append(_top(table, mine))
    return tuple(found)


def _top(table: CtTable, rows: npt.NDArray[np.intp]) -> Top:
    alive = table.alive[rows]
    state = table.state[rows]
    return Top(
        row=int(rows[0]),
        entries=len(rows),
        alive=int(np.count_nonzero(alive)),
        unanswered=int(np.count_nonzero((state == State.OPENING) | (state == State.ONE_WAY))),
        bytes=int(table.bytes[rows].sum()),
    )
