"""Who is behind an address: rows of ``cilium_lxc`` and ``cilium_ipcache``."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, TypeAlias

from ctconsole.model.plane.encode import StoredRows, family_key, key_of, value_of
from ctconsole.model.plane.policy import IDENTITIES
from ctconsole.model.records.structs import ENDPOINT_F_HOST, IPCACHE_STATIC_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from ctconsole.model.plane.endpoint import Endpoint

    Address: TypeAlias = IPv4Address | IPv6Address
    Network: TypeAlias = IPv4Network | IPv6Network


def addresses_of(endpoint: Endpoint) -> list[Address]:
    """The endpoint's addresses, IPv4 first."""
    return [ip_address(text) for text in (endpoint.ipv4, endpoint.ipv6) if text]


def lxc_rows(endpoints: Iterable[Endpoint], host: Iterable[Address]) -> StoredRows:
    """``cilium_lxc``: the endpoints by their addresses, and the node itself."""
    rows: StoredRows = {}
    for endpoint in endpoints:
        value = value_of(
            "cilium_lxc",
            ifindex=endpoint.ifindex,
            lxc_id=endpoint.id,
            mac=_mac(endpoint.mac),
            node_mac=_mac(endpoint.node_mac),
        )
        for ip in addresses_of(endpoint):
            rows[_lxc_key(ip)] = value
    for ip in host:
        rows[_lxc_key(ip)] = value_of("cilium_lxc", flags=ENDPOINT_F_HOST)
    return rows


def ipcache_rows(endpoints: Sequence[Endpoint], host: Iterable[Address]) -> StoredRows:
    """``cilium_ipcache``: the identity behind each address; everything else is the world."""
    found: dict[Network, int] = {
        ip_network("0.0.0.0/0"): IDENTITIES["world"],
        ip_network("::/0"): IDENTITIES["world"],
    }
    found |= {ip_network(str(ip)): IDENTITIES["host"] for ip in host}
    for endpoint in endpoints:
        found |= {ip_network(str(ip)): endpoint.identity for ip in addresses_of(endpoint)}
    return {
        key_of(
            "cilium_ipcache",
            prefixlen=IPCACHE_STATIC_PREFIX + network.prefixlen,
            family=family_key(network.network_address),
            address=network.network_address.packed,
        ): value_of("cilium_ipcache", sec_label=identity)
        for network, identity in found.items()
    }


def _lxc_key(ip: Address) -> bytes:
    return key_of("cilium_lxc", address=ip.packed, family=family_key(ip))


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
