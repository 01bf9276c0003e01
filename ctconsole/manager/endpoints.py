"""The maps that know the node's endpoints: ``cilium_lxc``, and what each has of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ctconsole.errors import GoneError
from ctconsole.kernel import pins
from ctconsole.manager.bpfmap import map_event
from ctconsole.manager.rows import sync_rows
from ctconsole.model.catalogue import find
from ctconsole.model.event import EventKind
from ctconsole.model.plane.address_rows import lxc_rows
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event
    from ctconsole.model.plane.address_rows import Address
    from ctconsole.model.plane.endpoint import Endpoint

OWN_MAPS = (
    "cilium_policy_*",
    "cilium_ct4_*",
    "cilium_ct6_*",
    "cilium_ct_any4_*",
    "cilium_ct_any6_*",
)
"""Maps that come and go with an endpoint, as the catalogue names them."""


def sync_endpoints(
    gate: Gate, root: Path, endpoints: Iterable[Endpoint], host: Iterable[Address]
) -> None:
    """Make ``cilium_lxc`` hold exactly these endpoints and the node's own addresses.

    Raises:
        BpfError: the map is full or cannot be written.
    """
    sync_rows(gate, root / GLOBALS / "cilium_lxc", lxc_rows(endpoints, host))


def remove_own_maps(gate: Gate, root: Path, endpoint_id: int) -> list[Event]:
    """Unpin the maps of an endpoint that is gone; its programs must be detached before.

    Returns:
        MAP_REMOVED for each that was pinned.
    """
    events = []
    for pattern in OWN_MAPS:
        path = root / GLOBALS / find(pattern).name.replace("*", f"{endpoint_id:05d}")
        with suppress(GoneError):
            pins.unpin(gate, path)
            message = "Removed map of deleted endpoint"
            events.append(map_event(EventKind.MAP_REMOVED, path, message))
    return events
