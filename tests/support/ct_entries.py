"""Conntrack entries for tests, as the rows a map takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.layout import KEY4, CtFlag, IpProtocol, Layout, value_dtype
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    import numpy.typing as npt

CT4 = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 4096)
ALIVE, DEAD = 30, 1000
"""How many entries of a table have not expired, and how many have."""


def ct4_rows(
    count: int, *, lifetime: int, first: int = 0, established: bool = True
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Distinct TCP entries as u1[count, 14] and u1[count, 56], 1.9 layout.

    Args:
        count: how many.
        lifetime: when they expire, in CLOCK_MONOTONIC seconds.
        first: number of the first; entries of other numbers have other addresses.
        established: whether they have seen data both ways, or only one SYN.
    """
    numbers = np.arange(first, first + count, dtype=">u4")
    keys = np.zeros(count, KEY4)
    keys["daddr"] = numbers.view(np.uint8).reshape(count, 4)
    keys["saddr"] = [10, 0, 0, 1]
    keys["dport"] = 80
    keys["sport"] = 40000
    keys["nexthdr"] = IpProtocol.TCP
    keys["flags"] = 1
    values = np.zeros(count, value_dtype(Layout.V1_9))
    values["lifetime"] = lifetime
    values["rx_packets"] = 3
    if established:
        values["flags"] = CtFlag.SEEN_NON_SYN
        values["last_rx_report"] = values["last_tx_report"] = 1
    return keys.view(np.uint8).reshape(count, 14), values.view(np.uint8).reshape(count, 56)
