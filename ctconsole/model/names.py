"""What addresses, identities and service ids are called: from the maps, and from an agent's API.

A `Names` is a frozen value; the one made from maps and the one made from an agent's answers are
put together by `Names.merged`. Prefixes stay numpy columns: an ipcache may have half a million.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import LAYOUTS, Layout
from ctconsole.model.records.service_flags import ServiceFlag
from ctconsole.model.records.spec import RecordKind
from ctconsole.model.records.structs import (
    ENDPOINT_F_HOST,
    ENDPOINT_KEY_IPV4,
    ENDPOINT_KEY_IPV6,
    IPCACHE_STATIC_PREFIX,
)
from ctconsole.model.text.addresses import address_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.tops import Top
    from ctconsole.model.readers.agentjson import ApiEndpoint, ApiService
    from ctconsole.model.records.table import RecordTable
    from ctconsole.model.whose import Whose

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Identities: TypeAlias = npt.NDArray[np.uint32]

_NOTHING: Final[Mapping[Any, str]] = MappingProxyType({})
RESERVED: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "reserved:host",
        2: "reserved:world",
        3: "reserved:unmanaged",
        4: "reserved:health",
        5: "reserved:init",
        6: "reserved:remote-node",
        7: "reserved:kube-apiserver",
        8: "reserved:ingress",
        9: "reserved:world-ipv4",
        10: "reserved:world-ipv6",
    }
)
"""``pkg/identity/numericidentity.go``: identities every cluster has."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """All prefixes of one length and family.

    Attributes:
        bits: the length.
        addresses: S4 or S16, sorted; the prefixes with zeros behind them.
        identities: u4, the identity of each.
    """

    bits: int
    addresses: npt.NDArray[np.bytes_]
    identities: Identities


@dataclass(frozen=True)
class Names:
    """Names that are known; what is not known has none.

    Attributes:
        endpoints: by address (4 or 16 bytes): ``namespace/pod``, ``endpoint 990``, ``host``.
        identities: labels by security identity, joined by commas.
        services: by RevNAT id: ``namespace/name``, or the frontend's address and port.
        prefixes: identities by address, the longest prefix first (ipcache).
        nodes: what each of several nodes calls things.
    """

    endpoints: Mapping[bytes, str] = field(default_factory=lambda: _NOTHING)
    identities: Mapping[int, str] = field(default_factory=lambda: _NOTHING)
    services: Mapping[int, str] = field(default_factory=lambda: _NOTHING)
    prefixes: tuple[Prefix, ...] = ()
    nodes: Mapping[Whose, Names] = field(default_factory=dict)

    def of(self, whose: Whose) -> Names:
        """What a node calls things, before what all call them."""
        own = self.nodes.get(whose)
        return self.merged(own) if own else self

    def merged(self, better: Names) -> Names:
        """These names, and where both know one, that of ``better``."""
        return Names(
            MappingProxyType({**self.endpoints, **better.endpoints}),
            MappingProxyType({**self.identities, **better.identities}),
            MappingProxyType({**self.services, **better.services}),
            better.prefixes or self.prefixes,
        )

    def identity(self, number: int) -> str:
        """An identity's labels; empty where they are not known."""
        return self.identities.get(number) or RESERVED.get(number, "")

    def service(self, rev_nat: int) -> str:
        """A service's name by its RevNAT id in host order; empty where it is not known."""
        return self.services.get(rev_nat, "")

    def top(self, one: Top, *, service: bool = False) -> str:
        """What one of those that fill a table is called; empty where it is not known.

        Args:
            one: of a `Tops`.
            service: whether it is a service, whose name is better known by its RevNAT id.
        """
        told = self.service(one.rev_nat_index) if service else ""
        return told or self.addresses(np.frombuffer(one.address, np.uint8)[None])[0]

    def identities_of(self, raw: Bytes) -> Identities:
        """The identity behind each address by longest prefix, 0 where there is none.

        Args:
            raw: u1 of shape (n, 4) or (n, 16), network order.
        """
        width = raw.shape[1]
        found = np.zeros(len(raw), np.uint32)
        missing = np.ones(len(raw), np.bool_)
        for prefix in self.prefixes:
            if prefix.addresses.dtype.itemsize != width or not missing.any():
                continue
            cut = _cut(raw, prefix.bits)
            at = np.searchsorted(prefix.addresses, cut)
            at[at == len(prefix.addresses)] = 0
            hit = missing & (prefix.addresses[at] == cut)
            found[hit] = prefix.identities[at[hit]]
            missing &= ~hit
        return found

    def addresses(self, raw: Bytes) -> list[str]:
        """What each address is called: its endpoint, else its identity's labels, else nothing.

        Args:
            raw: u1 of shape (n, 4) or (n, 16); the rows a screen shows, or a whole table.
        """
        unique, which = self.unique(raw)
        return [unique[index] for index in which]

    def unique(self, raw: Bytes) -> tuple[list[str], npt.NDArray[np.intp]]:
        """The names of the distinct addresses, and for each row the number of its name."""
        if not len(raw):
            return [], np.empty(0, np.intp)
        distinct, which = np.unique(_whole(raw), return_inverse=True)
        width = raw.shape[1]
        rows = np.frombuffer(distinct.tobytes(), np.uint8).reshape(-1, width)
        names = [
            self.endpoints.get(row.tobytes(), "") or self._of_identity(int(number))
            for row, number in zip(rows, self.identities_of(rows), strict=True)
        ]
        return names, which.reshape(-1)

    def _of_identity(self, number: int) -> str:
        if not number:
            return ""
        return self.identity(number) or f"identity {number}"


def _whole(raw: Bytes) -> npt.NDArray[np.bytes_]:
    """Addresses as one item each; numpy compares them as C compares memory."""
    return np.ascontiguousarray(raw).view(f"S{raw.shape[1]}").reshape(-1)


def _cut(raw: Bytes, bits: int) -> npt.NDArray[np.bytes_]:
    """Addresses with zeros behind so many bits."""
    width = raw.shape[1]
    mask = ((1 << 8 * width) - 1) ^ ((1 << 8 * width - bits) - 1)
    return _whole(raw & np.frombuffer(mask.to_bytes(width, "big"), np.uint8))


def names_of_maps(tables: Iterable[RecordTable]) -> Names:
    """What a node's ipcache, endpoint, service and reverse NAT maps tell.

    Args:
        tables: the maps of one node, in any order; those of other kinds are ignored.
    """
    endpoints: dict[bytes, str] = {}
    services: dict[int, str] = {}
    prefixes: list[Prefix] = []
    for table in tables:
        match table.kind:
            case RecordKind.ENDPOINT:
                endpoints |= _endpoints(table)
            case RecordKind.IPCACHE:
                prefixes += _prefixes(table)
            case RecordKind.REVERSE_NAT:
                for number, name in _reverse_nat(table).items():
                    services.setdefault(number, name)
            case RecordKind.SERVICE:
                services |= _frontends(table)
            case _:
                pass
    prefixes.sort(key=lambda prefix: -prefix.bits)
    return Names(MappingProxyType(endpoints), _NOTHING, MappingProxyType(services), tuple(prefixes))


def names_of_nodes(nodes: Sequence[Names]) -> Names:
    """The names of several nodes of a cluster as one; services only where no two nodes differ.

    Addresses and identities are the cluster's, RevNAT ids are each node's own.
    """
    together = Names()
    differ: set[int] = set()
    for node in nodes:
        known, own = together.services, node.services
        differ |= {
            rev_nat for rev_nat in known.keys() & own.keys() if known[rev_nat] != own[rev_nat]
        }
        together = together.merged(node)
    services = {
        rev_nat: name for rev_nat, name in together.services.items() if rev_nat not in differ
    }
    return replace(together, services=MappingProxyType(services))


def _endpoints(table: RecordTable) -> dict[bytes, str]:
    found = {}
    for key, value in zip(table.keys, table.values, strict=True):
        four = key["family"] == ENDPOINT_KEY_IPV4
        host = value["flags"] & ENDPOINT_F_HOST
        raw = key["address"].tobytes()
        found[raw[:4] if four else raw] = "host" if host else f"endpoint {value['lxc_id']}"
    return found


def _prefixes(table: RecordTable) -> list[Prefix]:
    """The own cluster's prefixes; other clusters' addresses may overlap them."""
    keys, identities = table.keys, table.values["sec_label"]
    bits = keys["prefixlen"].astype(np.int64) - IPCACHE_STATIC_PREFIX
    own = keys["cluster_id"] == 0
    found = []
    for family, width in ((ENDPOINT_KEY_IPV4, 4), (ENDPOINT_KEY_IPV6, 16)):
        rows = own & (keys["family"] == family) & (bits >= 0) & (bits <= 8 * width)
        for length in np.unique(bits[rows]):
            chosen = rows & (bits == length)
            addresses = _cut(keys["address"][chosen][:, :width], int(length))
            order = np.argsort(addresses)
            found.append(
                Prefix(int(length), addresses[order], identities[chosen][order].astype(np.uint32))
            )
    return found


def _reverse_nat(table: RecordTable) -> dict[int, str]:
    return {
        int(key["id"]): f"{_host(value['address'])}:{value['port']}"
        for key, value in zip(table.keys, table.values, strict=True)
    }


def _frontends(table: RecordTable) -> dict[int, str]:
    names = LAYOUTS[Layout.V1_18].protocols
    found = {}
    for key, value in zip(table.keys, table.values, strict=True):
        if key["backend_slot"] == 0 and value["rev_nat_index"]:
            proto = names.get(int(key["proto"]), str(key["proto"])) if key["proto"] else ""
            node = value["flags"] & ServiceFlag.NODE_PORT and not key["address"].any()
            # Of any address of the node; that it is one says more than zeros.
            text = f"{'NodePort' if node else _host(key['address'])}:{key['dport']}"
            found[int(value["rev_nat_index"])] = f"{text}/{proto}" if proto else text
    return found


def _host(raw: Bytes) -> str:
    text = address_text(raw.tobytes())
    return f"[{text}]" if ":" in text else text


def names_of_agent(
    endpoints: Iterable[ApiEndpoint],
    identities: Mapping[int, Sequence[str]],
    services: Iterable[ApiService],
) -> Names:
    """What an agent's API tells; what it leaves unnamed, or names wrongly, is left out."""
    by_address: dict[bytes, str] = {}
    labels = {number: ",".join(texts) for number, texts in identities.items()}
    for endpoint in endpoints:
        if endpoint.identity and endpoint.labels:
            labels.setdefault(endpoint.identity, ",".join(endpoint.labels))
        for text in endpoint.addresses:
            try:
                raw = ipaddress.ip_address(text).packed
            except ValueError:
                continue
            by_address[raw] = endpoint.name or f"endpoint {endpoint.id}"
    named = {one.id: one.name for one in services if one.id and one.name}
    return Names(MappingProxyType(by_address), MappingProxyType(labels), MappingProxyType(named))
