"""Conntrack and NAT tables of a node from which one of two connections left translated."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.model.ct.layout import Layout
from tests.support.ct_entries import CT4
from tests.support.ct_tables import NOW, Entry, ct_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap


@contextmanager
def translated_connection(gate: Gate, folder: Path, family: int = 4) -> Iterator[BpfMap]:
    """Pin ``cilium_ct{4,6}_global`` with two entries, and the NAT table with a pair for one.

    Yields:
        The NAT table.
    """
    pod, other, outside, node = {
        4: ("10.0.1.1", "10.0.1.2", "1.1.1.1", "192.168.0.9"),
        6: ("[fd00::1]", "[fd00::2]", "[2001:db8::1]", "[fd99::9]"),
    }[family]
    entries = ct_table(
        Entry(source=f"{pod}:40000", destination=f"{outside}:443", left=ktime() + 100),
        Entry(source=f"{other}:40000", destination=f"{outside}:443", left=ktime() + 100),
        layout=Layout.V1_9,
    )
    values = entries.values.copy()
    values["lifetime"] -= NOW
    size = entries.keys.dtype.itemsize
    # In the packet: pod to outside, and what comes back to the node's address.
    pair = np.zeros(2, entries.keys.dtype)
    pair[0] = (_raw(outside), _raw(pod), 443, 40000, 6, 0)
    pair[1] = (_raw(node), _raw(outside), 55555, 443, 6, 1)
    value_size = {4: 40, 6: 56}[family]
    mapped = np.zeros((2, value_size), np.uint8)
    for row, (address, port) in enumerate(((node, 55555), (pod, 40000))):
        to = [*_raw(address), *port.to_bytes(2, "big")]
        mapped[row, 32 : 32 + len(to)] = to
    ct_spec = replace(CT4, name=f"cilium_ct{family}_global", key_size=size)
    nat_spec = replace(
        CT4, name=f"cilium_snat_v{family}_external", key_size=size, value_size=value_size
    )
    with (
        open_or_create_map(gate, folder / ct_spec.name, ct_spec).map as live,
        open_or_create_map(gate, folder / nat_spec.name, nat_spec).map as nat,
    ):
        mapwrite.update_batch(
            gate, live, entries.keys.view("u1").reshape(2, size), values.view("u1").reshape(2, 56)
        )
        mapwrite.update_batch(gate, nat, pair.view("u1").reshape(2, size), mapped)
        yield nat


def _raw(address: str) -> list[int]:
    return list(ip_address(address.strip("[]")).packed)
