"""Maglev lookup tables: which backend a flow's hash picks, so that few change when one goes.

"Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016), section 3.4. Every
backend walks the table in an order of its own and takes the next free slot in turn, so that each
gets nearly the same share, and the others keep most of theirs when one leaves.

The permutation follows from the backend's text alone, so that every node, and an agent after a
restart, makes the same table. The hash is BLAKE2b, where Cilium has MurmurHash3: tables have the
same properties, not the same numbers.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


def permutation(backend: str, size: int) -> npt.NDArray[np.int64]:
    """The order in which a backend asks for slots: every slot once, i8 of shape (size,).

    Args:
        backend: what tells it from others, e.g. ``10.5.5.5:80``.
        size: slots of the table, a prime.
    """
    digest = blake2b(backend.encode(), digest_size=16).digest()
    offset = int.from_bytes(digest[:8], "little") % size
    skip = int.from_bytes(digest[8:], "little") % (size - 1) + 1
    return (offset + np.arange(size, dtype=np.int64) * skip) % size


def lookup_table(backends: Mapping[str, int], size: int) -> npt.NDArray[np.uint16]:
    """The table of a service, as ``cilium_lb4_maglev`` holds it: u2 of shape (size,).

    Args:
        backends: backend id by its text; the order does not matter.
        size: slots, a prime larger than the number of backends.

    Returns:
        A backend id in each slot; all 0, which is no backend, where there are none.
    """
    table = np.zeros(size, np.uint16)
    if not backends:
        return table
    names = sorted(backends)
    orders = [permutation(name, size).tolist() for name in names]
    ids = [backends[name] for name in names]
    slots = [0] * size
    asked = [0] * len(names)
    for taken in range(size):
        turn = taken % len(names)
        order, at = orders[turn], asked[turn]
        while slots[order[at]]:
            at += 1
        slots[order[at]] = ids[turn]
        asked[turn] = at + 1
    table[:] = slots
    return table
