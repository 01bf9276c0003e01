"""Which NAT entries belong to which conntrack entry.

A translated connection has a pair of entries in ``cilium_snat_v{4,6}_external``, one for each
direction, keyed by addresses and ports as they stand in the packet; the conntrack entry it goes
with is the OUT one (``pkg/maps/nat/nat.go``, ``pkg/maps/ctmap/ctmap.go``).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.knowledge import Translations
from ctconsole.model.ct.layout import KEYS, TUPLE_F_IN, TUPLE_F_OUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Keys: TypeAlias = npt.NDArray[Any]

NAT_VALUE_SIZES: Final[Mapping[int, int]] = MappingProxyType({14: 40, 38: 56})
"""Bytes of a value, by those of its key: ``struct ipv4_nat_entry`` and ``ipv6_nat_entry``."""

_TO_ADDRESS = 32
"""Where ``struct ipv4_nat_entry`` and ``ipv6_nat_entry`` have what is put into the packet: the
address, and its port behind it."""


def _target(key_size: int) -> tuple[slice, slice]:
    """Places of the address and the port in a value, by the size of the table's keys."""
    port = _TO_ADDRESS + KEYS[key_size]["daddr"].itemsize
    return slice(_TO_ADDRESS, port), slice(port, port + 2)


def put_target(value: Bytes, address: bytes, port: int) -> None:
    """Put into a value what the packet gets.

    Args:
        value: u1 of shape (40,) or (56,), changed.
        address: of 4 or 16 bytes.
        port: in the host's order.
    """
    end = _TO_ADDRESS + len(address)
    value[_TO_ADDRESS:end] = np.frombuffer(address, np.uint8)
    value[end : end + 2] = np.frombuffer(port.to_bytes(2, "big"), np.uint8)


def ct_keys_of(keys: Bytes, values: Bytes) -> Keys:
    """The key of the conntrack entry that each NAT entry belongs to, as `KEYS` records.

    Args:
        keys: u1 of shape (n, 14) or (n, 38), of the NAT table.
        values: u1 of shape (n, 40) or (n, 56), their values.
    """
    size = keys.shape[1]
    rows = np.ascontiguousarray(keys).view(KEYS[size]).reshape(-1)
    address, port = _target(size)
    back = rows["flags"] == TUPLE_F_IN
    found = np.zeros(len(rows), KEYS[size])
    # A conntrack key has its opener in daddr. Of an answer the opener is what it becomes.
    found["daddr"] = np.where(back[:, None], values[:, address], rows["saddr"])
    found["saddr"] = np.where(back[:, None], rows["saddr"], rows["daddr"])
    ports = np.ascontiguousarray(values[:, port]).view(">u2").reshape(-1)
    found["sport"] = np.where(back, ports, rows["sport"])
    found["dport"] = np.where(back, rows["sport"], rows["dport"])
    found["nexthdr"] = rows["nexthdr"]
    found["flags"] = TUPLE_F_OUT
    return found


def translations(keys: Bytes, values: Bytes) -> Translations:
    """Whose packets are translated, and of whom the port stays; see `ct_keys_of`."""
    size = keys.shape[1]
    rows = np.ascontiguousarray(keys).view(KEYS[size]).reshape(-1)
    _, port = _target(size)
    ports = np.ascontiguousarray(values[:, port]).view(">u2").reshape(-1)
    # An answer comes to the port that was given, and gets the connection's own.
    replaced = np.where(rows["flags"] == TUPLE_F_IN, rows["dport"], rows["sport"])
    return Translations(ct_keys_of(keys, values).view(f"V{size}"), ports == replaced)


def packet_key(ct_key: bytes) -> bytes | None:
    """The NAT key of a connection's own packets; None for a conntrack key that is not OUT."""
    key = np.frombuffer(ct_key, KEYS[len(ct_key)]).copy()
    if key["flags"][0] != TUPLE_F_OUT:
        return None
    key["daddr"], key["saddr"] = key["saddr"].copy(), key["daddr"].copy()
    return key.tobytes()


def answer_key(packet: bytes, value: bytes) -> bytes:
    """The NAT key of the answers to a packet that is translated by ``value``."""
    key = np.frombuffer(packet, KEYS[len(packet)])
    address, port = _target(len(packet))
    answer = key.copy()
    answer["saddr"], answer["sport"] = key["daddr"], key["dport"]
    answer["daddr"] = np.frombuffer(value[address], np.uint8)
    answer["dport"] = np.frombuffer(value[port], ">u2")
    answer["flags"] = TUPLE_F_IN
    return answer.tobytes()
