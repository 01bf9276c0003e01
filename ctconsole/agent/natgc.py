"""NAT entries go with the conntrack entry of their connection (``pkg/maps/nat``, ``ctmap``).

A translated connection has a pair of entries in ``cilium_snat_v4_external``, one for each
direction. When the collector deletes the connection's OUT entry, the pair goes as well. What an
evicted or lost conntrack entry leaves behind is an orphan, found by looking each pair up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.errors import NoSuchMapError
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.layout import KEY4, TUPLE_F_IN, TUPLE_F_OUT, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Keys: TypeAlias = npt.NDArray[Any]

NAT4 = "cilium_snat_v4_external"
CT4, CT_ANY4 = "cilium_ct4_global", "cilium_ct_any4_global"

_ADDRESS, _PORT = slice(32, 36), slice(36, 38)
"""Where ``struct ipv4_nat_entry`` has what is put into the packet."""


@dataclass(frozen=True, slots=True)
class NatGc:
    """What a pass did to the NAT table.

    Attributes:
        alive: entries kept, two for each connection.
        deleted: entries deleted together with their connection's conntrack entry.
        orphans: entries deleted because their connection had no conntrack entry.
    """

    alive: int
    deleted: int
    orphans: int


def ct_keys_of(keys: Keys, values: Bytes) -> Keys:
    """The key of the conntrack entry that each NAT entry belongs to.

    Args:
        keys: `KEY4` records of the NAT table: addresses and ports as in the packet.
        values: u1[n, 40], their values.
    """
    back = keys["flags"] == TUPLE_F_IN
    found = np.zeros(len(keys), KEY4)
    # A conntrack key has its opener in daddr. Of an answer the opener is what it becomes.
    found["daddr"] = np.where(back[:, None], values[:, _ADDRESS], keys["saddr"])
    found["saddr"] = np.where(back[:, None], keys["saddr"], keys["daddr"])
    port = np.ascontiguousarray(values[:, _PORT]).view(">u2").reshape(-1)
    found["sport"] = np.where(back, port, keys["sport"])
    found["dport"] = np.where(back, keys["sport"], keys["dport"])
    found["nexthdr"] = keys["nexthdr"]
    found["flags"] = TUPLE_F_OUT
    return found


def delete_mapping(gate: Gate, nat: BpfMap, ct_key: bytes) -> int:
    """Delete the pair of entries of a connection whose conntrack entry has been deleted.

    Args:
        gate: the write gate.
        nat: the NAT table.
        ct_key: the conntrack entry's key, 14 bytes; one that is not OUT has no pair.

    Returns:
        How many entries there were, 0 to 2.
    """
    key = np.frombuffer(ct_key, KEY4).copy()
    if key["flags"][0] != TUPLE_F_OUT:
        return 0
    key["daddr"], key["saddr"] = key["saddr"].copy(), key["daddr"].copy()
    value = nat.lookup(key.tobytes())
    if value is None:
        return 0
    answer = key.copy()
    answer["saddr"], answer["sport"] = key["daddr"], key["dport"]
    answer["daddr"] = np.frombuffer(value[_ADDRESS], np.uint8)
    answer["dport"] = np.frombuffer(value[_PORT], ">u2")
    answer["flags"] = TUPLE_F_IN
    return gate.delete(nat, key.tobytes()) + gate.delete(nat, answer.tobytes())


def purge_orphans(gate: Gate, nat: BpfMap, tables: Mapping[bool, BpfMap]) -> tuple[int, int]:
    """Delete entries whose connection has no conntrack entry (``PurgeOrphanNATEntries``).

    The NAT table is read before the others: a connection gets its conntrack entry first.

    Args:
        gate: the write gate.
        nat: the NAT table.
        tables: the global conntrack tables, by whether they are TCP's.

    Returns:
        How many entries are left, and how many were deleted.
    """
    dump = nat.read()
    keys = np.ascontiguousarray(dump.keys).view(KEY4).reshape(-1)
    wanted = ct_keys_of(keys, dump.values)
    known = np.zeros(len(keys), bool)
    for tcp, table in tables.items():
        rows = np.flatnonzero((wanted["nexthdr"] == Protocol.TCP) == tcp)
        if len(rows):
            known[rows] = np.isin(wanted[rows].view("V14"), table.read().keys.view("V14").ravel())
    orphans = 0
    for row in np.flatnonzero(~known):
        table = tables[bool(wanted["nexthdr"][row] == Protocol.TCP)]
        if table.lookup(wanted[row].tobytes()) is None:
            orphans += gate.delete(nat, keys[row].tobytes())
    return len(keys) - orphans, orphans


def open_nat(folder: Path) -> BpfMap | None:
    """The NAT table in a folder, None where the node has none."""
    try:
        return BpfMap.open(folder / NAT4)
    except NoSuchMapError:
        return None


def purge(gate: Gate, folder: Path, deleted: int) -> NatGc | None:
    """Find and delete orphans in ``tc/globals``; None where a table is missing.

    ``deleted`` is how many NAT entries went with their connections in the same pass.
    """
    try:
        with (
            BpfMap.open(folder / NAT4) as nat,
            BpfMap.open(folder / CT4) as tcp,
            BpfMap.open(folder / CT_ANY4) as other,
        ):
            alive, orphans = purge_orphans(gate, nat, {True: tcp, False: other})
    except NoSuchMapError:
        return None
    return NatGc(alive, deleted, orphans)
