"""Who has the most entries of a table, or moves most: found by groups, in little memory.

A table of a million may have a million groups, of which a screen has room for a few. So what the
groups are ranked by is counted for a sixteenth of the hashes, or less, at a time, and everything
else only of those that are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.ct.table import State
from ctconsole.model.groupings import groups_of, told_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from ctconsole.model.ct.changes import Changes
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.groupings import Grouping
    from ctconsole.model.names import Names

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Numbers: TypeAlias = npt.NDArray[Any]
    Places: TypeAlias = npt.NDArray[np.intp]
    Hashes: TypeAlias = npt.NDArray[np.uint64]
    Passes: TypeAlias = Callable[[CtTable], Bools]

_PART: Final = 1 << 16
"""Rows, or groups, that are looked at at a time."""

_BITS: Final = 16
"""Of a hash, by which rows that cannot be in any of some groups are told at once."""


class Ranking(StrEnum):
    """What the largest are chosen by; the value is what a person reads."""

    ENTRIES = "entries"
    NEW = "new/s"
    PACKETS = "packets/s"
    BYTES = "bytes/s"
    EVICTED = "evicted/s"


@dataclass(frozen=True, slots=True)
class EntryGroup:
    """One group of entries.

    Attributes:
        key: tells it from the others, and stays from sample to sample; a hash.
        who: for a person.
        filter: shows its entries; empty where no filter can.
        entries: how many it has.
        alive: of these, those not expired.
        unanswered: of these, those alive that nobody has answered.
        volume: bytes that its entries count together; None where the node does not count.
        new: that came each second since the sample before; None where there is none.
        packets: each second, of entries that were in both; None likewise.
        bytes: each second, likewise; None also where the node does not count.
        evicted: each second: those that left although their lifetime was not over; None likewise.
    """

    key: int
    who: str
    filter: str
    entries: int
    alive: int
    unanswered: int
    volume: int | None
    new: float | None
    packets: float | None
    bytes: float | None
    evicted: float | None

    def rank(self, ranking: Ranking) -> float:
        """What it is ranked by; -1 where that is not known."""
        value = {
            Ranking.ENTRIES: self.entries,
            Ranking.NEW: self.new,
            Ranking.PACKETS: self.packets,
            Ranking.BYTES: self.bytes,
            Ranking.EVICTED: self.evicted,
        }[ranking]
        return -1.0 if value is None else float(value)


class Moved(NamedTuple):
    """What is compared with, to say what moves.

    Attributes:
        before: the sample before.
        changes: what lies between it and the table.
    """

    before: CtTable
    changes: Changes


class _Rows(NamedTuple):
    """The rows of a table by their group.

    Attributes:
        hashes: that of the group of each row.
        inside: which rows are in one at all.
    """

    hashes: Hashes
    inside: Bools


class _Weighed(NamedTuple):
    """What groups are ranked by, beside their entries.

    Attributes:
        hashes: of groups, each as often as it may be.
        weights: what each brings; None for one.
    """

    hashes: Hashes
    weights: Numbers | None


def talkers(
    table: CtTable,
    grouping: Grouping,
    ranking: Ranking,
    most: int,
    *,
    names: Names | None = None,
    moved: Moved | None = None,
    passes: Passes | None = None,
) -> tuple[EntryGroup, ...]:
    """The largest groups, the first by the ranking first.

    Args:
        table: the sample.
        grouping: what entries are put together by.
        ranking: what the largest are chosen by.
        most: how many.
        names: what addresses and identities are called; pods and namespaces need them.
        moved: the sample before; None where there is none.
        passes: which rows of a table are looked at; None: all of them.
    """
    rows = _grouped(table, grouping, names, passes)
    lost = _lost(table, moved, lambda part: _grouped(part, grouping, names, passes))
    chosen = _largest(rows, _weighed(table, rows, lost, ranking, moved), most)
    if not len(chosen):
        return ()
    sought = _Sought(chosen)
    sums, first = _sums(table, rows, sought)
    moves = _moves(table, rows, sought, lost, moved) if moved is not None else {}

    def rate(name: str, group: int) -> float | None:
        rates = moves.get(name)
        return None if rates is None else float(rates[group])

    return tuple(
        EntryGroup(
            int(chosen[number]),
            *told_of(table.take(slice(first[group], first[group] + 1)), grouping, names),
            entries=int(sums["entries"][group]),
            alive=int(sums["alive"][group]),
            unanswered=int(sums["unanswered"][group]),
            volume=int(sums["volume"][group]) if table.counted else None,
            new=rate("new", group),
            packets=rate("packets", group),
            bytes=rate("bytes", group),
            evicted=rate("evicted", group),
        )
        for number, group in enumerate(sought.places.tolist())
    )


def _grouped(
    table: CtTable, grouping: Grouping, names: Names | None, passes: Passes | None
) -> _Rows:
    """Put the rows of a table together."""
    hashes, inside = np.empty(len(table), np.uint64), np.ones(len(table), np.bool_)
    for where, part in _parts(table):
        hashes[where], among = groups_of(part, grouping, names)
        if among is not None:
            inside[where] &= among
        if passes is not None:
            inside[where] &= passes(part)
    return _Rows(hashes, inside)


def _parts(table: CtTable) -> Iterator[tuple[slice, CtTable]]:
    for start in range(0, len(table), _PART):
        where = slice(start, start + _PART)
        yield where, table.take(where)


def _lost(
    table: CtTable, moved: Moved | None, grouped: Callable[[CtTable], _Rows]
) -> Hashes | None:
    """The group of each entry that left although it was alive; None where that is not known."""
    if moved is None or moved.changes.evicted is None:
        return None
    gone = np.flatnonzero(moved.changes.gone)
    gone = gone[moved.before.values["lifetime"][gone] > table.now]
    rows = grouped(moved.before.take(gone))
    return rows.hashes[rows.inside]


def _weighed(
    table: CtTable, rows: _Rows, lost: Hashes | None, ranking: Ranking, moved: Moved | None
) -> _Weighed | None:
    """What a ranking counts; None where it is by entries alone, or what it asks is not known."""
    if ranking is Ranking.EVICTED and lost is not None:
        return _Weighed(lost, None)
    if moved is None:
        return None
    if ranking is Ranking.NEW:
        return _Weighed(rows.hashes[moved.changes.new & rows.inside], None)
    if ranking in {Ranking.PACKETS, Ranking.BYTES} and table.counted:
        newer = moved.changes.kept.newer
        weights = np.empty(len(newer), np.float64)
        for where in _slices(len(newer)):
            weights[where] = _grown(table, moved, where, _COUNTER[ranking])
        inside = rows.inside[newer]
        if inside.all():
            return _Weighed(rows.hashes[newer], weights)
        return _Weighed(rows.hashes[newer[inside]], weights[inside])
    return None


_COUNTER: Final = {Ranking.PACKETS: "packets", Ranking.BYTES: "bytes"}


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + _PART) for start in range(0, count, _PART))


def _grown(table: CtTable, moved: Moved, where: slice | Places, counter: str) -> Numbers:
    """How much some of the entries that are in both samples have counted."""
    older, newer = (rows[where] for rows in moved.changes.kept)
    now = getattr(table.take(newer), counter).astype(np.float64)
    was = getattr(moved.before.take(older), counter).astype(np.float64)
    # A counter that went back belongs to an entry that was made anew.
    return np.asarray(np.where(now >= was, now - was, now))


def _largest(rows: _Rows, weighed: _Weighed | None, most: int) -> Hashes:
    """The groups of which there is most, the first first."""
    shares = max(1, -(-len(rows.hashes) // _PART))
    bits = (shares - 1).bit_length()
    found: list[tuple[Hashes, Numbers, Numbers]] = []
    shares_weighed = None if weighed is None else _shares(weighed.hashes, bits)
    for share in range(1 << bits):
        hashes = _in_share(rows.hashes, share, bits, rows.inside)
        if not len(hashes):
            continue
        groups, entries = _counted(hashes)
        by: Numbers = entries
        if weighed is not None:
            by = _added(groups, weighed, np.flatnonzero(shares_weighed == share))
        best = _best(by, entries, most)
        found.append((groups[best], by[best], entries[best]))
    if not found:
        return np.zeros(0, np.uint64)
    groups, by, entries = (np.concatenate(column) for column in zip(*found, strict=True))
    return np.asarray(groups[np.lexsort((-entries, -by))[:most]])


def _shares(hashes: Hashes, bits: int) -> npt.NDArray[np.uint16]:
    """Which share of all hashes each is in: its first bits."""
    found = np.zeros(len(hashes), np.uint16)
    if bits:
        for where in _slices(len(hashes)):
            found[where] = hashes[where] >> np.uint64(64 - bits)
    return found


def _in_share(hashes: Hashes, share: int, bits: int, inside: Bools) -> Hashes:
    """The hashes of one share."""
    found = []
    for where in _slices(len(hashes)):
        part = hashes[where][inside[where]]
        found.append(part[part >> np.uint64(64 - bits) == share] if bits else part)
    return np.concatenate(found) if found else hashes


def _counted(hashes: Hashes) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """The different ones in ascending order, and how often each is there."""
    hashes.sort()
    starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1])))
    return hashes[starts], np.diff(starts, append=len(hashes))


def _added(groups: Hashes, weighed: _Weighed, rows: Places) -> Numbers:
    """What some of what is weighed brings to each group."""
    found = np.zeros(len(groups))
    for where in _slices(len(rows)):
        hashes = weighed.hashes[rows[where]]
        place = np.searchsorted(groups, hashes).clip(max=len(groups) - 1)
        # One whose entries have all gone is no talker any more.
        there = groups[place] == hashes
        weights = None if weighed.weights is None else weighed.weights[rows[where]][there]
        found += np.bincount(place[there], weights=weights, minlength=len(groups))
    return found


def _best(by: Numbers, entries: Numbers, most: int) -> Places:
    """The places of the largest by the one, then the other, in ascending order."""
    above, level, missing = _cut(by, most)
    if len(level) > missing:
        more, alike, rest = _cut(entries[level], missing)
        level = level[np.sort(np.concatenate((more, alike[:rest])))]
    return np.sort(np.concatenate((above, level)))


def _cut(by: Numbers, most: int) -> tuple[Places, Places, int]:
    """Those surely among the largest, those that are all as large, how many of these it takes."""
    if len(by) <= most:
        return np.arange(len(by)), np.zeros(0, np.intp), 0
    least = np.partition(by, len(by) - most)[len(by) - most]
    above = np.flatnonzero(by > least)
    return above, np.flatnonzero(by == least), most - len(above)


class _Sought:
    """Some groups, of which the rows are looked for.

    Args:
        chosen: the groups.

    Attributes:
        places: that of each chosen one in what is counted.
    """

    def __init__(self, chosen: Hashes) -> None:
        self._known = np.sort(chosen)
        self.places = np.searchsorted(self._known, chosen)
        self._may_be = np.zeros(1 << _BITS, np.bool_)
        self._may_be[(chosen >> np.uint64(64 - _BITS)).astype(np.intp)] = True

    def __len__(self) -> int:
        return len(self._known)

    def rows(self, hashes: Hashes, inside: Bools | None = None) -> tuple[Places, Places]:
        """The rows that are in one of the groups, and the place of its group."""
        may_be = self._may_be[(hashes >> np.uint64(64 - _BITS)).astype(np.intp)]
        rows = np.flatnonzero(may_be if inside is None else may_be & inside)
        place = np.searchsorted(self._known, hashes[rows]).clip(max=len(self) - 1)
        there = self._known[place] == hashes[rows]
        return rows[there], place[there]

    def count(self, places: Places, weights: Numbers | None = None) -> Numbers:
        """How much is in each group."""
        return np.bincount(places, weights=weights, minlength=len(self))


def _sums(
    table: CtTable, rows: _Rows, sought: _Sought
) -> tuple[dict[str, Numbers], npt.NDArray[np.intp]]:
    """What the entries of each group are, and one row of each."""
    sums = {name: np.zeros(len(sought)) for name in ("entries", "alive", "unanswered", "volume")}
    first = np.full(len(sought), len(table), np.intp)
    for where, part in _parts(table):
        among, places = sought.rows(rows.hashes[where], rows.inside[where])
        some = part if len(among) == len(part) else part.take(among)
        sums["entries"] += sought.count(places)
        sums["alive"] += sought.count(places[some.alive])
        sums["unanswered"] += sought.count(places[some.state <= State.ONE_WAY])
        sums["volume"] += sought.count(places, some.bytes.astype(np.float64))
        np.minimum.at(first, places, where.start + among)
    return sums, first


def _moves(
    table: CtTable, rows: _Rows, sought: _Sought, lost: Hashes | None, moved: Moved
) -> dict[str, Numbers]:
    """What came, flowed and went each second, by group; what is not known is not there."""
    changes = moved.changes
    new = np.flatnonzero(changes.new & rows.inside)
    found: dict[str, Numbers] = {"new": sought.count(sought.rows(rows.hashes[new])[1])}
    if table.counted:
        found |= {"packets": np.zeros(len(sought)), "bytes": np.zeros(len(sought))}
        for where in _slices(len(changes.kept.newer)):
            newer = changes.kept.newer[where]
            among, places = sought.rows(rows.hashes[newer], rows.inside[newer])
            for name in ("packets", "bytes"):
                grown = _grown(table, moved, where.start + among, name)
                found[name] += sought.count(places, grown)
    if lost is not None:
        found["evicted"] = sought.count(sought.rows(lost)[1])
    return {name: counted / changes.seconds for name, counted in found.items()}
