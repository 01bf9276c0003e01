"""Who fills a conntrack table: the sources, destinations and services with most entries in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.keyhash import hash_columns
from ctconsole.model.ct.table import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Columns: TypeAlias = Mapping[str, npt.NDArray[Any]]
    Groups: TypeAlias = npt.NDArray[Any]

TOP: Final = 20
"""How many are named unless told."""

EXACT: Final = 1 << 18
"""As many different ones are each counted; of more only the largest, a quarter as many."""

_SUMS: Final = ("entries", "alive", "unanswered", "bytes")
_BUCKETS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Top:
    """One of those with the most entries.

    Attributes:
        address: 4 or 16 bytes, network order.
        port: host order; 0 for a source.
        protocol: IP protocol number; 0 for a source.
        rev_nat_index: that of one of its entries, host order.
        entries: entries that have it.
        alive: of these, those not expired.
        unanswered: of these, those alive that nobody has answered.
        bytes: what its entries count together; 0 where the node does not count.
    """

    address: bytes
    port: int
    protocol: int
    rev_nat_index: int
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
        missed: how many entries one may have at most that is not counted, where there are too
            many different ones to count each (`EXACT`); else 0. Those named are exact.
    """

    sources: tuple[Top, ...]
    destinations: tuple[Top, ...]
    services: tuple[Top, ...]
    missed: int = 0


class TopTally:
    """Finds the largest of a table that comes in parts, in bounded memory.

    Addresses are told apart by a 64-bit hash: two that share one would be counted as one, which
    takes billions of addresses to become likely.
    """

    def __init__(self) -> None:
        self._sources, self._destinations, self._services = _Largest(), _Largest(), _Largest()

    def add(self, table: CtTable) -> None:
        """Count the entries of another part."""
        ends, protocol = table.ends, table.keys["nexthdr"]
        shared = {
            "entries": np.ones(len(table), np.uint32),
            "alive": table.alive,
            "unanswered": (table.state == State.OPENING) | (table.state == State.ONE_WAY),
            "bytes": table.bytes,
            "rev_nat_index": table.values["rev_nat_index"],
        }
        sources = {"hash": hash_columns(ends.source), "address": ends.source, **shared}
        self._sources.add(sources)
        destinations = {
            "hash": hash_columns(ends.destination, ends.destination_port, protocol),
            "address": ends.destination,
            "port": ends.destination_port,
            "protocol": protocol,
            **shared,
        }
        if table.service.any():
            self._services.add({name: of[table.service] for name, of in destinations.items()})
            destinations = {name: of[~table.service] for name, of in destinations.items()}
        self._destinations.add(destinations)

    def tops(self, most: int) -> Tops:
        """The ``most`` largest of each kind so far."""
        kinds = (self._sources, self._destinations, self._services)
        sources, destinations, services = (kind.tops(most) for kind in kinds)
        return Tops(sources, destinations, services, max(kind.missed for kind in kinds))


class _Largest:
    """Adds columns up by their hash.

    What is not known yet waits until there is as much of it as is known. Once there are more than
    `EXACT` different ones, only the largest so far go on being counted, exactly. Of all others
    what has the same last bits of its hash is counted together: none of them has more than the
    largest of these numbers. Tables are read in the order of the kernel's own hash, so that
    whoever has many entries shows early.
    """

    def __init__(self) -> None:
        self._known: Groups | None = None
        self._hashes = np.zeros(0, np.uint64)
        # Spares most rows of an unbounded number of different ones the search.
        self._may_be_known = np.zeros(0, np.bool_)
        self._waiting: list[Groups] = []
        self._others: npt.NDArray[np.uint32] | None = None

    @property
    def missed(self) -> int:
        """See `Tops`."""
        return 0 if self._others is None else int(self._others.max())

    def add(self, columns: Columns) -> None:
        """Count rows; every column has as many."""
        fresh = self._count_known(columns)
        if fresh is not None and self._others is not None:
            np.add.at(self._others, _bucket(columns["hash"][fresh]), np.uint32(1))
        elif len(columns["hash"]) and (fresh is None or fresh.any()):
            self._waiting.append(_added_up(_rows(columns, fresh)))
            if sum(map(len, self._waiting)) > max(_len(self._known), EXACT // 4):
                self._merge()

    def _count_known(self, columns: Columns) -> npt.NDArray[np.bool_] | None:
        """Add up what belongs to those known; the rows that do not, None for all."""
        known = self._known
        if known is None:
            return None
        hashes = columns["hash"]
        rows = np.flatnonzero(self._may_be_known[_bucket(hashes)])
        place = np.minimum(np.searchsorted(self._hashes, hashes[rows]), len(known) - 1)
        hit = self._hashes[place] == hashes[rows]
        rows, place = rows[hit], place[hit]
        for name in _SUMS:
            np.add.at(known[name], place, columns[name][rows].astype(known[name].dtype))
        fresh = np.ones(len(hashes), np.bool_)
        fresh[rows] = False
        return fresh

    def _merge(self) -> None:
        parts = [*([] if self._known is None else [self._known]), *self._waiting]
        rows = np.concatenate(parts)
        # Each of them is as large as what is made of them.
        self._waiting, self._known = [], None
        parts.clear()
        known = _added_up(rows)
        del rows
        if len(known) > EXACT:
            order = np.argpartition(known["entries"], len(known) - EXACT // 4)
            gone, kept = order[: -(EXACT // 4)], np.sort(order[-(EXACT // 4) :])
            self._others = np.zeros(_BUCKETS, np.uint32)
            np.add.at(self._others, _bucket(known["hash"][gone]), known["entries"][gone])
            known = known[kept]
        self._known, self._hashes = known, known["hash"].copy()
        self._may_be_known = np.zeros(_BUCKETS, np.bool_)
        self._may_be_known[_bucket(self._hashes)] = True

    def tops(self, most: int) -> tuple[Top, ...]:
        """The largest."""
        if self._waiting:
            self._merge()
        known = self._known
        if known is None:
            return ()
        return tuple(_top(known[row]) for row in _largest(known["entries"], most))


def _bucket(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
    return (hashes & np.uint64(_BUCKETS - 1)).astype(np.intp)


def _len(known: Groups | None) -> int:
    return 0 if known is None else len(known)


def _rows(columns: Columns, chosen: npt.NDArray[np.bool_] | None) -> Groups:
    """Columns as records; those that are not there are 0."""
    some = {name: of if chosen is None else of[chosen] for name, of in columns.items()}
    rows = np.zeros(len(some["hash"]), _dtype(some["address"].shape[1]))
    for name, column in some.items():
        rows[name] = column
    return rows


def _dtype(width: int) -> np.dtype[Any]:
    """One thing that entries have in common and what they add up to; addresses of some bytes."""
    return np.dtype(
        [
            ("hash", "<u8"),
            ("bytes", "<u8"),
            ("entries", "<u4"),
            ("alive", "<u4"),
            ("unanswered", "<u4"),
            ("address", "u1", (width,)),
            ("port", "<u2"),
            ("rev_nat_index", "<u2"),
            ("protocol", "u1"),
        ]
    )


def _added_up(rows: Groups) -> Groups:
    """One row for each hash, the first that has it, with the sums of all."""
    order = np.argsort(rows["hash"])
    hashes = rows["hash"][order]
    starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
    found = rows[order[starts]]
    if len(found) < len(rows):
        for name in _SUMS:
            found[name] = np.add.reduceat(rows[name][order], starts)
    return found


def _largest(numbers: npt.NDArray[Any], most: int) -> list[int]:
    """Rows of the ``most`` largest numbers, largest first."""
    rows = np.arange(len(numbers))
    if len(numbers) > most:
        rows = np.argpartition(numbers, len(numbers) - most)[len(numbers) - most :]
    return [int(row) for row in rows[np.argsort(numbers[rows], kind="stable")[::-1]]]


def _top(row: Groups) -> Top:
    numbers = {name: int(row[name]) for name in ("port", "protocol", "rev_nat_index", *_SUMS)}
    return Top(address=row["address"].tobytes(), **numbers)
