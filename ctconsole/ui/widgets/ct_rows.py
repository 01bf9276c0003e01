"""A conntrack table as rows of a `LineTable`; entries are decoded a page at a time, when seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.changes import dying
from ctconsole.model.ct.layout import CtFlag, Protocol
from ctconsole.model.ct.order import find_entry, sort_order
from ctconsole.model.ct.query import Query
from ctconsole.model.ct.risk import Change, Risk, judge
from ctconsole.model.ct.table import Direction, State
from ctconsole.model.text.addresses import address_text
from ctconsole.model.units import duration
from ctconsole.ui.levels import SHORT_RISKS
from ctconsole.ui.text import clean, short_count, short_size
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import numpy.typing as npt

    from ctconsole.model.ct.changes import Changes
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names

_PAGE = 64

EVERYTHING = Query("", ())
"""The filter that lets everything pass."""

DIRECTIONS = {Direction.OUT: "OUT", Direction.IN: "IN", Direction.SERVICE: "SVC"}

STATES = {
    State.OPENING: ("opening", "fresh"),
    State.ONE_WAY: ("one-way", "second"),
    State.ESTABLISHED: ("established", ""),
    State.CLOSING: ("closing", "closing"),
    State.EXPIRED: ("expired", "expired"),
}

_FLAG_WORDS = (
    (CtFlag.RX_CLOSING, "rx-closing"),
    (CtFlag.TX_CLOSING, "tx-closing"),
    (CtFlag.NAT46, "nat46"),
    (CtFlag.LB_LOOPBACK, "loopback"),
    (CtFlag.SEEN_NON_SYN, "seen-non-syn"),
    (CtFlag.NODE_PORT, "node-port"),
    (CtFlag.PROXY_REDIRECT, "proxy"),
    (CtFlag.DSR, "dsr"),
    (CtFlag.FROM_L7LB, "from-l7lb"),
    (CtFlag.FROM_TUNNEL, "from-tunnel"),
)

_SHORT_FLAGS = (
    (CtFlag.RX_CLOSING, "Rc"),
    (CtFlag.TX_CLOSING, "Tc"),
    (CtFlag.LB_LOOPBACK, "lo"),
    (CtFlag.NODE_PORT, "np"),
    (CtFlag.PROXY_REDIRECT, "px"),
    (CtFlag.DSR, "dsr"),
    (CtFlag.FROM_L7LB, "l7"),
    (CtFlag.FROM_TUNNEL, "tun"),
)


def flag_words(flags: int) -> str:
    """The names of the bits of a value's flags; unknown bits as one hexadecimal number."""
    words = [word for bit, word in _FLAG_WORDS if flags & bit]
    unknown = flags & ~sum(int(bit) for bit, _ in _FLAG_WORDS)
    if unknown:
        words.append(f"unknown 0x{unknown:x}")
    return ", ".join(words) or "none"


def short_flags(flags: int, *, related: bool) -> str:
    """The flags that are not the rule, in as few characters as can be told apart."""
    words = ["rel"] if related else []
    words += [word for bit, word in _SHORT_FLAGS if flags & bit]
    return " ".join(words)


def protocol_name(number: int) -> str:
    """``TCP``, or the number of a protocol without a name here."""
    try:
        return Protocol(number).name.replace("V6", "v6")
    except ValueError:
        return str(number)


def end_text(raw: bytes, port: int) -> str:
    """``10.0.0.1:80`` or ``[fd00::1]:80``."""
    text = address_text(raw)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


@dataclass(frozen=True, slots=True)
class Sorting:
    """What a table is sorted by."""

    column: str = "bytes"
    descending: bool = True


@dataclass(frozen=True)
class Arrangement:
    """A table in an order: made in a worker, shown on the screen.

    Attributes:
        table: the sample.
        order: row numbers of ``table`` in the order shown.
        sorting: what ``order`` was made by.
        counts: entries shown in each `State`, so that summing up does not block the screen.
        query: what ``order`` was chosen by; it lacks the entries that do not pass.
        changes: what came and went since the sample before, None where that is not known.
        at: where the asked-for key stands in ``order``, None when it is gone or none was asked.
    """

    table: CtTable
    order: npt.NDArray[np.intp]
    sorting: Sorting
    counts: Mapping[State, int]
    query: Query = EVERYTHING
    changes: Changes | None = None
    at: int | None = None


def arrange(
    table: CtTable,
    sorting: Sorting,
    key: bytes | None = None,
    query: Query = EVERYTHING,
    changes: Changes | None = None,
) -> Arrangement:
    """Choose and sort a table's rows, find ``key`` in it, count the states.

    Takes about 0.3 s for a million rows.
    """
    part, rows = table, None
    if query:
        rows = np.flatnonzero(query.rows(table))
        part = table.take(rows)
    order = sort_order(part, sorting.column, descending=sorting.descending)
    if rows is not None:
        order = rows[order]
    counts = np.bincount(part.state, minlength=len(State))
    states = {state: int(counts[state]) for state in State}
    at = _place(order, find_entry(table, key) if key else None)
    return Arrangement(table, order, sorting, states, query, changes, at)


def _place(order: npt.NDArray[np.intp], row: int | None) -> int | None:
    """Where a row of the table stands in an order; None where it does not."""
    if row is None:
        return None
    places = np.flatnonzero(order == row)
    return int(places[0]) if len(places) else None


def columns_for(*, ipv6: bool) -> tuple[Column, ...]:
    """The columns; IPv6 addresses need more room."""
    end, most = (24, 47) if ipv6 else (18, 21)
    return (
        Column("mark", "", 1, rank=2, sortable=False),
        Column("proto", "PROTO", 5),
        Column("dir", "DIR", 3),
        Column("source", "SOURCE", end, grow=2, most=most),
        Column("destination", "DESTINATION", end, grow=2, most=most),
        Column("state", "STATE", 11),
        Column("left", "LEFT", 7, right=True, rank=1),
        Column("packets", "PKTS", 7, right=True, rank=2),
        Column("bytes", "BYTES", 8, right=True),
        Column("risk", "RISK", 6, rank=2),
        Column("flags", "FLAGS", 7, grow=1, most=12, rank=3),
        Column("identity", "IDENTITY", 8, right=True, rank=4),
        Column("revnat", "REVNAT", 6, right=True, grow=1, most=14, rank=5),
        Column("backend", "BACKEND", 7, right=True, rank=6),
    )


class CtRows:
    """Rows of an `Arrangement`; keys are the entries' raw keys.

    Args:
        arrangement: what to show.
        names: what addresses and services are called; None shows numbers.
    """

    def __init__(self, arrangement: Arrangement, names: Names | None = None) -> None:
        self.arrangement = arrangement
        self._names = names
        self._columns = columns_for(ipv6=arrangement.table.is_ipv6)
        self._pages: dict[int, list[dict[str, Cell]]] = {}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return self._columns

    @property
    def sort(self) -> tuple[str, bool]:
        """What the rows are sorted by."""
        return self.arrangement.sorting.column, self.arrangement.sorting.descending

    def __len__(self) -> int:
        return len(self.arrangement.order)

    def key(self, row: int) -> bytes:
        """The raw key."""
        return bytes(self.arrangement.table.keys[self.arrangement.order[row]].tobytes())

    def find(self, key: Hashable) -> int | None:
        """The row of a raw key."""
        found = find_entry(self.arrangement.table, key) if isinstance(key, bytes) else None
        return _place(self.arrangement.order, found)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """The cells of one entry."""
        del widths
        page, line = divmod(row, _PAGE)
        if page not in self._pages:
            if len(self._pages) > 32:  # noqa: PLR2004 - a few screens of scrolling
                self._pages.clear()
            rows = self.arrangement.order[page * _PAGE : (page + 1) * _PAGE]
            marks = self._marks(rows)
            self._pages[page] = _decode(self.arrangement.table.take(rows), marks, self._names)
        return self._pages[page][line]

    def style(self, row: int) -> str:
        """Expired entries stand back, new and dying ones are tinted."""
        cells = self.cells(row, {})
        if cells["state"][0][1] == "expired":
            return "expired"
        return cells["mark"][0][1]

    def _marks(self, rows: npt.NDArray[np.intp]) -> list[str]:
        """``+`` for entries that were not there before, ``-`` for those about to go."""
        going = dying(self.arrangement.table.take(rows))
        changes = self.arrangement.changes
        new = changes.new[rows] if changes is not None else np.zeros(len(rows), np.bool_)
        return ["+" if came else "-" if goes else "" for came, goes in zip(new, going, strict=True)]


_MARK_STYLES = {"+": "fresh", "-": "closing", "": ""}


def _named(names: Names | None, raw: npt.NDArray[np.uint8]) -> list[str]:
    """What each address is called; empty for those without a name."""
    return names.addresses(raw) if names else [""] * len(raw)


def _end(name: str, raw: bytes, port: int) -> str:
    return f"{name}:{port}" if name else end_text(raw, port)


def _decode(part: CtTable, marks: list[str], names: Names | None) -> list[dict[str, Cell]]:
    """The cells of a few entries."""
    ends, values = part.ends, part.values
    columns = zip(
        part.keys["nexthdr"].tolist(),
        part.direction.tolist(),
        [row.tobytes() for row in ends.source],
        ends.source_port.tolist(),
        [row.tobytes() for row in ends.destination],
        ends.destination_port.tolist(),
        part.state.tolist(),
        part.remaining.tolist(),
        part.packets.tolist(),
        part.bytes.tolist(),
        values["flags"].tolist(),
        part.related.tolist(),
        values["src_sec_id"].tolist(),
        values["rev_nat_index"].tolist(),
        part.backend.tolist(),
        marks,
        _named(names, ends.source),
        _named(names, ends.destination),
        judge(part, Change.RECREATE).risk.tolist(),
        strict=True,
    )
    cells: list[dict[str, Cell]] = []
    for (
        proto,
        way,
        src,
        sport,
        dst,
        dport,
        state,
        left,
        pkts,
        size,
        flags,
        rel,
        ident,
        nat,
        back,
        mark,
        source,
        target,
        risk,
    ) in columns:
        service = names.service(nat) if names and nat else ""
        words, style = STATES[State(state)]
        cells.append(
            {
                "mark": ((mark, _MARK_STYLES[mark]),),
                "proto": ((protocol_name(proto), ""),),
                "dir": (
                    (DIRECTIONS[Direction(way)], "accent" if way == Direction.SERVICE else "dim"),
                ),
                "source": ((clean(_end(source, src, sport)), ""),),
                "destination": ((clean(_end(target, dst, dport)), ""),),
                "state": ((words, style),),
                "left": ((duration(left) if left > 0 and part.has_clock else "-", "dim"),),
                "packets": ((short_count(pkts), ""),),
                "bytes": ((short_size(size), ""),),
                "risk": (SHORT_RISKS[Risk(risk)],),
                "flags": ((short_flags(flags, related=rel), "second"),),
                "identity": ((str(ident) if ident else "-", "dim"),),
                "revnat": ((clean(service) or (str(nat) if nat else "-"), "dim"),),
                "backend": ((str(back) if back else "-", "dim"),),
            }
        )
    return cells
