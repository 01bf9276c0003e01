"""Services in the load-balancing maps, written so that the datapath never sees half of one.

The order is Cilium's (``pkg/service``, ``pkg/maps/lbmap`` 1.9): backends before the slots that
name them, slots before the frontend that counts them, and the other way round for what goes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ctconsole.errors import GoneError, UsageError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.rows import delete_rows, read_rows, store_rows
from ctconsole.model.plane.encode import StoredRows, changes
from ctconsole.model.plane.service import Algorithm
from ctconsole.model.plane.service_rows import decode_services, is_frontend, lb_rows
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.config import AgentConfig
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.plane.service import Service, ServiceTable
    from ctconsole.model.plane.service_rows import FoundService, LbRows

MAGLEV_BACKEND_BYTES = 2
"""A backend's id in a Maglev table (``loadbalancer.BackendID``, u16 in 1.9)."""


def maglev_table_spec(size: int) -> MapSpec:
    """A service's Maglev table: an array whose only value is the whole table."""
    return MapSpec("cilium_lb_maglev", MapType.ARRAY, 4, MAGLEV_BACKEND_BYTES * size, 1)


def check_service(config: AgentConfig, service: Service) -> None:
    """Refuse a service that this node's configuration does not serve.

    Raises:
        UsageError: names the option that would have to be another.
    """
    family = service.frontend.family
    if not (config.enable_ipv4 if family == 4 else config.enable_ipv6):  # noqa: PLR2004 - IP version
        raise UsageError(
            f"Service {service.name} is IPv{family}, which this node does not track",
            hint=f"Restart the agent with enable-ipv{family}=true",
        )
    if service.affinity and not config.enable_session_affinity:
        raise UsageError(
            f"Service {service.name} wants affinity, which this node does not have",
            hint="Restart the agent with enable-session-affinity=true",
        )
    if service.algorithm != config.bpf_lb_algorithm:
        raise UsageError(
            f"This node picks backends by bpf-lb-algorithm={config.bpf_lb_algorithm}, "
            f"not by {service.algorithm.value}",
            hint=f"Restart the agent with bpf-lb-algorithm={service.algorithm.value}",
        )


def sync_services(gate: Gate, root: Path, table: ServiceTable, maglev_size: int) -> None:
    """Make the maps hold exactly these services; what is right already is not written.

    Args:
        gate: the write gate.
        root: the bpffs; the maps are pinned in its folder ``tc/globals``.
        table: every service of the node. A family without maps must have none in it.
        maglev_size: slots of a Maglev table (``bpf-lb-maglev-table-size``).

    Raises:
        BpfError: a map is full or cannot be written. The services before are as they were, and
            running this again finishes the work.
    """
    folder = root / GLOBALS
    families = [one for one in (4, 6) if (folder / f"cilium_lb{one}_services_v2").exists()]
    wishes = {family: lb_rows(table, family, maglev_size) for family in families}
    match: StoredRows = {}
    for rows in wishes.values():
        match |= rows.affinity_match
    match_path = folder / "cilium_lb_affinity_match"
    match_change = changes(read_rows(match_path), match) if match_path.exists() else None
    if match_change:
        store_rows(gate, match_path, match_change.stored)
    for family, rows in wishes.items():
        _sync_family(gate, folder, family, rows, maglev_size)
    if match_change:
        delete_rows(gate, match_path, match_change.deleted)


def _sync_family(gate: Gate, folder: Path, family: int, wish: LbRows, maglev_size: int) -> None:
    backends, services, reverse_nat, tables = (
        folder / f"cilium_lb{family}_{what}"
        for what in ("backends", "services_v2", "reverse_nat", "maglev")
    )
    now = read_rows(services)
    front = changes({key: one for key, one in now.items() if is_frontend(key)}, wish.frontends)
    slot = changes({key: one for key, one in now.items() if not is_frontend(key)}, wish.slots)
    backend = changes(read_rows(backends), wish.backends)
    nat = changes(read_rows(reverse_nat), wish.reverse_nat)

    store_rows(gate, backends, backend.stored)
    store_rows(gate, services, slot.stored)
    _store_maglev(gate, tables, wish.maglev, maglev_size)
    store_rows(gate, reverse_nat, nat.stored)
    store_rows(gate, services, front.stored)

    delete_rows(gate, services, front.deleted)
    delete_rows(gate, services, slot.deleted)
    _delete_maglev(gate, tables, wish.maglev)
    delete_rows(gate, reverse_nat, nat.deleted)
    delete_rows(gate, backends, backend.deleted)


def read_services(root: Path) -> list[FoundService]:
    """The services that the maps hold, by id; a family without maps has none.

    Raises:
        BpfError: a map cannot be read.
    """
    folder = root / GLOBALS
    found: list[FoundService] = []
    for family in (4, 6):
        services = folder / f"cilium_lb{family}_services_v2"
        if services.exists():
            tables = read_maglev(folder / f"cilium_lb{family}_maglev")
            backends = read_rows(folder / f"cilium_lb{family}_backends")
            found += decode_services(read_rows(services), backends, family, frozenset(tables))
    return sorted(found, key=lambda one: one.id)


def read_maglev(path: Path) -> StoredRows:
    """The tables inside a pinned Maglev map, by service id; empty where there is no such map."""
    try:
        outer = read_rows(path)
    except GoneError:
        return {}
    found: StoredRows = {}
    for key, value in outer.items():
        # A lookup in a map of maps answers with the inner map's id.
        with BpfMap.from_id(int.from_bytes(value[:4], sys.byteorder)) as inner:
            found[key] = inner.lookup(bytes(4)) or b""
    return found


def _store_maglev(gate: Gate, path: Path, wish: StoredRows, size: int) -> None:
    """Put a new table in the place of each that differs; the old one serves until then."""
    if not wish:
        return
    now = read_maglev(path)
    with BpfMap.open(path) as outer:
        for key, table in wish.items():
            if now.get(key) == table:
                continue
            with mapwrite.create(gate, maglev_table_spec(size)) as inner:
                mapwrite.update(gate, inner, bytes(4), table)
                mapwrite.update(gate, outer, key, inner.fd.to_bytes(4, sys.byteorder))


def _delete_maglev(gate: Gate, path: Path, wish: StoredRows) -> None:
    if path.exists():
        delete_rows(gate, path, [key for key in read_rows(path) if key not in wish])


def algorithm_of(config: AgentConfig) -> Algorithm:
    """How this node picks backends."""
    return Algorithm(config.bpf_lb_algorithm)
