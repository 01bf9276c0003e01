"""NAT entries go with the conntrack entry of their connection (``pkg/maps/nat``, ``ctmap``).

A translated connection has a pair of entries in ``cilium_snat_v4_external``, one for each
direction. When the collector deletes the connection's OUT entry, the pair goes as well. What an
evicted or lost conntrack entry leaves behind is an orphan, found by looking each pair up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctconsole.errors import GoneError, NoMapError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.knowledge import NAT_MAPS
from ctconsole.model.ct.layout import KEY4, IpProtocol
from ctconsole.model.ct.natpairs import answer_key, ct_keys_of, packet_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Bools: TypeAlias = npt.NDArray[np.bool_]

CT4, CT_ANY4 = "cilium_ct4_global", "cilium_ct_any4_global"

_ROW = np.dtype(f"V{KEY4.itemsize}")


@dataclass(frozen=True, slots=True)
class NatGc:
    """What a pass did to the NAT table.

    Attributes:
        alive: entries kept, two for each connection.
        deleted: entries deleted together with their connection's conntrack entry.
        orphans: entries whose connection had no conntrack entry.
        purged: how many of these were deleted.
    """

    alive: int
    deleted: int
    orphans: int
    purged: int


def delete_mapping(gate: Gate, nat: BpfMap, ct_key: bytes) -> int:
    """Delete the pair of entries of a connection whose conntrack entry has been deleted.

    Args:
        gate: the write gate.
        nat: the NAT table of the key's family.
        ct_key: the conntrack entry's key, 14 or 38 bytes; one that is not OUT has no pair.

    Returns:
        How many entries there were, 0 to 2.
    """
    packet = packet_key(ct_key)
    value = nat.lookup(packet) if packet else None
    if packet is None or value is None:
        return 0
    return mapwrite.delete(gate, nat, packet) + mapwrite.delete(
        gate, nat, answer_key(packet, value)
    )


class Orphans:
    """How long each orphan has been one, from pass to pass.

    Deleting them at once would break what a re-created conntrack table leaves intact: a
    translated connection whose entry comes back with its next packet. One that has been an
    orphan for as long as its entry would have lived would have lost it anyway.
    """

    def __init__(self) -> None:
        self._keys = np.zeros(0, _ROW)
        self._since = np.zeros(0)

    def ages(self, keys: Bytes, now: float) -> npt.NDArray[np.float64]:
        """Seconds each of these has been an orphan; others are forgotten.

        Args:
            keys: u1[n, 14], the orphans of this pass.
            now: seconds of any clock that does not jump.
        """
        rows = np.ascontiguousarray(keys).view(_ROW).reshape(-1)
        order = np.argsort(rows)
        rows = rows[order]
        at = np.minimum(np.searchsorted(self._keys, rows), max(0, len(self._keys) - 1))
        since = np.full(len(rows), now)
        if len(self._keys):
            known = self._keys[at] == rows
            since[known] = self._since[at][known]
        self._keys, self._since = rows, since
        ages = np.empty(len(rows))
        ages[order] = now - since
        return ages


def collect_orphans(
    gate: Gate, nat: BpfMap, tables: Mapping[bool, BpfMap], due: Callable[[Bytes], Bools]
) -> tuple[int, int, int]:
    """Find entries whose connection has no conntrack entry, and delete those that are due.

    The NAT table is read before the others: a connection gets its conntrack entry first.

    Args:
        gate: the write gate.
        nat: the NAT table.
        tables: the global conntrack tables, by whether they are TCP's.
        due: says of orphans, u1[n, 14], which are to be deleted.

    Returns:
        How many entries are left, how many orphans there were, how many were deleted.
    """
    dump = nat.read()
    keys = np.ascontiguousarray(dump.keys).view(KEY4).reshape(-1)
    wanted = ct_keys_of(dump.keys, dump.values)
    known = np.zeros(len(keys), bool)
    for tcp, table in tables.items():
        rows = np.flatnonzero((wanted["nexthdr"] == IpProtocol.TCP) == tcp)
        if len(rows):
            known[rows] = np.isin(wanted[rows].view(_ROW), table.read().keys.view(_ROW).ravel())
    orphans = np.flatnonzero(~known)
    deleted = 0
    for row in orphans[due(dump.keys[orphans])]:
        # Its connection may have spoken since.
        table = tables[bool(wanted["nexthdr"][row] == IpProtocol.TCP)]
        if table.lookup(wanted[row].tobytes()) is None:
            deleted += mapwrite.delete(gate, nat, keys[row].tobytes())
    return len(keys) - deleted, len(orphans), deleted


@dataclass(frozen=True, slots=True)
class NatRules:
    """When orphans are deleted.

    Attributes:
        orphans: how long they have been orphans.
        tcp_lifetime: seconds after which those of TCP go.
        any_lifetime: seconds after which the others go.
        purge: delete them all now, as Cilium does when the NAT table is full.
    """

    orphans: Orphans
    tcp_lifetime: float
    any_lifetime: float
    purge: bool = False

    def due(self, keys: Bytes) -> Bools:
        """Which of these orphans, u1[n, 14], are to be deleted now."""
        ages = self.orphans.ages(keys, time.monotonic())
        protocols = np.ascontiguousarray(keys).view(KEY4).reshape(-1)["nexthdr"]
        lifetimes = np.where(protocols == IpProtocol.TCP, self.tcp_lifetime, self.any_lifetime)
        found: Bools = (ages >= lifetimes) | self.purge
        return found


def collect(gate: Gate, folder: Path, deleted: int, rules: NatRules | None) -> NatGc | None:
    """Find orphans in ``tc/globals``, and delete those that are due.

    None where one of them is missing, or is no map.

    Args:
        gate: the write gate.
        folder: where the tables are pinned.
        deleted: NAT entries that went with their connections in the same pass.
        rules: which orphans are deleted; None for no one.
    """
    due = rules.due if rules else lambda keys: np.zeros(len(keys), bool)
    try:
        with (
            BpfMap.open(folder / NAT_MAPS[KEY4.itemsize]) as nat,
            BpfMap.open(folder / CT4) as tcp,
            BpfMap.open(folder / CT_ANY4) as other,
        ):
            alive, orphans, purged = collect_orphans(gate, nat, {True: tcp, False: other}, due)
    except (GoneError, NoMapError):
        return None
    return NatGc(alive, deleted, orphans, purged)
