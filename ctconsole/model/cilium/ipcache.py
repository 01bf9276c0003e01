"""``cilium bpf ipcache list`` as Cilium's own tool prints it, columns at a time.

The tool prints prefixes in the random order of a Go map; here they keep the kernel's.

Sources: ``cilium/cmd/bpf_ipcache_list.go``, ``pkg/maps/ipcache/ipcache.go`` of 1.9 to 1.20, and
strings that a running 1.18 agent showed for its map.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import Layout, since
from ctconsole.model.records.columns import either_address
from ctconsole.model.records.structs import (
    ENDPOINT_KEY_IPV4,
    ENDPOINT_KEY_IPV6,
    IPCACHE_STATIC_PREFIX,
)
from ctconsole.model.text.addresses import mapped_prefix
from ctconsole.model.text.cells import optional, padding
from ctconsole.model.text.chunks import CHUNK, in_chunks
from ctconsole.model.text.columns import (
    TextColumn,
    TokenTable,
    decimal,
    join,
    literal,
    rows_of,
    signed,
)
from ctconsole.model.text.tabwriter import MINIMAL_WIDTH, PADDING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ctconsole.model.records.table import RecordTable

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]

_TITLES: Final = ("IP PREFIX/ADDRESS", "IDENTITY")
_FLAGS: Final = ("skiptunnel", "hastunnel", "ipv6tunnel", "remotecluster")
_IPV6_TUNNEL: Final = 4
_IPV6_BYTES: Final = 16


def ipcache_text(table: RecordTable, layout: Layout) -> Iterator[memoryview]:
    """The whole listing, in chunks."""
    # The second title has no tab behind it: it is no cell of its column.
    widths = [len(_TITLES[0]), MINIMAL_WIDTH - PADDING]
    for start in range(0, len(table), CHUNK):
        chunk = table.take(slice(start, start + CHUNK))
        for index, cell in enumerate(_cells(chunk, layout)):
            widths[index] = max(widths[index], _longest(cell, len(chunk)))
    widths = [width + PADDING for width in widths]
    heading = _TITLES[0].ljust(widths[0]) + _TITLES[1]
    yield memoryview(f"{heading}\n".encode())

    def lines(rows: slice) -> Bytes:
        chunk = table.take(rows)
        columns: list[TextColumn] = []
        for cell, width in zip(_cells(chunk, layout), widths, strict=True):
            columns += [*cell, *padding(cell, width, len(chunk))]
        return join([*columns, literal(b"\n")], len(chunk))

    for text in in_chunks(lines, len(table)):
        yield text.data


def ipcache_entries(table: RecordTable, layout: Layout) -> dict[str, list[str]]:
    """Prefix to value, sorted, as the tool's JSON has them."""
    text = b"".join(
        bytes(join([*prefix, literal(b"\t"), *value, literal(b"\n")], len(table)))
        for prefix, value in [_cells(table, layout)]
    ).decode()
    return {key: [value] for key, value in sorted(line.split("\t") for line in text.splitlines())}


def _longest(cell: list[TextColumn], rows: int) -> int:
    total = np.zeros(rows, np.intp)
    for column in cell:
        total += column.lengths
    return int(total.max(initial=0))


def _cells(table: RecordTable, layout: Layout) -> tuple[list[TextColumn], list[TextColumn]]:
    """The prefix and the value of every row."""
    keys, values = table.keys, table.values
    bits = keys["prefixlen"].astype(np.int64) - IPCACHE_STATIC_PREFIX
    # Go's netip came to the prefixes with 1.14, together with the ids of other clusters.
    netip = since(layout, Layout.V1_14)
    six = keys["family"] == ENDPOINT_KEY_IPV6
    prefix = mapped_prefix(keys["address"], six) if netip else []
    prefix += [*either_address(keys["address"], keys["family"]), literal(b"/"), *signed(bits)]
    prefix += _cluster(keys["cluster_id"]) if netip else []
    named = np.isin(keys["family"], (ENDPOINT_KEY_IPV4, ENDPOINT_KEY_IPV6))
    if not named.all():
        prefix = optional(prefix, named, b"<unknown>")
    words = since(layout, Layout.V1_12)
    value = [
        literal(b"identity=" if words else b""),
        *decimal(values["sec_label"]),
        literal(b" encryptkey=" if words else b" "),
        *decimal(values["key"]),
        literal(b" tunnelendpoint=" if words else b" "),
        *_tunnel(values),
    ]
    if since(layout, Layout.V1_16):
        # 1.17 lost the comma in its cycle.
        value += [literal(b", flags=" if layout is Layout.V1_16 else b" flags=")]
        value += [_flags(layout).column(_flag_bits(values))]
    return prefix, value


def _flag_bits(values: Records) -> Records:
    if "flags" in (values.dtype.names or ()):
        return values["flags"]
    return np.zeros(len(values), np.uint8)


def _cluster(ids: Records) -> list[TextColumn]:
    """``@3`` behind the prefixes of other clusters."""
    shown = ids > 0
    parts = [literal(b"@"), *decimal(ids)]
    return [TextColumn(part.tokens, part.lengths * shown) for part in parts] if shown.any() else []


def _tunnel(values: Records) -> list[TextColumn]:
    raw = values["tunnel_endpoint"]
    if raw.shape[1] == _IPV6_BYTES:
        family = np.where(values["flags"] & _IPV6_TUNNEL, 2, 1)
        return either_address(raw, family)
    wide = np.zeros((len(raw), _IPV6_BYTES), np.uint8)
    wide[:, : raw.shape[1]] = raw
    return either_address(wide, np.ones(len(raw), np.uint8))


@cache
def _flags(layout: Layout) -> TokenTable:
    known = _FLAGS if since(layout, Layout.V1_18) else _FLAGS[:1]

    def named(bits: int) -> bytes:
        names = [name for bit, name in enumerate(known) if bits >> bit & 1]
        return (",".join(names) or "<none>").encode()

    return rows_of(named)
