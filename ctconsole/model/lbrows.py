"""What the load-balancing maps hold for a table of services (``pkg/maps/lbmap`` 1.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.model.encode import Rows, key_of, value_of
from ctconsole.model.maglev import lookup_table
from ctconsole.model.service import Algorithm
from ctconsole.model.service_flags import ServiceFlag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.service import Backend, Service, ServiceTable


@dataclass(frozen=True, slots=True)
class LbRows:
    """Rows of the maps of one IP family, the lowest layer first.

    Attributes:
        backends: ``cilium_lb{4,6}_backends``.
        affinity_match: ``cilium_lb_affinity_match``, this family's share.
        maglev: the value of the inner map of ``cilium_lb{4,6}_maglev`` by service id (the
            outer map's key); empty where the node picks at random.
        reverse_nat: ``cilium_lb{4,6}_reverse_nat``.
        slots: ``cilium_lb{4,6}_services_v2``, the slots from 1 on.
        frontends: the same map's slots 0: what makes a service visible.
    """

    backends: Rows
    affinity_match: Rows
    maglev: Rows
    reverse_nat: Rows
    slots: Rows
    frontends: Rows


def lb_rows(table: ServiceTable, family: int, maglev_size: int) -> LbRows:
    """The rows for the services of one IP family.

    Args:
        table: every service of the node.
        family: 4 or 6.
        maglev_size: slots of a Maglev table.
    """
    chosen = [one for one in table.services.values() if one.frontend.family == family]
    rows = LbRows(_backends(table, family), {}, {}, {}, {}, {})
    for service in chosen:
        ids = [table.backend_ids[backend] for backend in service.backends]
        rows.affinity_match.update(_affinity_match(service, ids))
        if service.algorithm is Algorithm.MAGLEV:
            rows.maglev[service_id_key(service.id)] = _maglev(service, ids, maglev_size)
        rows.reverse_nat.update(_reverse_nat(service, family))
        rows.slots.update(_slots(service, ids, family))
        rows.frontends.update(_frontend(service, family))
    return rows


def service_id_key(number: int) -> bytes:
    """A service's id as the key of a Maglev or reverse NAT map: network order."""
    return number.to_bytes(2, "big")


def is_frontend(key: bytes) -> bool:
    """Whether a key of ``cilium_lb{4,6}_services_v2`` is a service's slot 0."""
    return key[-6:-4] == b"\0\0"


def _backends(table: ServiceTable, family: int) -> Rows:
    name = f"cilium_lb{family}_backends"
    return {
        key_of(name, id=number): value_of(name, address=backend.ip.packed, port=backend.port)
        for backend, number in table.backend_ids.items()
        if backend.family == family
    }


def _service_key(frontend: Backend, family: int, slot: int) -> bytes:
    return key_of(
        f"cilium_lb{family}_services_v2",
        address=frontend.ip.packed,
        dport=frontend.port,
        backend_slot=slot,
    )


def _slots(service: Service, ids: Iterable[int], family: int) -> Rows:
    name = f"cilium_lb{family}_services_v2"
    return {
        _service_key(service.frontend, family, slot): value_of(
            name, backend_id=number, rev_nat_index=service.id
        )
        for slot, number in enumerate(ids, 1)
    }


def _frontend(service: Service, family: int) -> Rows:
    value = value_of(
        f"cilium_lb{family}_services_v2",
        # Of slot 0 this field is a union: the affinity timeout.
        backend_id=service.affinity,
        count=len(service.backends),
        rev_nat_index=service.id,
        flags=ServiceFlag.AFFINITY if service.affinity else 0,
    )
    return {_service_key(service.frontend, family, 0): value}


def _reverse_nat(service: Service, family: int) -> Rows:
    name = f"cilium_lb{family}_reverse_nat"
    front = service.frontend
    value = value_of(name, address=front.ip.packed, port=front.port)
    return {key_of(name, id=service.id): value}


def _affinity_match(service: Service, ids: Iterable[int]) -> Rows:
    if not service.affinity:
        return {}
    name = "cilium_lb_affinity_match"
    return {
        key_of(name, backend_id=number, rev_nat_id=service.id): value_of(name) for number in ids
    }


def _maglev(service: Service, ids: Iterable[int], size: int) -> bytes:
    named = {str(one): number for one, number in zip(service.backends, ids, strict=True)}
    return lookup_table(named, size).astype("<u2").tobytes()
