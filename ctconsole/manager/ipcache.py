"""``cilium_ipcache``: the security identity behind every address, by longest prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.manager.rows import sync_rows
from ctconsole.model.plane.address_rows import ipcache_rows
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.plane.address_rows import Address
    from ctconsole.model.plane.endpoint import Endpoint


def sync_ipcache(
    gate: Gate, root: Path, endpoints: Sequence[Endpoint], host: Iterable[Address]
) -> None:
    """Make the map hold the identities of these endpoints, of the node and of the world.

    Raises:
        BpfError: the map is full or cannot be written.
    """
    sync_rows(gate, root / GLOBALS / "cilium_ipcache", ipcache_rows(endpoints, host))
