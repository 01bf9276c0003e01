"""What ``cilium bpf lb list``, ``endpoint list``, ``policy get`` and ``metrics list`` print.

Cilium prints the entries of most lists in the random order of a Go map; here they come sorted.
Policies are printed with ``--numeric``, because names are the agent's to know.

Sources: ``cilium/cmd/bpf_*.go`` (1.9 to 1.15) and ``cilium-dbg/cmd/bpf_*.go`` (later),
``pkg/maps/{lbmap,lxcmap,policymap,metricsmap}``, ``pkg/loadbalancer``; strings that a running
1.18 agent showed for its maps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ctconsole.model.addresses import address_text
from ctconsole.model.layout import LAYOUTS, Layout
from ctconsole.model.reasons import direction_name, file_name, reason_name
from ctconsole.model.record_columns import POLICY_STATIC_PREFIX
from ctconsole.model.record_data import ENDPOINT_F_HOST, ENDPOINT_KEY_IPV4
from ctconsole.model.record_spec import Kind
from ctconsole.model.service_flags import ServiceFlag, flag_texts
from ctconsole.model.tabwriter import aligned, two_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ctconsole.model.records import RecordTable

_ORDER: Final = list(Layout)
_EMPTY_POLICY: Final = "Policy stats empty. Perhaps the policy enforcement is disabled?\n"
_AUTH_TYPES: Final = {0: "disabled", 1: "spire", 2: "test-always-fail"}
_EXPLICIT_AUTH: Final = 0x7F
_IPV6_BYTES: Final = 16
_PROTOCOL_BITS, _FULL_BITS = 8, 24


def since(layout: Layout, first: Layout) -> bool:
    """Whether a layout is ``first`` or a later one."""
    return _ORDER.index(layout) >= _ORDER.index(first)


def protocol(number: int, layout: Layout) -> str:
    """A protocol's name as that version knows it, else its number (``pkg/u8proto``)."""
    return LAYOUTS[layout].protocols.get(number, str(number))


class _Backend(NamedTuple):
    address: str
    port: int
    protocol: int


def services(tables: Iterable[RecordTable], layout: Layout) -> dict[str, list[str]]:
    """``bpf lb list``: for each service address the lines behind it.

    Args:
        tables: services and backends of both families, in any order.
        layout: 1.9 lists the slots of a service together, later ones each on its own.
    """
    tables = list(tables)
    backends = _backends(table for table in tables if table.kind is Kind.BACKEND)
    found: dict[str, list[str]] = {}
    for table in tables:
        if table.kind is Kind.SERVICE:
            _services(table, backends, layout, found)
    return dict(sorted(found.items()))


def _backends(tables: Iterable[RecordTable]) -> dict[int, _Backend]:
    return {
        int(key["id"]): _Backend(
            address_text(bytes(value["address"])), int(value["port"]), int(value["proto"])
        )
        for table in tables
        for key, value in zip(table.keys, table.values, strict=True)
    }


def _services(
    table: RecordTable,
    backends: Mapping[int, _Backend],
    layout: Layout,
    found: dict[str, list[str]],
) -> None:
    rows = sorted(
        zip(table.keys, table.values, strict=True),
        key=lambda row: (
            bytes(row[0]["address"]),
            int(row[0]["dport"]),
            int(row[0]["backend_slot"]),
        ),
    )
    for key, value in rows:
        found.setdefault(_service_key(key, layout), []).append(
            _service_entry(key, value, backends, layout)
        )


def _service_key(key: Any, layout: Layout) -> str:  # noqa: ANN401 - a numpy record
    """``Service4Key.String``: protocols since 1.17, slots since 1.15."""
    end = f"{_host(bytes(key['address']))}:{key['dport']}"
    if since(layout, Layout.V1_18):
        end += f"/{protocol(int(key['proto']), layout)}"
    if key["scope"] == 1:
        end += "/i"
    return end if layout is Layout.V1_9 else f"{end} ({key['backend_slot']})"


def _host(raw: bytes) -> str:
    text = address_text(raw)
    return f"[{text}]" if len(raw) == _IPV6_BYTES else text


def _service_entry(
    key: Any,  # noqa: ANN401 - a numpy record
    value: Any,  # noqa: ANN401 - a numpy record
    backends: Mapping[int, _Backend],
    layout: Layout,
) -> str:
    slot, number = int(key["backend_slot"]), int(value["rev_nat_index"])
    ids = f"({number})" if layout is Layout.V1_9 else f"({number}) ({slot})"
    ipv6 = len(key["address"]) == _IPV6_BYTES
    if slot == 0:
        flags = int(value["flags"]) | int(value["flags2"]) << 8
        names = ", ".join(flag_texts(flags, layout))
        text = f"{'[::]' if ipv6 else '0.0.0.0'}:0 {ids} [{names}]"  # noqa: S104 - printed, not bound
        return text + _proxy(flags, int(value["backend_id"]), layout)
    backend = backends.get(int(value["backend_id"]))
    if backend is None:
        return f"backend {value['backend_id']} not found"
    host = f"[{backend.address}]" if ipv6 else backend.address
    proto = f"/{protocol(backend.protocol, layout)}" if since(layout, Layout.V1_18) else ""
    return f"{host}:{backend.port}{proto} {ids}"


def _proxy(flags: int, backend_id: int, layout: Layout) -> str:
    """What stands behind a frontend's flags: a blank, and a proxy's port where there is one."""
    if not since(layout, Layout.V1_16):
        return ""
    if not flags & ServiceFlag.L7_LOAD_BALANCER:
        return " "
    port = int.from_bytes((backend_id & 0xFFFF).to_bytes(2, "little"), "big")
    return f" (L7LB Proxy Port: {port})"


def services_text(tables: Iterable[RecordTable], layout: Layout) -> str:
    """The table of `services`."""
    second = "BACKEND ADDRESS"
    if layout is not Layout.V1_9:
        second += " (REVNAT_ID) (SLOT)"
    return two_columns("SERVICE ADDRESS", second, services(tables, layout).items())


def endpoints(table: RecordTable, layout: Layout) -> dict[str, list[str]]:
    """``bpf endpoint list``: for each address one line about its endpoint."""
    found: dict[str, list[str]] = {}
    for key, value in zip(table.keys, table.values, strict=True):
        four = key["family"] == ENDPOINT_KEY_IPV4
        raw = bytes(key["address"])
        host = address_text(raw[:4]) if four else address_text(raw)
        brackets = not four and not since(layout, Layout.V1_15)
        name = f"[{host}]:{key['key']}" if brackets else f"{host}:{key['key']}"
        found[name] = [_endpoint(value, layout)]
    return dict(sorted(found.items()))


def _endpoint(value: Any, layout: Layout) -> str:  # noqa: ANN401 - a numpy record
    """``EndpointInfo.String``: identities since 1.13, parent interfaces since 1.17."""
    if value["flags"] & ENDPOINT_F_HOST:
        return "(localhost)"
    text = f"id={value['lxc_id']:<5} "
    if since(layout, Layout.V1_15):
        text += f"sec_id={value['sec_id']:<5} "
    mac, node_mac = (
        ":".join(f"{byte:02X}" for byte in value[name]) for name in ("mac", "node_mac")
    )
    text += (
        f"flags=0x{value['flags']:04X} ifindex={value['ifindex']:<3} mac={mac} nodemac={node_mac}"
    )
    if since(layout, Layout.V1_18):
        text += f" parent_ifindex={value['parent_ifindex']:<3}"
    return text


def endpoints_text(table: RecordTable, layout: Layout) -> str:
    """The table of `endpoints`."""
    return two_columns("IP ADDRESS", "LOCAL ENDPOINT INFO", endpoints(table, layout).items())


def policy_text(table: RecordTable, layout: Layout) -> str:
    """One endpoint's map as ``bpf policy get --all --numeric`` prints it.

    Packets and bytes of the newest generation are in ``cilium_policystats``; here they are ``-``,
    as that tool prints where it finds no counters.
    """
    pin = str(table.info.pin or table.info.label)
    if layout is Layout.V1_9:
        heading = f"{pin}:\n\n"
    else:
        endpoint = table.info.label.rsplit("_", 1)[-1].lstrip("0")
        heading = f"Endpoint ID: {endpoint}\nPath: {pin}\n\n"
    rows = sorted(
        zip(table.keys, table.values, strict=True),
        key=lambda row: (
            not row[1]["flags"] & 1,
            int(row[0]["egress"] & 1),
            int(row[0]["sec_label"]),
        ),
    )
    lines = [_policy_titles(layout), *(_policy(key, value, layout) for key, value in rows)]
    return heading + aligned(lines) + ("" if rows else _EMPTY_POLICY) + "\n\n"


def _policy_titles(layout: Layout) -> tuple[str, ...]:
    first = ("POLICY", "DIRECTION", "IDENTITY", "PORT/PROTO", "PROXY PORT")
    if layout is Layout.V1_9:
        return (*first, "BYTES", "PACKETS", "")
    titles = (*first, "AUTH TYPE", "BYTES", "PACKETS", "PREFIX")
    return (*titles, "COOKIE") if since(layout, Layout.V1_19) else titles


def _policy(key: Any, value: Any, layout: Layout) -> tuple[str, ...]:  # noqa: ANN401 - numpy records
    first = (
        "Deny" if value["flags"] & 1 else "Allow",
        "Egress" if key["egress"] & 1 else "Ingress",
        str(key["sec_label"]),
        _port(key, layout),
        str(value["proxy_port"]) if value["proxy_port"] else "NONE",
    )
    names = value.dtype.names
    counted = tuple(str(value[name]) if name in names else "-" for name in ("bytes", "packets"))
    if layout is Layout.V1_9:
        return (*first, *counted, "")
    auth = int(value["auth_type"]) & _EXPLICIT_AUTH
    bits = int(key["prefixlen"]) - POLICY_STATIC_PREFIX if "prefixlen" in key.dtype.names else 0
    line = (*first, _AUTH_TYPES.get(auth, f"Unknown Auth Type: {auth}"), *counted, str(bits))
    if not since(layout, Layout.V1_19):
        return line
    return (*line, str(value["cookie"]) if "cookie" in names else "0")


def _port(key: Any, layout: Layout) -> str:  # noqa: ANN401 - a numpy record
    """``PolicyKey.PortProtoString``; a partly given prefix is a range of ports."""
    port, proto = int(key["dport"]), protocol(int(key["protocol"]), layout)
    if "prefixlen" not in key.dtype.names:
        return f"{port}/{proto}" if port else "ANY"
    bits = int(key["prefixlen"]) - POLICY_STATIC_PREFIX
    if bits in {0, _PROTOCOL_BITS}:
        return proto
    if bits == _FULL_BITS:
        return f"{port}/{proto}"
    if _PROTOCOL_BITS < bits < _FULL_BITS:
        last = (port + (0xFFFF >> (bits - _PROTOCOL_BITS))) & 0xFFFF
        return f"{port}-{last}/{proto}"
    return f"<INVALID PREFIX LENGTH: {bits & 0xFFFFFFFF}>"


def metrics_text(table: RecordTable, layout: Layout) -> str:
    """``bpf metrics list``: sorted as texts; source lines since 1.16."""
    places = since(layout, Layout.V1_16)
    titles = ["REASON", "DIRECTION", "PACKETS", "BYTES", *(["LINE", "FILE"] if places else [])]
    return aligned([titles, *sorted(_metric(*row, places=places) for row in _metrics(table))])


def _metrics(table: RecordTable) -> Iterator[tuple[Any, Any]]:
    return zip(table.keys, table.values, strict=True)


def _metric(key: Any, value: Any, *, places: bool) -> list[str]:  # noqa: ANN401 - numpy records
    line, file = (int(key["line"]), int(key["file"])) if "line" in key.dtype.names else (0, 0)
    first = [
        reason_name(int(key["reason"])),
        direction_name(int(key["dir"]) & 3),
        str(value["count"]),
        str(value["bytes"]),
    ]
    return [*first, str(line), file_name(file)] if places else first


def go_json(value: object) -> str:
    """JSON as Go's encoder indents and escapes it, with the blank line Cilium's tools add."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    for plain, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(plain, escaped)
    return text + "\n\n"
