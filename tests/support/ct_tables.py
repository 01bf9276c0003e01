"""Conntrack tables written entry by entry."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.knowledge import Translations
from ctconsole.model.ct.layout import KEY4, KEY6, IpProtocol, Layout, value_dtype
from ctconsole.model.ct.table import CtTable
from ctconsole.model.spec import MapInfo, MapType

if TYPE_CHECKING:
    from ctconsole.model.ct.knowledge import Keys

NOW = 10_000
"""The node's clock in these tables, in seconds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as a person says it: both ends, and what the value holds.

    ``flags`` are the value's; ``tuple_flags`` the key's (1 IN, 2 RELATED, 4 SERVICE). ``rx`` and
    ``tx`` are the seconds since the last report of that direction, None for never.
    """

    source: str = "10.0.1.1:40000"
    destination: str = "10.0.2.2:80"
    protocol: int = IpProtocol.TCP
    tuple_flags: int = 0
    left: int = 300
    flags: int = 0x10
    rx: int | None = 20
    tx: int | None = 20
    packets: int = 4
    bytes: int = 400
    rev_nat: int = 0
    backend: int = 0


def _end(text: str) -> tuple[list[int], int]:
    host, _, port = text.rpartition(":")
    return list(ip_address(host.strip("[]")).packed), int(port)


def ct_table(
    *entries: Entry,
    layout: Layout = Layout.V1_18,
    taken_at: float = 1000.0,
    now: int = NOW,
    map_id: int = 7,
) -> CtTable:
    """A table of these entries; all of one IP family."""
    ipv6 = bool(entries) and "[" in entries[0].source
    key = KEY6 if ipv6 else KEY4
    keys = np.zeros(len(entries), key)
    values = np.zeros(len(entries), value_dtype(layout))
    for row, entry in enumerate(entries):
        (source, sport), (destination, dport) = _end(entry.source), _end(entry.destination)
        if entry.tuple_flags & 4:
            keys[row] = (destination, source, sport, dport, entry.protocol, entry.tuple_flags)
        else:
            keys[row] = (source, destination, dport, sport, entry.protocol, entry.tuple_flags)
        values["lifetime"][row] = NOW + entry.left
        values["flags"][row] = entry.flags
        values["rev_nat_index"][row] = entry.rev_nat
        values["last_rx_report"][row] = 0 if entry.rx is None else NOW - entry.rx
        values["last_tx_report"][row] = 0 if entry.tx is None else NOW - entry.tx
        names = ("tx_packets", "tx_bytes") if layout is Layout.V1_9 else ("packets", "bytes")
        values[names[0]][row] = entry.packets
        values[names[1]][row] = entry.bytes
        if entry.backend:
            values["backend_id"][row] = entry.backend
    info = MapInfo(map_id, "cilium_ct4_glob", MapType.LRU_HASH, key.itemsize, 56, 4096)
    return CtTable.from_raw(
        info,
        layout,
        keys.view(np.uint8).reshape(len(keys), key.itemsize),
        values.view(np.uint8).reshape(len(values), 56),
        now=now,
        taken_at=taken_at,
    )


def elsewhere(owners: Keys) -> Translations:
    """What a NAT table tells that gives each of these connections a port that is not its own."""
    return Translations(owners, np.zeros(len(owners), np.bool_))
