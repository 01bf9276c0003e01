"""``cilium bpf ct list global`` as Cilium's own tool prints it, byte for byte.

Sources: ``Dump`` and ``StringWithTimeDiff`` in ``pkg/maps/ctmap/types.go`` of Cilium 1.9 and
1.18, and what the tools of both printed for known bytes. All that differs between versions
comes from the `LayoutSpec`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import (
    LAYOUTS,
    TUPLE_F_IN,
    TUPLE_F_RELATED,
    TUPLE_F_SERVICE,
    Layout,
    Notation,
    since,
)
from ctconsole.model.text.addresses import address
from ctconsole.model.text.chunks import chunk_jobs, in_order
from ctconsole.model.text.columns import (
    TextColumn,
    decimal,
    hex_bytes,
    join,
    literal,
    rows_of,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ctconsole.model.ct.layout import LayoutSpec, TextField
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.text.chunks import Job
    from ctconsole.model.text.columns import TokenTable

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]

_LOCAL: Final = re.compile(r"cilium_ct(_any)?[46]_\d{5,}")


def render_text(
    table: CtTable, *, time_diff: bool = False, last: bool = True
) -> Iterator[memoryview]:
    """One map's listing, in chunks, the blank line after it included.

    Entries whose protocol is 0 are left out, as the tool leaves them out.

    Args:
        table: the sample.
        time_diff: add the seconds remaining, as ``--time-diff`` does; counts from ``table.now``.
        last: whether the map ends with this table; the blank line is left out where not.
    """
    for text in in_order(text_jobs(table, time_diff=time_diff, last=last)):
        yield text.data


def text_jobs(table: CtTable, *, time_diff: bool, last: bool) -> Iterator[Job]:
    """The jobs of `render_text`, for those who have several tables to render."""

    def lines(rows: slice) -> Bytes:
        return _lines(table.keys[rows], table.values[rows], table, time_diff=time_diff)

    yield from chunk_jobs(lines, len(table))
    if last:
        yield lambda: np.frombuffer(b"\n", np.uint8)


def _lines(keys: Records, values: Records, table: CtTable, *, time_diff: bool) -> Bytes:
    """The lines of some rows."""
    named = keys["nexthdr"] != 0
    if not named.all():
        keys, values = keys[named], values[named]
    spec = table.spec
    tuple_of = _local if _is_local(table) else _tuple
    columns = [*tuple_of(keys, spec), *decimal(values["lifetime"])]
    if time_diff:
        remaining = table.seconds_from_now(values["lifetime"])
        columns += [literal(b" (remaining: "), *signed(remaining), literal(b" sec(s))")]
    before = b" "
    for field in spec.text:
        columns += _field(values[field.field], field, before, spec)
        before = b"] " if field.form is Notation.FLAGS else b" "
    return join([*columns, literal(before + b"\n")], len(keys))


def _tuple(keys: Records, spec: LayoutSpec) -> list[TextColumn]:
    """``TCP OUT a:p -> b:p [related ][service ]expires=``."""
    source, destination = keys["daddr"], keys["saddr"]
    sport, dport = keys["sport"].astype("<u2"), keys["dport"].astype("<u2")
    if spec.service_direction:
        service = (keys["flags"] & TUPLE_F_SERVICE) != 0
        swap = service[:, np.newaxis]
        source, destination = (
            np.where(swap, destination, source),
            np.where(swap, source, destination),
        )
        sport, dport = np.where(service, dport, sport), np.where(service, sport, dport)
    return [
        _protocols(spec.layout).column(keys["nexthdr"]),
        _directions(spec.layout).column(keys["flags"]),
        *address(source, mapped=spec.mapped_ipv6),
        literal(b":"),
        *decimal(sport),
        literal(b" -> "),
        *address(destination, mapped=spec.mapped_ipv6),
        literal(b":"),
        *decimal(dport),
        _remarks(spec.layout).column(keys["flags"]),
    ]


def _is_local(table: CtTable) -> bool:
    """Whether it is the table of a single endpoint, which the tools up to 1.17 list so."""
    return _LOCAL.fullmatch(table.info.label) is not None and not since(table.layout, Layout.V1_18)


def _local(keys: Records, spec: LayoutSpec) -> list[TextColumn]:
    """``TCP OUT b dport:sport [related ][service ]expires=``; the other way round for ``IN``.

    The endpoint's own address is left out.
    """
    service = (keys["flags"] & TUPLE_F_SERVICE) != 0 if spec.service_direction else np.False_
    inward = (keys["flags"] & TUPLE_F_IN) != 0
    sport, dport = keys["sport"].astype("<u2"), keys["dport"].astype("<u2")
    swap = np.broadcast_to(service, len(keys))[:, np.newaxis]
    first = inward & ~service
    return [
        _protocols(spec.layout).column(keys["nexthdr"]),
        _directions(spec.layout).column(keys["flags"]),
        *address(np.where(swap, keys["daddr"], keys["saddr"]), mapped=spec.mapped_ipv6),
        literal(b" "),
        *decimal(np.where(first, sport, dport)),
        literal(b":"),
        *decimal(np.where(first, dport, sport)),
        _remarks(spec.layout).column(keys["flags"]),
    ]


@cache
def _protocols(layout: Layout) -> TokenTable:
    names = LAYOUTS[layout].protocols
    return rows_of(lambda number: names.get(number, str(number)).encode())


@cache
def _directions(layout: Layout) -> TokenTable:
    """Direction by the key's flags."""
    with_service = LAYOUTS[layout].service_direction

    def direction(flags: int) -> bytes:
        if with_service and flags & TUPLE_F_SERVICE:
            return b" SVC "
        return b" IN " if flags & TUPLE_F_IN else b" OUT "

    return rows_of(direction)


@cache
def _remarks(layout: Layout) -> TokenTable:
    """What stands between the tuple and the lifetime, by the key's flags."""
    with_word = not LAYOUTS[layout].service_direction

    def remark(flags: int) -> bytes:
        related = b"related " if flags & TUPLE_F_RELATED else b""
        service = b"service " if with_word and flags & TUPLE_F_SERVICE else b""
        return b" " + related + service + b"expires="

    return rows_of(remark)


def _field(column: Records, field: TextField, before: bytes, spec: LayoutSpec) -> list[TextColumn]:
    """One ``Label=value`` with the text that ends the field before it."""
    label = before + field.label.encode()
    match field.form:
        case Notation.HEX2:
            return [hex_bytes(label + b"0x").column(column)]
        case Notation.FLAGS:
            return _flags(column, label, spec)
        case Notation.DECIMAL:
            return [literal(label), *decimal(column.astype(column.dtype.newbyteorder("<")))]


def _flags(column: Records, label: bytes, spec: LayoutSpec) -> list[TextColumn]:
    """``Flags=0x0013 [ RxClosing TxClosing SeenNonSyn `` without the closing bracket."""
    low, high = column & np.uint16(0xFF), column >> np.uint16(8)
    unknown = column & np.uint16(0xFFFF & ~spec.known_flags)
    columns = [
        hex_bytes(label + b"0x").column(high),
        hex_bytes(b"", b" [ ").column(low),
        _names(spec.layout, 0).column(low),
        _names(spec.layout, 8).column(high),
    ]
    if unknown.any():
        shown = unknown != 0
        first = hex_bytes(b"Unknown=0x").column(unknown >> np.uint16(8))
        last = hex_bytes(b"", b" ").column(unknown & np.uint16(0xFF))
        columns += [TextColumn(part.tokens, part.lengths * shown) for part in (first, last)]
    return columns


@cache
def _names(layout: Layout, shift: int) -> TokenTable:
    """Names of eight flags from bit ``shift`` on, each followed by a blank."""
    names = LAYOUTS[layout].flag_names[shift : shift + 8]

    def named(byte: int) -> bytes:
        seen = (name for bit, name in enumerate(names) if name and byte >> bit & 1)
        return "".join(f"{name} " for name in seen).encode()

    return rows_of(named)
