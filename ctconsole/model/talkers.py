"""Who a conntrack table is full of, by whatever entries can be put together by, and how it moves.

Where `tops` finds the largest of any number of addresses in bounded memory, this counts one table
that is looked at, with what came, went and flowed since the sample before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.ct.keyhash import hash_rows
from ctconsole.model.ct.table import State
from ctconsole.model.ct.words import protocol_name
from ctconsole.model.text.addresses import address_text, end_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.changes import Changes
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Numbers: TypeAlias = npt.NDArray[Any]
    Groups: TypeAlias = npt.NDArray[np.intp]
    Hashes: TypeAlias = npt.NDArray[np.uint64]
    Chosen: TypeAlias = tuple[Sequence[Numbers], Bools | None]


class Grouping(StrEnum):
    """What entries are put together by; the value is what a person reads."""

    SOURCE = "source"
    ADDRESS = "destination address"
    DESTINATION = "destination with port"
    SERVICE = "service"
    POD = "pod"
    NAMESPACE = "namespace"
    IDENTITY = "identity"
    PROTOCOL = "protocol"


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


class _Grouped(NamedTuple):
    """Rows in groups.

    Attributes:
        of: the group of each row; -1 of one that is in none.
        hashes: of what each group has in common, in ascending order.
        rows: one row of each.
    """

    of: Groups
    hashes: Hashes
    rows: Groups


def talkers(
    table: CtTable,
    grouping: Grouping,
    ranking: Ranking,
    most: int,
    *,
    names: Names | None = None,
    moved: Moved | None = None,
    passes: Callable[[CtTable], Bools] | None = None,
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
    grouped = _grouped(table, grouping, names, passes)
    count = len(grouped.hashes)
    if not count:
        return ()
    sums = _sums(table, grouped, count)
    moves = _moves(table, grouped, count, moved) if moved is not None else {}
    if moved is not None:
        before = _grouped(moved.before, grouping, names, passes)
        moves["evicted"] = _evicted(grouped, before, moved, table)
    by = {
        Ranking.ENTRIES: sums["entries"],
        Ranking.NEW: moves.get("new"),
        Ranking.PACKETS: moves.get("packets"),
        Ranking.BYTES: moves.get("bytes"),
        Ranking.EVICTED: moves.get("evicted"),
    }[ranking]
    by = sums["entries"] if by is None else by
    order = np.lexsort((-sums["entries"], -by))[:most]

    def rate(name: str, group: int) -> float | None:
        rates = moves.get(name)
        return None if rates is None else float(rates[group])

    told = _TOLD[grouping]
    return tuple(
        EntryGroup(
            int(grouped.hashes[group]),
            *told(table, int(grouped.rows[group]), names),
            entries=int(sums["entries"][group]),
            alive=int(sums["alive"][group]),
            unanswered=int(sums["unanswered"][group]),
            volume=int(sums["volume"][group]) if table.counted else None,
            new=rate("new", group),
            packets=rate("packets", group),
            bytes=rate("bytes", group),
            evicted=rate("evicted", group),
        )
        for group in order.tolist()
    )


def _sums(table: CtTable, grouped: _Grouped, count: int) -> dict[str, Numbers]:
    unanswered = (table.state == State.OPENING) | (table.state == State.ONE_WAY)
    inside = grouped.of >= 0
    return {
        "entries": _counted(grouped.of, count),
        "alive": _counted(grouped.of, count, table.alive),
        "unanswered": _counted(grouped.of, count, unanswered),
        "volume": np.bincount(
            grouped.of[inside], weights=table.bytes[inside].astype(np.float64), minlength=count
        ),
    }


def _moves(
    table: CtTable, grouped: _Grouped, count: int, moved: Moved
) -> dict[str, Numbers | None]:
    """What came and flowed each second, by group."""
    before, changes = moved
    found: dict[str, Numbers | None] = {
        "new": _counted(grouped.of, count, changes.new) / changes.seconds
    }
    older, newer = changes.kept
    groups = grouped.of[newer]
    inside = groups >= 0
    for name in ("packets", "bytes"):
        if not table.counted:
            found[name] = None
            continue
        now = getattr(table, name)[newer].astype(np.float64)
        was = getattr(before, name)[older].astype(np.float64)
        # A counter that went back belongs to an entry that was made anew.
        grown = np.where(now >= was, now - was, now)
        found[name] = (
            np.bincount(groups[inside], weights=grown[inside], minlength=count) / changes.seconds
        )
    return found


def _evicted(grouped: _Grouped, before: _Grouped, moved: Moved, table: CtTable) -> Numbers | None:
    """Who lost living entries each second; None where that is not known."""
    if moved.changes.evicted is None:
        return None
    gone = moved.changes.gone & (moved.before.values["lifetime"] > table.now)
    lost = _counted(before.of, len(before.hashes), gone)
    found = np.zeros(len(grouped.hashes))
    # One whose entries have all gone is no talker any more.
    place = np.searchsorted(grouped.hashes, before.hashes).clip(max=len(found) - 1)
    same = grouped.hashes[place] == before.hashes
    found[place[same]] = lost[same] / moved.changes.seconds
    return found


def _counted(groups: Groups, count: int, chosen: Bools | None = None) -> Numbers:
    inside = groups >= 0
    if chosen is not None:
        inside &= np.asarray(chosen, np.bool_)
    return np.bincount(groups[inside], minlength=count)


def _grouped(
    table: CtTable,
    grouping: Grouping,
    names: Names | None,
    passes: Callable[[CtTable], Bools] | None,
) -> _Grouped:
    """Put the rows of a table together."""
    columns, among = _COLUMNS[grouping](table, names)
    if passes is not None:
        among = passes(table) if among is None else among & passes(table)
    rows = np.arange(len(table)) if among is None else np.flatnonzero(among)
    of = np.full(len(table), -1, np.intp)
    parts = [_as_bytes(column if among is None else column[rows]) for column in columns]
    hashes, first, inverse = np.unique(
        hash_rows(np.concatenate(parts, axis=1)), return_index=True, return_inverse=True
    )
    of[rows] = inverse.reshape(-1)
    return _Grouped(of, hashes, rows[first])


def _as_bytes(column: Numbers) -> npt.NDArray[np.uint8]:
    """A column as the bytes of each row."""
    whole = np.ascontiguousarray(column)
    width = whole.dtype.itemsize * int(np.prod(whole.shape[1:]))
    return whole.view(np.uint8).reshape(len(whole), width)


def _source(table: CtTable, names: Names | None) -> Chosen:
    del names
    return (table.ends.source,), None


def _address(table: CtTable, names: Names | None) -> Chosen:
    del names
    return (table.ends.destination,), ~table.service


def _destination(table: CtTable, names: Names | None) -> Chosen:
    del names
    ends = table.ends
    return (ends.destination, ends.destination_port, table.keys["nexthdr"]), ~table.service


def _service(table: CtTable, names: Names | None) -> Chosen:
    columns, _ = _destination(table, names)
    return columns, table.service


def _protocol(table: CtTable, names: Names | None) -> Chosen:
    del names
    return (table.keys["nexthdr"],), None


def _identity(table: CtTable, names: Names | None) -> Chosen:
    del names
    return (table.values["src_sec_id"],), None


def _pod(table: CtTable, names: Names | None) -> Chosen:
    return _called(table, names, lambda name: name)


def _namespace(table: CtTable, names: Names | None) -> Chosen:
    return _called(table, names, lambda name: name.partition("/")[0] if "/" in name else "")


def _called(table: CtTable, names: Names | None, part: Callable[[str], str]) -> Chosen:
    """The name of whoever is at the source, and which rows have one."""
    numbers, known = _numbers_of(table.ends.source, _pods(names), part)
    return (numbers,), known


def _pods(names: Names | None) -> Mapping[bytes, str]:
    return names.endpoints if names is not None else {}


def _numbers_of(
    addresses: Numbers, pods: Mapping[bytes, str], part: Callable[[str], str]
) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """What each address is called, as bytes of one width; which are called anything."""
    whole = np.ascontiguousarray(addresses).view(f"S{addresses.shape[1]}").reshape(-1)
    unique, inverse = np.unique(whole, return_inverse=True)
    width = addresses.shape[1]
    called = [part(pods.get(one.ljust(width, b"\0"), "")) for one in unique.tolist()]
    words = np.array([word.encode() or b"\0" for word in called] or [b"\0"])
    known = np.array([bool(word) for word in called] or [False])
    place = inverse.reshape(-1)
    raw = words[place].view(np.uint8).reshape(len(place), words.dtype.itemsize)
    return raw, known[place]


_COLUMNS: Final[Mapping[Grouping, Callable[[CtTable, Names | None], Chosen]]] = {
    Grouping.SOURCE: _source,
    Grouping.ADDRESS: _address,
    Grouping.DESTINATION: _destination,
    Grouping.SERVICE: _service,
    Grouping.POD: _pod,
    Grouping.NAMESPACE: _namespace,
    Grouping.IDENTITY: _identity,
    Grouping.PROTOCOL: _protocol,
}


def _tell_source(table: CtTable, row: int, names: Names | None) -> tuple[str, str]:
    address = table.ends.source[row].tobytes()
    text = address_text(address)
    return _with_name(text, address, names), f"src:{text}"


def _tell_address(table: CtTable, row: int, names: Names | None) -> tuple[str, str]:
    address = table.ends.destination[row].tobytes()
    text = address_text(address)
    return _with_name(text, address, names), f"dst:{text} !dir:svc"


def _tell_destination(table: CtTable, row: int, names: Names | None) -> tuple[str, str]:
    return _end_told(table, row, names, "!dir:svc")


def _tell_service(table: CtTable, row: int, names: Names | None) -> tuple[str, str]:
    who, query = _end_told(table, row, None, "dir:svc")
    name = names.service(int(table.values["rev_nat_index"][row])) if names is not None else ""
    return f"{who}  {name}".rstrip(), query


def _end_told(table: CtTable, row: int, names: Names | None, where: str) -> tuple[str, str]:
    ends, protocol = table.ends, int(table.keys["nexthdr"][row])
    address, port = ends.destination[row].tobytes(), int(ends.destination_port[row])
    who = f"{protocol_name(protocol)} {end_text(address, port)}"
    query = f"dst:{address_text(address)} dport:{port} proto:{protocol} {where}"
    return _with_name(who, address, names), query


def _with_name(text: str, address: bytes, names: Names | None) -> str:
    name = _pods(names).get(address, "")
    return f"{text}  {name}" if name else text


def _tell_protocol(table: CtTable, row: int, names: Names | None) -> tuple[str, str]:
    del names
    number = int(table.keys["nexthdr"][row])
    return protocol_name(number), f"proto:{number}"


def _tell_identity(table: CtTable, row: int, names: Names | None) -> tuple[str, str]:
    number = int(table.values["src_sec_id"][row])
    name = names.identity(number) if names is not None else ""
    return f"{number}  {name}".rstrip(), f"identity:{number}"


def _tell_pod(table: CtTable, row: int, names: Names | None) -> tuple[str, str]:
    address = table.ends.source[row].tobytes()
    return _pods(names).get(address, ""), f"src:{address_text(address)}"


def _tell_namespace(table: CtTable, row: int, names: Names | None) -> tuple[str, str]:
    name = _pods(names).get(table.ends.source[row].tobytes(), "").partition("/")[0]
    return name, f"pod:{name}/*"


_TOLD: Final[Mapping[Grouping, Callable[[CtTable, int, Names | None], tuple[str, str]]]] = {
    Grouping.SOURCE: _tell_source,
    Grouping.ADDRESS: _tell_address,
    Grouping.DESTINATION: _tell_destination,
    Grouping.SERVICE: _tell_service,
    Grouping.POD: _tell_pod,
    Grouping.NAMESPACE: _tell_namespace,
    Grouping.IDENTITY: _tell_identity,
    Grouping.PROTOCOL: _tell_protocol,
}


def why_none(grouping: Grouping, names: Names | None) -> str:
    """Why there is no group at all, where there are entries."""
    if grouping in {Grouping.POD, Grouping.NAMESPACE}:
        if names is None:
            return "Names are not known, or not yet."
        if not names.endpoints:
            return "No names of pods are known here."
        return "No entry comes from a pod whose name is known."
    if grouping is Grouping.SERVICE:
        return "No entry is for a service."
    return "No entry is there."
