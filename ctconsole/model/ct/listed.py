"""What our own listings say of conntrack entries, field by field: columns of text for many rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.cells import flag_names, protocols, tcp_flags
from ctconsole.model.ct.field import InTable
from ctconsole.model.ct.words import DIRECTION_NAMES, DIRECTIONS, RELATED, STATES, texts
from ctconsole.model.text.addresses import address
from ctconsole.model.text.cells import BOOLEANS, CSV, JSON, Style, moment, optional, padding, words
from ctconsole.model.text.columns import TextColumn, decimal, literal, signed, token_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ctconsole.model.ct.field import Cells
    from ctconsole.model.ct.table import CtTable

    _Raw: TypeAlias = npt.NDArray[Any]

_WORDS: Final = Style(b"", b"-", b"", b"", b" ")
"""How the listing for people writes what is not a number."""

_DIRECTIONS: Final = tuple(texts(DIRECTIONS).values())
_STATES: Final = tuple(text.replace("-", "_") for text in texts(STATES).values())
_WIDE_STATES: Final = token_table(f"  {text:<11}  ".encode() for text in _STATES)
_REMARKS: Final = token_table([b"  ", f"  {RELATED.text} ".encode()])
_BRIEF: Final = tuple(DIRECTION_NAMES.values())
_END_WIDTH: Final = {False: 21, True: 45}


def label(table: CtTable, style: Style) -> Cells:
    """A map's name, which may hold anything: it is the kernel's or a file's."""
    return [("map", _text(table.info.label, style))]


def node(table: CtTable, style: Style) -> Cells:
    """The node and its agent's pod, of files that tell or that are of several nodes."""
    whose = table.whose
    if not whose:
        return []
    return [
        (name, _text(text, style) if text else _unknown(style))
        for name, text in (("node", whose.node), ("pod", whose.pod))
    ]


def _text(text: str, style: Style) -> list[TextColumn]:
    """The same text for every row; it may hold anything."""
    if style is JSON:
        return [literal(json.dumps(text).encode())]
    quoted = text.replace('"', '""')
    return [literal((f'"{quoted}"' if set(text) & set('",\r\n') else text).encode())]


def protocol(table: CtTable, style: Style) -> Cells:
    """Its name, or its number."""
    return [("protocol", [protocols(style).column(table.keys["nexthdr"])])]


def direction(table: CtTable, style: Style) -> Cells:
    """Which way the entry looks."""
    return [("direction", [words(_DIRECTIONS, style).column(table.direction)])]


def related(table: CtTable, _style: Style) -> Cells:
    """Whether it is for ICMP errors about another flow."""
    return [("related", [BOOLEANS.column(table.related.view(np.uint8))])]


def end(which: str) -> Callable[[CtTable, Style], Cells]:
    """Address and port of one end."""

    def cells(table: CtTable, style: Style) -> Cells:
        raw, port = getattr(table.ends, which), getattr(table.ends, f"{which}_port")
        quote = [literal(style.quote)] if style.quote else []
        return [(which, [*quote, *address(raw), *quote]), (f"{which}_port", decimal(port))]

    return cells


def state(table: CtTable, style: Style) -> Cells:
    """The life of the connection; whether it lives is not known without a clock."""
    if table.has_clock:
        alive = [BOOLEANS.column(table.alive.view(np.uint8))]
    elif table.at_least:
        alive = optional([literal(b"false")], ~table.alive, style.null)
    else:
        alive = _unknown(style)
    return [("state", [words(_STATES, style).column(table.state)]), ("alive", alive)]


def _unknown(style: Style) -> list[TextColumn]:
    return [literal(style.null)] if style.null else []


def left(table: CtTable, style: Style) -> Cells:
    """When its lifetime is over: time of day, seconds, and as it is stored."""
    return [
        ("expires", _when(table, "lifetime", style)),
        ("remaining_seconds", signed(table.remaining) if table.has_clock else _unknown(style)),
        ("lifetime", decimal(table.values["lifetime"])),
    ]


def _when(table: CtTable, field: str, style: Style) -> list[TextColumn]:
    """A stamp of the table's clock as a time of day; null where it is 0 or there is no clock."""
    stamps = table.values[field]
    if not (table.has_clock and table.taken_at):
        return _unknown(style)
    seconds = table.seconds_from_now(stamps) + int(table.taken_at)
    return moment(seconds, stamps > 0, style)


def packets(table: CtTable, style: Style) -> Cells:
    """Of both directions together; null where nobody counts them."""
    return [("packets", _counted(table, decimal(table.packets), style))]


def _counted(table: CtTable, cells: list[TextColumn], style: Style) -> list[TextColumn]:
    return cells if table.counted else _unknown(style)


def size(table: CtTable, style: Style) -> Cells:
    """Bytes of both directions together; null where nobody counts them."""
    return [("bytes", _counted(table, decimal(table.bytes), style))]


def counters(table: CtTable, style: Style) -> Cells:
    """Each counter of a layout that tells the directions apart."""
    apart = (name for name in table.spec.counters if name not in {"packets", "bytes"})
    return [(name, _counted(table, decimal(_counter(table, name)), style)) for name in apart]


def _counter(table: CtTable, name: str) -> npt.NDArray[Any]:
    """A counter, 0 where SERVICE entries keep something else in its place."""
    column = table.values[name]
    if name in table.spec.service_counters:
        return column
    return np.where(table.service, np.zeros_like(column), column)


def flags(table: CtTable, style: Style) -> Cells:
    """The names of the bits, as Cilium of that layout writes them."""
    return [("flags", flag_names(table.values["flags"], table.layout, style))]


def seen_flags(table: CtTable, style: Style) -> Cells:
    """Which flags TCP segments of each direction had."""
    names = tcp_flags(style)
    return [
        (name, [names.column(table.values[name])]) for name in ("rx_flags_seen", "tx_flags_seen")
    ]


def reports(table: CtTable, style: Style) -> Cells:
    """When each direction was last seen: a time of day, or the stamp where that is not known.

    Null where it never was.
    """
    names = ("last_rx_report", "last_tx_report")
    if table.has_clock and table.taken_at:
        return [(name, _when(table, name, style)) for name in names]
    stamps = [table.values[name] for name in names]
    return [
        (name, optional(decimal(stamp), stamp > 0, style.null))
        for name, stamp in zip(names, stamps, strict=True)
    ]


def rev_nat(table: CtTable, _style: Style) -> Cells:
    """The RevNAT index in host order."""
    return [("rev_nat", decimal(table.values["rev_nat_index"].astype(np.uint16)))]


def backend(table: CtTable, style: Style) -> Cells:
    """The backend chosen; null for entries that choose none."""
    return [("backend_id", optional(decimal(table.backend), table.service, style.null))]


def translation(table: CtTable, style: Style) -> Cells:
    """The address and port that answers of a DSR entry leave with, of layouts that keep them."""
    raw, port, present = _translated(table)
    if raw is None:
        return []
    quote = [literal(style.quote)] if style.quote else []
    return [
        ("nat_address", optional([*quote, *address(raw), *quote], present, style.null)),
        ("nat_port", optional(decimal(port), present, style.null)),
    ]


_LAST_WORD: Final = slice(12, 16)


def _translated(table: CtTable) -> tuple[_Raw | None, _Raw, _Raw]:
    """Of every entry the address, its port, and whether it has one; None for other layouts."""
    if "nat_addr" not in (table.values.dtype.names or ()):
        return None, np.zeros(0, np.uint16), np.zeros(0, np.bool_)
    raw = table.values["nat_addr"]
    port = table.values["nat_port"].astype(np.uint16)
    # A service keeps its backend there.
    present = np.asarray((port != 0) & ~table.service)
    return np.ascontiguousarray(raw if table.is_ipv6 else raw[:, _LAST_WORD]), port, present


def identity(table: CtTable, _style: Style) -> Cells:
    """The identity of the source."""
    return [("source_security_id", decimal(table.values["src_sec_id"]))]


def interface(table: CtTable, _style: Style) -> Cells:
    """The interface, of layouts that keep it."""
    known = "ifindex" in (table.values.dtype.names or ())
    return [("ifindex", decimal(table.values["ifindex"]))] if known else []


def _left(
    title: str,
    width: Callable[[CtTable], int],
    cell: Callable[[CtTable], list[TextColumn]],
    gap: str = " ",
) -> InTable:
    """A column of words, filled up with blanks to its width."""

    def columns(table: CtTable) -> list[TextColumn]:
        text, blanks = cell(table), [literal(gap.encode())] if gap else []
        return [*text, *padding(text, width(table), len(table)), *blanks]

    return InTable(lambda table: f"{title:<{width(table)}}{gap}", columns)


def number(title: str, width: int, cell: Callable[[CtTable], list[TextColumn]]) -> InTable:
    """A column of numbers, aligned right, with at least one blank before each."""

    def columns(table: CtTable) -> list[TextColumn]:
        text = cell(table)
        return [*padding(text, width - 1, len(table)), literal(b" "), *text]

    return InTable(lambda _table: f"{title:>{width}}", columns)


def _end(which: str, title: str, gap: str) -> InTable:
    def cell(table: CtTable) -> list[TextColumn]:
        raw, port = getattr(table.ends, which), getattr(table.ends, f"{which}_port")
        return [*address(raw), literal(b":"), *decimal(port)]

    return _left(title, lambda table: _END_WIDTH[table.is_ipv6], cell, gap)


def _flags(table: CtTable) -> list[TextColumn]:
    remark = _REMARKS.column(table.related.astype(np.uint8))
    flags = [remark, *flag_names(table.values["flags"], table.layout, _WORDS)]
    raw, port, present = _translated(table)
    if raw is None or not present.any():
        return flags
    end = [literal(b"  nat "), *address(raw), literal(b":"), *decimal(port)]
    return [*flags, *optional(end, present, b"")]


def counted_number(title: str, width: int, cell: Callable[[CtTable], list[TextColumn]]) -> InTable:
    """A column of numbers that nobody may have counted."""
    return number(title, width, lambda table: cell(table) if table.counted else [literal(b"-")])


PROTOCOL: Final = _left(
    "PROTO", lambda _: 6, lambda table: [protocols(CSV).column(table.keys["nexthdr"])]
)
DIRECTION: Final = _left(
    "DIR",
    lambda _: 3,
    lambda table: [words(_BRIEF, CSV).column(table.direction)],
)
SOURCE: Final = _end("source", "SOURCE", " ")
DESTINATION: Final = _end("destination", "DESTINATION", "")
STATE: Final = InTable(
    lambda _: f"  {'STATE':<11}  ", lambda table: [_WIDE_STATES.column(table.state)]
)
FLAGS: Final = InTable(lambda _: "  FLAGS", _flags, ragged=True)
"""The flags, and before them the remark that an entry is a related one."""
