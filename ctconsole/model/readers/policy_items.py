"""What an endpoint may do, out of the JSON of ``cilium bpf policy get --all``.

Numbers in network order stand in it as the host reads their bytes, under names that changed with
nearly every release (`ctconsole.model.cilium.policy` writes them). Up to 1.13 there is a document
for each endpoint, below the path of its map.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.ct.layout import LAYOUTS
from ctconsole.model.records.policy_counters import NOT_COUNTED
from ctconsole.model.records.structs import POLICY_STATIC_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.readers.documents import Item
    from ctconsole.model.readers.printed_rows import Row, Value

ENVELOPE: Final = re.compile(
    r'\{\s*"EndpointID"\s*:\s*"(?P<EndpointID>\d{1,5})"\s*,\s*"Path"\s*:\s*"(?P<Path>[^"\n]{1,400})"'
    r'\s*,\s*"Content"\s*:\s*(?:\[|null)|(?P<Above>/[^\s"]{1,400}_\d{1,5}):(?=\s)'
)
"""What stands before the entries of an endpoint."""

_ENTRY: Final = re.compile(
    r'"ProxyPort(?:Network)?"\s*:\s*\d{1,5}\s*,\s*"Flags"\s*:\s*\d{1,3}\s*,\s*"\w{1,20}"\s*:'
)
_DIRECTIONS: Final = {0: "ingress", 1: "egress"}
_AUTH_TYPES: Final = {0: "disabled", 1: "spire", 2: "test-always-fail"}
_EXPLICIT_AUTH: Final = 0x80
_PROTOCOL_BITS: Final = 8
_FULL_BITS: Final = 24
_PORTS: Final = 0xFFFF


def is_policies(head: str) -> bool:
    """Whether a text has entries of policies in JSON."""
    return _ENTRY.search(head) is not None or re.search(r'\{\s*"EndpointID"\s*:', head) is not None


def endpoint_of(item: Item) -> str:
    """The endpoint that an envelope names; empty of what is no envelope."""
    if item.get("EndpointID"):
        return str(item["EndpointID"])
    above = item.get("Above")
    return str(above).rpartition("_")[2].lstrip("0") if above else ""


def policy_json_row(item: Item, endpoint: str) -> Row:
    """The row of an entry.

    Args:
        item: the entry.
        endpoint: whose it is; empty where not told.

    Raises:
        KeyError: it is none; so too TypeError and ValueError.
    """
    key = item["Key"]
    port, protocol, bits = _port(key)
    proxy = _swapped(item.get("ProxyPortNetwork", item.get("ProxyPort")))
    return {
        "endpoint": endpoint or None,
        "policy": "deny" if int(item["Flags"]) & 1 else "allow",
        "direction": _DIRECTIONS.get(int(key["TrafficDirection"]), "unknown"),
        "labels": [str(int(key["Identity"]))],
        "port": port,
        "protocol": protocol,
        "proxy_port": proxy or None,
        "auth_type": _auth(item),
        "bytes": _counter(item, "Bytes"),
        "packets": _counter(item, "Packets"),
        "prefix_bits": bits,
    }


def _port(key: Mapping[str, Any]) -> tuple[str | None, str | None, int | None]:
    """Port, protocol and the bits behind the fixed part of the key, as far as there are such."""
    number = int(key["Nexthdr"])
    protocol = _protocols().get(number, str(number))
    if "Prefixlen" not in key:
        port = _swapped(key["DestPort"])
        return (str(port), protocol, None) if port else (None, protocol if number else None, None)
    port, bits = _swapped(key["DestPortNetwork"]), int(key["Prefixlen"]) - POLICY_STATIC_PREFIX
    if bits >= _FULL_BITS:
        return str(port), protocol, bits
    if bits > _PROTOCOL_BITS:
        last = port + (_PORTS >> (bits - _PROTOCOL_BITS)) & _PORTS
        return f"{port}-{last}", protocol, bits
    return None, protocol if number and bits == _PROTOCOL_BITS else None, bits


def _auth(item: Item) -> Value:
    """The authentication that is asked for; up to 1.12 there is none."""
    if "AuthRequirement" in item:
        auth = int(item["AuthRequirement"]) & ~_EXPLICIT_AUTH
    elif "AuthType" in item:
        auth = int(item["AuthType"])
    else:
        return None
    return _AUTH_TYPES.get(auth, f"Unknown-auth-type-{auth}")


def _counter(item: Item, name: str) -> int | None:
    found = int(item[name])
    return None if found == NOT_COUNTED else found


def _swapped(number: object) -> int:
    """A number of two bytes in network order, by what the host reads."""
    return int.from_bytes(int(str(number)).to_bytes(2, "little"), "big")


@cache
def _protocols() -> Mapping[int, str]:
    return {number: name for spec in LAYOUTS.values() for number, name in spec.protocols.items()}
