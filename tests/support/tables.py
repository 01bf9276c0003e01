"""Services, identities and rules written into the maps of a `Wire`, byte by byte."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING

from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    from tests.support.packets import Address
    from tests.support.wire import Wire

AFFINITY = 0x10


def _packed(address: str) -> tuple[int, bytes]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, parsed.packed


def put(pod: Wire, name: str, key: bytes, value: bytes) -> None:
    with BpfMap.open(pod.maps[name]) as live:
        mapwrite.update(pod.gate, live, key, value)


def drop(pod: Wire, name: str, key: bytes) -> bool:
    with BpfMap.open(pod.maps[name]) as live:
        return mapwrite.delete(pod.gate, live, key)


def value(pod: Wire, name: str, key: bytes) -> bytes | None:
    with BpfMap.open(pod.maps[name]) as live:
        return live.lookup(key)


def service_key(address: Address, slot: int) -> bytes:
    packed = _packed(address[0])[1]
    return packed + struct.pack(">H", address[1]) + struct.pack("=HBB2x", slot, 0, 0)


def put_backend(pod: Wire, number: int, address: Address) -> None:
    family, packed = _packed(address[0])
    content = packed + struct.pack(">HBB", address[1], 0, 0)
    put(pod, f"cilium_lb{family}_backends", struct.pack("=H", number), content)


def put_service(
    pod: Wire,
    number: int,
    address: Address,
    backends: dict[int, Address],
    *,
    affinity: int | None = None,
) -> None:
    """A service of that id, with its backends by their ids; ``affinity`` in seconds."""
    family, packed = _packed(address[0])
    services = f"cilium_lb{family}_services_v2"
    flags = AFFINITY if affinity is not None else 0
    for slot, (backend, where) in enumerate(backends.items(), start=1):
        put_backend(pod, backend, where)
        content = struct.pack("=IH", backend, 0) + struct.pack(">HBB2x", number, flags, 0)
        put(pod, services, service_key(address, slot), content)
        if affinity is not None:
            match = struct.pack("=I", backend) + struct.pack(">HH", number, 0)
            put(pod, "cilium_lb_affinity_match", match, b"\0")
    front = struct.pack("=IH", affinity or 0, len(backends))
    put(pod, services, service_key(address, 0), front + struct.pack(">HBB2x", number, flags, 0))
    shown = packed + struct.pack(">H", address[1])
    put(pod, f"cilium_lb{family}_reverse_nat", struct.pack(">H", number), shown)


def put_maglev(pod: Wire, family: int, number: int, table: list[int]) -> None:
    """A service's lookup table of backend ids."""
    spec = MapSpec("table", MapType.ARRAY, 4, 2 * len(table), 1)
    with (
        mapwrite.create(pod.gate, spec) as inner,
        BpfMap.open(pod.maps[f"cilium_lb{family}_maglev"]) as outer,
    ):
        mapwrite.update(pod.gate, inner, bytes(4), struct.pack(f"={len(table)}H", *table))
        mapwrite.update(pod.gate, outer, struct.pack(">H", number), struct.pack("=I", inner.fd))


def put_identity(pod: Wire, network: str, identity: int) -> None:
    parsed = ipaddress.ip_network(network)
    packed = parsed.network_address.packed.ljust(16, b"\0")
    family = 1 if parsed.version == 4 else 2
    key = struct.pack("=IHBB", 32 + parsed.prefixlen, 0, 0, family) + packed
    put(pod, "cilium_ipcache", key, struct.pack("=III", identity, 0, 0))


def put_host(pod: Wire, address: str) -> None:
    family, packed = _packed(address)
    key = packed.ljust(16, b"\0") + struct.pack("=BBH", 1 if family == 4 else 2, 0, 0)
    put(pod, "cilium_lxc", key, struct.pack("=IHHI4xQQ4I", 1, 0, 0, 1, 0, 0, 0, 0, 0, 0))


def rule_key(identity: int, port: int, protocol: int, *, egress: bool) -> bytes:
    return struct.pack("=I", identity) + struct.pack(">HBB", port, protocol, int(egress))


def put_rule(
    pod: Wire,
    identity: int = 0,
    port: int = 0,
    protocol: int = 0,
    *,
    egress: bool = False,
    deny: bool = False,
    endpoint: int = 10,
) -> None:
    content = struct.pack("=HBBHHQQ", 0, int(deny), 0, 0, 0, 0, 0)
    key = rule_key(identity, port, protocol, egress=egress)
    put(pod, f"cilium_policy_{endpoint:05d}", key, content)


def rule_counts(
    pod: Wire, identity: int = 0, port: int = 0, protocol: int = 0, *, egress: bool = False
) -> tuple[int, int]:
    """Packets and bytes a rule has decided about."""
    key = rule_key(identity, port, protocol, egress=egress)
    content = value(pod, "cilium_policy_00010", key)
    assert content
    packets, size = struct.unpack_from("=QQ", content, 8)
    return packets, size
