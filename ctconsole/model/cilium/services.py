"""What ``cilium bpf lb list`` prints, with and without its flags.

The tool prints entries in the random order of a Go map; here they come sorted.

Sources: ``cilium/cmd/bpf_lb_list.go`` (1.9) and ``cilium-dbg/cmd/bpf_lb_list.go`` (1.15 to 1.20),
``pkg/maps/lbmap`` and ``pkg/loadbalancer/maps/types.go``; strings that a running 1.18 agent showed
for its maps.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ctconsole.errors import UsageError
from ctconsole.model.cilium.lists import cluster_of, protocol
from ctconsole.model.ct.layout import LAYOUTS, Layout, since
from ctconsole.model.records.service_flags import ServiceFlag, flag_texts
from ctconsole.model.records.spec import RecordKind
from ctconsole.model.records.structs import IPCACHE_STATIC_PREFIX
from ctconsole.model.text.addresses import address_text
from ctconsole.model.text.tabwriter import two_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctconsole.model.records.table import RecordTable

_IPV6_BYTES: Final = 16
_MAPPED_BITS: Final = 96


class ServiceView(StrEnum):
    """A flag of the tool, which then lists one kind of map as it is."""

    FRONTENDS = "frontends"
    BACKENDS = "backends"
    REVNAT = "revnat"
    SOURCE_RANGES = "source-ranges"

    @property
    def kind(self) -> RecordKind:
        """The maps listed."""
        return _KINDS[self]


_KINDS: Final = {
    ServiceView.FRONTENDS: RecordKind.SERVICE,
    ServiceView.BACKENDS: RecordKind.BACKEND,
    ServiceView.REVNAT: RecordKind.REVERSE_NAT,
    ServiceView.SOURCE_RANGES: RecordKind.SOURCE_RANGE,
}


_FIRST_WITH: Final = {
    ServiceView.FRONTENDS: Layout.V1_12,
    ServiceView.BACKENDS: Layout.V1_12,
    ServiceView.REVNAT: Layout.V1_9,
    ServiceView.SOURCE_RANGES: Layout.V1_13,
}
"""The first release that has each view."""


def services_text(
    tables: Iterable[RecordTable], layout: Layout, view: ServiceView | None = None
) -> str:
    """The table of `services`.

    Raises:
        UsageError: that release's tool has no such view.
    """
    entries = services(tables, layout, view)
    second = "BACKEND ADDRESS"
    if since(layout, Layout.V1_12):
        second += " (REVNAT_ID) (SLOT)"
    titles = {
        None: ("SERVICE ADDRESS", second),
        ServiceView.FRONTENDS: ("SERVICE ADDRESS", "BACKEND ID"),
        ServiceView.BACKENDS: ("ID", second),
        ServiceView.REVNAT: ("ID", second),
        ServiceView.SOURCE_RANGES: ("SOURCE RANGE (REVNAT_ID)", ""),
    }
    return two_columns(*titles[view], entries.items())


def services(
    tables: Iterable[RecordTable], layout: Layout, view: ServiceView | None = None
) -> dict[str, list[str]]:
    """For each service address (or id) the lines behind it.

    Args:
        tables: services and backends of both families in any order, or the maps of the view.
        layout: up to 1.14 they list the slots of a service together, later ones each on its own.
        view: None for the services with their backends.

    Raises:
        UsageError: that release's tool has no such view.
    """
    tables = list(tables)
    found: dict[str, list[str]] = {}
    if view is None:
        backends = _backends(table for table in tables if table.kind is RecordKind.BACKEND)
        for table in tables:
            if table.kind is RecordKind.SERVICE:
                _add_services(table, backends, layout, found)
        return dict(sorted(found.items()))
    if not since(layout, _FIRST_WITH[view]):
        raise UsageError(
            f"The tool of Cilium {layout} has no list of {view}",
            hint="Without --output cilium there is ours",
        )
    render = _RENDERERS[view]
    for table in tables:
        for key, value in zip(table.keys, table.values, strict=True):
            name, text = render(key, value, layout)
            found.setdefault(name, []).append(text)
    return dict(sorted(found.items()))


class _Backend(NamedTuple):
    address: bytes
    port: int
    protocol: int
    cluster: int


def _backends(tables: Iterable[RecordTable]) -> dict[int, _Backend]:
    return {
        int(key["id"]): _Backend(
            bytes(value["address"]),
            int(value["port"]),
            int(value["proto"]),
            int(value["cluster_id"]) if "cluster_id" in value.dtype.names else 0,
        )
        for table in tables
        for key, value in zip(table.keys, table.values, strict=True)
    }


def _add_services(
    table: RecordTable,
    backends: Mapping[int, _Backend],
    layout: Layout,
    found: dict[str, list[str]],
) -> None:
    # Where a service is one block, the tool keeps its slots in the map's order.
    slots = since(layout, Layout.V1_15)
    rows = sorted(
        zip(table.keys, table.values, strict=True),
        key=lambda row: (
            bytes(row[0]["address"]),
            int(row[0]["dport"]),
            int(row[0]["backend_slot"]) if slots else 0,
        ),
    )
    for key, value in rows:
        found.setdefault(_service_key(key, layout), []).append(
            _service_entry(key, value, backends, layout)
        )


def _service_key(key: Any, layout: Layout) -> str:  # noqa: ANN401 - a numpy record
    """``Service4Key.String``: protocols since 1.17, slots since 1.15."""
    end = f"{_host(bytes(key['address']), layout)}:{key['dport']}"
    if since(layout, Layout.V1_17):
        end += f"/{protocol(int(key['proto']), layout)}"
    if key["scope"] == 1:
        end += "/i"
    return f"{end} ({key['backend_slot']})" if since(layout, Layout.V1_15) else end


def _host(raw: bytes, layout: Layout) -> str:
    text = address_text(raw, mapped=LAYOUTS[layout].mapped_ipv6)
    return f"[{text}]" if len(raw) == _IPV6_BYTES else text


def _service_entry(
    key: Any,  # noqa: ANN401 - a numpy record
    value: Any,  # noqa: ANN401 - a numpy record
    backends: Mapping[int, _Backend],
    layout: Layout,
) -> str:
    slot, number = int(key["backend_slot"]), int(value["rev_nat_index"])
    ids = f"({number}) ({slot})" if since(layout, Layout.V1_12) else f"({number})"
    ipv6 = len(key["address"]) == _IPV6_BYTES
    if slot == 0:
        flags = int(value["flags"]) | int(value["flags2"]) << 8
        names = ", ".join(flag_texts(flags, layout))
        text = f"{'[::]' if ipv6 else '0.0.0.0'}:0 {ids} [{names}]"  # noqa: S104 - printed, not bound
        return text + _proxy(flags, int(value["backend_id"]), layout)
    backend = backends.get(int(value["backend_id"]))
    if backend is None:
        return f"backend {value['backend_id']} not found"
    # Since 1.18 with the address goes the cluster, and Go's netip prints it.
    named = since(layout, Layout.V1_18)
    host = address_text(backend.address, mapped=named)
    host += f"@{backend.cluster}" if backend.cluster and named else ""
    host = f"[{host}]" if ipv6 else host
    proto = f"/{protocol(backend.protocol, layout)}" if since(layout, Layout.V1_17) else ""
    return f"{host}:{backend.port}{proto} {ids}"


def _proxy(flags: int, backend_id: int, layout: Layout) -> str:
    """What stands behind a frontend's flags: a blank, and a proxy's port where there is one."""
    if not since(layout, Layout.V1_15):
        return ""
    if not flags & ServiceFlag.L7_LOAD_BALANCER:
        return " "
    port = int.from_bytes((backend_id & 0xFFFF).to_bytes(2, "little"), "big")
    return f" (L7LB Proxy Port: {port})"


def _frontend(key: Any, value: Any, layout: Layout) -> tuple[str, str]:  # noqa: ANN401 - numpy records
    """``Service4Value.String``: quarantined slots since 1.17."""
    quarantined = f"[{value['qcount']}]" if since(layout, Layout.V1_17) else ""
    flags = f"[0x{value['flags']:x} 0x{value['flags2']:x}]"
    count = f"{value['backend_id']} {value['count']}{quarantined}"
    return _service_key(key, layout), f"{count} ({value['rev_nat_index']}) {flags}"


def _backend(key: Any, value: Any, layout: Layout) -> tuple[str, str]:  # noqa: ANN401 - numpy records
    """``Backend4Value.String``; that of ``backends_v3`` leaves the port out.

    A zone has a name on the agent's command line only, so the tool shows none.
    """
    raw, proto = bytes(value["address"]), protocol(int(value["proto"]), layout)
    if "zone" not in value.dtype.names:
        return str(key["id"]), f"{proto}://{_host(raw, layout)}:{value['port']}"
    host = address_text(raw, mapped=True)
    number = cluster_of(value, layout)
    cluster = f"@{number}" if number else ""
    zone = "[]" if value["zone"] and since(layout, Layout.V1_16) else ""
    return str(key["id"]), f"{proto}://{host}{cluster}{zone}"


def _reverse_nat(key: Any, value: Any, layout: Layout) -> tuple[str, str]:  # noqa: ANN401 - numpy records
    """Brackets stand where the address has a colon (``net.JoinHostPort``)."""
    text = address_text(bytes(value["address"]), mapped=LAYOUTS[layout].mapped_ipv6)
    host = f"[{text}]" if ":" in text else text
    return str(key["id"]), f"{host}:{value['port']}"


def _source_range(key: Any, _: Any, layout: Layout) -> tuple[str, str]:  # noqa: ANN401 - numpy records
    """Up to 1.19 an IPv4-mapped range is taken for one of IPv4 (Go's ``net.IPNet``)."""
    raw, length = bytes(key["address"]), int(key["prefixlen"]) - IPCACHE_STATIC_PREFIX
    text = address_text(raw, mapped=LAYOUTS[layout].mapped_ipv6)
    if len(raw) == _IPV6_BYTES and ":" not in text:
        length = max(length - _MAPPED_BITS, 0)
    return f"{text}/{length} ({key['rev_nat_id']})", ""


_RENDERERS: Final[Mapping[ServiceView, Callable[[Any, Any, Layout], tuple[str, str]]]] = {
    ServiceView.FRONTENDS: _frontend,
    ServiceView.BACKENDS: _backend,
    ServiceView.REVNAT: _reverse_nat,
    ServiceView.SOURCE_RANGES: _source_range,
}
