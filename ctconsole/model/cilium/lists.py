"""What Cilium's lists share, and what ``cilium bpf endpoint list`` prints.

Cilium prints the entries of most lists in the random order of a Go map; here they come sorted.

Sources: ``cilium/cmd/bpf_endpoint_list.go`` (1.9) and ``cilium-dbg/cmd/bpf_endpoint_list.go``
(later), ``pkg/bpf/endpoint.go``, ``pkg/maps/lxcmap/lxcmap.go``, ``pkg/command/output.go``; strings
that a running 1.18 agent showed for its maps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ctconsole.model.ct.layout import LAYOUTS, Layout, since
from ctconsole.model.records.structs import (
    ENDPOINT_F_HOST,
    ENDPOINT_KEY_IPV4,
    ENDPOINT_KEY_IPV6,
)
from ctconsole.model.text.addresses import address_text
from ctconsole.model.text.tabwriter import two_columns

if TYPE_CHECKING:
    from ctconsole.model.records.table import RecordTable


def protocol(number: int, layout: Layout) -> str:
    """A protocol's name as that version knows it, else its number (``pkg/u8proto``)."""
    return LAYOUTS[layout].protocols.get(number, str(number))


def cluster_of(record: Any, layout: Layout) -> int:  # noqa: ANN401 - a numpy record
    """The cluster that a key or a value names, 0 where it has no such field; a byte up to 1.14."""
    if "cluster_id" not in record.dtype.names:
        return 0
    return int(record["cluster_id"]) & (0xFFFF if since(layout, Layout.V1_15) else 0xFF)


def endpoints(table: RecordTable, layout: Layout) -> dict[str, list[str]]:
    """``bpf endpoint list``: for each address one line about its endpoint."""
    found: dict[str, list[str]] = {}
    # Parents came to the text with 1.17.2, so 1.17 is taken for that where an entry has one.
    first = Layout.V1_17 if table.values["parent_ifindex"].any() else Layout.V1_18
    parents = since(layout, first)
    for key, value in zip(table.keys, table.values, strict=True):
        found[_endpoint_key(key, layout)] = [_endpoint(value, layout, parents=parents)]
    return dict(sorted(found.items()))


def _endpoint_key(key: Any, layout: Layout) -> str:  # noqa: ANN401 - a numpy record
    """``EndpointKey.String``: brackets around IPv6 up to 1.13, other clusters since 1.14.

    Since 1.19 Go's netip prints an IPv4-mapped address.
    """
    raw = bytes(key["address"])
    family = int(key["family"])
    if family not in {ENDPOINT_KEY_IPV4, ENDPOINT_KEY_IPV6}:
        return "nil"
    raw = raw[:4] if family == ENDPOINT_KEY_IPV4 else raw
    host = address_text(raw, mapped=since(layout, Layout.V1_19))
    if since(layout, Layout.V1_14):
        cluster = cluster_of(key, layout)
        return f"{host}@{cluster}:{key['key']}" if cluster else f"{host}:{key['key']}"
    return f"[{host}]:{key['key']}" if ":" in host else f"{host}:{key['key']}"


def _endpoint(value: Any, layout: Layout, *, parents: bool) -> str:  # noqa: ANN401 - a numpy record
    """``EndpointInfo.String``: identities since 1.14, ``rt_info`` since 1.20."""
    if value["flags"] & ENDPOINT_F_HOST:
        return "(localhost)"
    text = f"id={value['lxc_id']:<5} "
    if since(layout, Layout.V1_14):
        text += f"sec_id={value['sec_id']:<5} "
    mac, node_mac = (
        ":".join(f"{byte:02X}" for byte in value[name]) for name in ("mac", "node_mac")
    )
    text += (
        f"flags=0x{value['flags']:04X} ifindex={value['ifindex']:<3} mac={mac} nodemac={node_mac}"
    )
    if parents:
        text += f" parent_ifindex={value['parent_ifindex']:<3}"
    if since(layout, Layout.V1_20):
        text += f" rt_info:{value['rt_info']}"
    return text


def endpoints_text(table: RecordTable, layout: Layout) -> str:
    """The table of `endpoints`."""
    return two_columns("IP ADDRESS", "LOCAL ENDPOINT INFO", endpoints(table, layout).items())


def go_json(value: object) -> str:
    """JSON as Go's encoder indents and escapes it, with the blank line Cilium's tools add."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    for plain, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(plain, escaped)
    return text + "\n\n"
