"""Deleting the conntrack entries of addresses that are gone (``scrubIPsInConntrackTable``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import FormatError, GoneError, NoMapError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.plane.address_rows import Address


def scrub(gate: Gate, paths: Iterable[Path], addresses: Sequence[Address]) -> int:
    """Delete every entry with one of these addresses at either end.

    Another pod may get the address, and must not be taken for the one that had it.

    Args:
        gate: the write gate.
        paths: pins of conntrack maps; one that is not there, or is no map, is passed over.
        addresses: of the endpoint that is gone.

    Returns:
        How many entries there were.
    """
    gone = 0
    for path in paths:
        try:
            live = BpfMap.open(path)
        except (GoneError, NoMapError, FormatError):
            # Gone, or no map at all: neither holds an entry of these addresses.
            continue
        with live:
            gone += _scrub(gate, live, addresses)
    return gone


def _scrub(gate: Gate, live: BpfMap, addresses: Sequence[Address]) -> int:
    keys = live.read().keys
    hit = np.zeros(len(keys), np.bool_)
    for ip in addresses:
        raw = np.frombuffer(ip.packed, np.uint8)
        size = len(raw)
        # A key starts with both addresses, and 6 bytes of ports, protocol and flags follow.
        if live.info.key_size == 2 * size + 6:
            hit |= (keys[:, :size] == raw).all(axis=1)
            hit |= (keys[:, size : 2 * size] == raw).all(axis=1)
    return mapwrite.delete_batch(gate, live, keys[hit])
