"""A conntrack table as rows of a `LineTable`; entries are decoded a page at a time, when seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.addresses import address_text
from ctconsole.model.layout import CtFlag, Protocol
from ctconsole.model.order import find_entry, sort_order
from ctconsole.model.table import Direction, State
from ctconsole.model.units import duration
from ctconsole.ui.text import short_count, short_size
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import numpy.typing as npt

    from ctconsole.model.table import CtTable

_PAGE = 64

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
        counts: entries in each `State`, so that summing up does not block the screen.
        at: where the asked-for key stands in ``order``, None when it is gone or none was asked.
    """

    table: CtTable
    order: npt.NDArray[np.intp]
    sorting: Sorting
    counts: Mapping[State, int]
    at: int | None = None


def arrange(table: CtTable, sorting: Sorting, key: bytes | None = None) -> Arrangement:
    """Sort a table, find ``key`` in it, count the states. Takes about 0.3 s for a million rows."""
    order = sort_order(table, sorting.column, descending=sorting.descending)
    row = find_entry(table, key) if key else None
    at = int(np.flatnonzero(order == row)[0]) if row is not None else None
    counts = np.bincount(table.state, minlength=len(State))
    return Arrangement(table, order, sorting, {s: int(counts[s]) for s in State}, at)


def columns_for(*, ipv6: bool) -> tuple[Column, ...]:
    """The columns; IPv6 addresses need more room."""
    end, most = (24, 47) if ipv6 else (18, 21)
    return (
        Column("proto", "PROTO", 5),
        Column("dir", "DIR", 3),
        Column("source", "SOURCE", end, grow=2, most=most),
        Column("destination", "DESTINATION", end, grow=2, most=most),
        Column("state", "STATE", 11),
        Column("left", "LEFT", 7, right=True, rank=1),
        Column("packets", "PKTS", 7, right=True, rank=2),
        Column("bytes", "BYTES", 8, right=True),
        Column("flags", "FLAGS", 7, grow=1, most=12, rank=3),
        Column("identity", "IDENTITY", 8, right=True, rank=4),
        Column("revnat", "REVNAT", 6, right=True, rank=5),
        Column("backend", "BACKEND", 7, right=True, rank=6),
    )


class CtRows:
    """Rows of an `Arrangement`; keys are the entries' raw keys."""

    def __init__(self, arrangement: Arrangement) -> None:
        self.arrangement = arrangement
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
        return None if found is None else int(np.flatnonzero(self.arrangement.order == found)[0])

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """The cells of one entry."""
        del widths
        page, line = divmod(row, _PAGE)
        if page not in self._pages:
            if len(self._pages) > 32:  # noqa: PLR2004 - a few screens of scrolling
                self._pages.clear()
            rows = self.arrangement.order[page * _PAGE : (page + 1) * _PAGE]
            self._pages[page] = _decode(self.arrangement.table.take(rows))
        return self._pages[page][line]

    def style(self, row: int) -> str:
        """Expired entries stand back."""
        state = self.cells(row, {})["state"][0][1]
        return "expired" if state == "expired" else ""


def _decode(part: CtTable) -> list[dict[str, Cell]]:
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
    ) in columns:
        words, style = STATES[State(state)]
        cells.append(
            {
                "proto": ((protocol_name(proto), ""),),
                "dir": (
                    (DIRECTIONS[Direction(way)], "accent" if way == Direction.SERVICE else "dim"),
                ),
                "source": ((end_text(src, sport), ""),),
                "destination": ((end_text(dst, dport), ""),),
                "state": ((words, style),),
                "left": ((duration(left) if left > 0 and part.has_clock else "-", "dim"),),
                "packets": ((short_count(pkts), ""),),
                "bytes": ((short_size(size), ""),),
                "flags": ((short_flags(flags, related=rel), "second"),),
                "identity": ((str(ident) if ident else "-", "dim"),),
                "revnat": ((str(nat) if nat else "-", "dim"),),
                "backend": ((str(back) if back else "-", "dim"),),
            }
        )
    return cells
