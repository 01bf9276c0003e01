"""``cilium bpf nat list`` as Cilium's own tool prints it, columns at a time.

Unlike conntrack's, NAT keys are printed as they are stored: source and destination stand where
their names say. Up to 1.12 they print ``HostLocal=``, later ``NeedsCT=``; up to 1.14.4 the age as
``3sec``, later as ``3sec ago``. 1.14 is taken for its last patches.

Sources: ``pkg/maps/nat/{nat,ipv4,ipv6}.go``, ``pkg/tuple/ipv4.go``, ``DumpWithCallback`` in
``pkg/bpf/map_linux.go``, and what the tools of 1.9, 1.12, 1.16 and 1.18 printed.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import (
    LAYOUTS,
    TUPLE_F_IN,
    TUPLE_F_RELATED,
    TUPLE_F_SERVICE,
    Layout,
    since,
)
from ctconsole.model.records.columns import age, native
from ctconsole.model.text.addresses import address
from ctconsole.model.text.chunks import in_chunks
from ctconsole.model.text.columns import (
    TextColumn,
    TokenTable,
    decimal,
    join,
    literal,
    rows_of,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from ctconsole.model.records.table import RecordTable

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]

_ITEM: Final = "\n        "


def nat_text(table: RecordTable, layout: Layout) -> Iterator[memoryview]:
    """One map's listing, in chunks, the blank line after it included.

    Entries of protocol 0 are left out. Ages count from ``table.now``.
    """
    for text in in_chunks(partial(_lines, table, layout), len(table)):
        yield text.data
    yield memoryview(b"\n")


def _lines(table: RecordTable, layout: Layout, rows: slice) -> Bytes:
    chunk = table.take(rows)
    chunk = chunk.take(chunk.keys["nexthdr"] != 0)
    keys, values, end = chunk.keys, chunk.values, _END[table.is_ipv6]
    mapped = LAYOUTS[layout].mapped_ipv6
    columns = [
        _protocols(layout).column(keys["nexthdr"]),
        _directions().column(keys["flags"]),
        *end(keys["saddr"], keys["sport"], mapped=mapped),
        literal(b" -> "),
        *end(keys["daddr"], keys["dport"], mapped=mapped),
        _remarks().column(keys["flags"]),
        *end(values["to_addr"], values["to_port"], mapped=mapped),
        literal(b" Created="),
        *_age(chunk, layout),
        literal(f"{_host_local(layout)}=".encode()),
        *decimal(values["needs_ct"]),
        literal(b"\n"),
    ]
    return join(columns, len(chunk))


def _host_local(layout: Layout) -> str:
    """What the second field of an entry is called."""
    return "NeedsCT" if since(layout, Layout.V1_13) else "HostLocal"


def _age(table: RecordTable, layout: Layout) -> list[TextColumn]:
    """The age in seconds as the tool counts it, whatever the datapath wrote.

    Up to 1.13, and up to 1.14.4, it takes for nanoseconds what the datapath writes in seconds, so
    that it shows about the node's uptime, and subtracts without a sign; later ones subtract what
    is there, also where that is no time of theirs.
    """
    created = table.column("created")
    if not since(layout, Layout.V1_14):
        return [*decimal(np.uint64(table.now) - created // np.uint64(10**9)), literal(b"sec ")]
    seconds = age(table) if table.hertz else table.now - created.astype(np.int64)
    return [*signed(seconds), literal(b"sec ago ")]


def _end4(raw: Bytes, port: Records, *, mapped: bool) -> list[TextColumn]:
    return [*address(raw, mapped=mapped), literal(b":"), *decimal(native(port))]


def _end6(raw: Bytes, port: Records, *, mapped: bool) -> list[TextColumn]:
    opened = [literal(b"["), *address(raw, mapped=mapped)]
    return [*opened, literal(b"]:"), *decimal(native(port))]


_END: Final = {False: _end4, True: _end6}
"""How an address and its port are written, by whether they are IPv6."""


@cache
def _protocols(layout: Layout) -> TokenTable:
    names = LAYOUTS[layout].protocols
    return rows_of(lambda number: names.get(number, str(number)).encode())


@cache
def _directions() -> TokenTable:
    return rows_of(lambda flags: b" IN " if flags & TUPLE_F_IN else b" OUT ")


@cache
def _remarks() -> TokenTable:
    """What stands between the tuple and the translation, by the key's flags."""

    def remark(flags: int) -> bytes:
        related = b"related " if flags & TUPLE_F_RELATED else b""
        service = b"service " if flags & TUPLE_F_SERVICE else b""
        return b" " + related + service + (b"XLATE_DST " if flags & TUPLE_F_IN else b"XLATE_SRC ")

    return rows_of(remark)


def nat_json(tables: Iterable[RecordTable], layout: Layout) -> Iterator[memoryview]:
    """All maps' entries as one JSON array of raw fields, ports as the host reads them.

    Up to 1.13 the tool shows a map's last entry in the place of each (`repeats_entry`).
    """
    empty = True
    for table in tables:
        for text in in_chunks(partial(_entries, table, layout), len(table)):
            if empty:
                text[0] = ord("[")
                empty = False
            yield text.data
    yield memoryview(b"[]\n\n" if empty else b"\n]\n\n")


def repeats_entry(layout: Layout) -> bool:
    """Whether the tool's JSON shows each map's last entry in the place of all of its entries."""
    return LAYOUTS[layout].json_repeats_key


def _entries(table: RecordTable, layout: Layout, rows: slice) -> Bytes:
    keys, values = table.keys[rows], table.values[rows]
    if repeats_entry(layout):
        keys, values = (np.repeat(of[-1:], len(keys)) for of in (table.keys, table.values))
    columns = [
        *_octets(keys["daddr"], ',\n  {\n    "Key": {\n      "DestAddr": ['),
        *_octets(keys["saddr"], '\n      ],\n      "SourceAddr": ['),
    ]
    before = "\n      ],"
    for name, field in (
        ("DestPort", "dport"),
        ("SourcePort", "sport"),
        ("NextHeader", "nexthdr"),
        ("Flags", "flags"),
    ):
        columns += _number(keys[field], f'{before}\n      "{name}": ')
        before = ","
    before = '\n    },\n    "Value": {'
    for name, field in (
        ("Created", "created"),
        (_host_local(layout), "needs_ct"),
        ("Pad1", "pad1"),
        ("Pad2", "pad2"),
    ):
        columns += _number(values[field], f'{before}\n      "{name}": ')
        before = ","
    columns += [
        *_octets(values["to_addr"], ',\n      "Addr": ['),
        *_number(values["to_port"], '\n      ],\n      "Port": '),
        literal(b"\n    }\n  }"),
    ]
    return join(columns, len(keys))


def _octets(raw: Bytes, before: str) -> list[TextColumn]:
    columns: list[TextColumn] = []
    for index in range(raw.shape[1]):
        opening = before + _ITEM if not index else f",{_ITEM}"
        columns += [literal(opening.encode()), *decimal(raw[:, index])]
    return columns


def _number(column: Records, before: str) -> list[TextColumn]:
    """A field as the host reads its bytes, whatever order they are in."""
    return [literal(before.encode()), *decimal(column.view(column.dtype.newbyteorder("<")))]
