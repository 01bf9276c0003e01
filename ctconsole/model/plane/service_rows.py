"""What the load-balancing maps hold for a table of services (``pkg/maps/lbmap`` 1.9)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.knowledge import ServiceFacts
from ctconsole.model.plane.encode import StoredRows, key_of, record_of, value_of
from ctconsole.model.plane.maglev import lookup_table
from ctconsole.model.plane.service import Algorithm, Backend
from ctconsole.model.records.service_flags import ServiceFlag

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import numpy.typing as npt

    from ctconsole.model.plane.service import Service, ServiceTable
    from ctconsole.model.records.table import RecordTable


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

    backends: StoredRows
    affinity_match: StoredRows
    maglev: StoredRows
    reverse_nat: StoredRows
    slots: StoredRows
    frontends: StoredRows


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


@dataclass(frozen=True, slots=True)
class FoundService:
    """A service as the maps hold it.

    Attributes:
        id: its ``rev_nat_index``.
        frontend: its address and port.
        backends: id and address of each slot, in order; None for a backend that is missing, and
            id 0 for a slot that is.
        affinity: seconds, 0 without.
        maglev: whether it has a Maglev table.
    """

    id: int
    frontend: Backend
    backends: tuple[tuple[int, Backend | None], ...]
    affinity: int
    maglev: bool


def decode_services(
    services: StoredRows, backends: StoredRows, family: int, maglev: frozenset[bytes]
) -> list[FoundService]:
    """What the rows of one family's service and backend maps mean.

    Args:
        services: of ``cilium_lb{4,6}_services_v2``.
        backends: of ``cilium_lb{4,6}_backends``.
        family: 4 or 6.
        maglev: ids (as keys) of the services that have a Maglev table.
    """
    spec, of = record_of(f"cilium_lb{family}_services_v2"), record_of(f"cilium_lb{family}_backends")
    known: dict[int, Backend] = {}
    for key, value in backends.items():
        row = np.frombuffer(value, of.value)[0]
        known[int.from_bytes(key, "little")] = _address(row["address"], row["port"])
    found = []
    for key, value in services.items():
        if not is_frontend(key):
            continue
        front, head = np.frombuffer(key, spec.key)[0], np.frombuffer(value, spec.value)[0]
        frontend = _address(front["address"], front["dport"])
        ids = [
            _backend_id(services.get(_service_key(frontend, family, slot)))
            for slot in range(1, int(head["count"]) + 1)
        ]
        number = int(head["rev_nat_index"])
        found.append(
            FoundService(
                number,
                frontend,
                tuple((one, known.get(one)) for one in ids),
                int(head["backend_id"]),
                service_id_key(number) in maglev,
            )
        )
    return found


def _backend_id(value: bytes | None) -> int:
    return int.from_bytes(value[:4], "little") if value else 0


def _address(raw: npt.NDArray[np.uint8], port: int) -> Backend:
    return Backend(ip_address(raw.tobytes()), int(port))


def service_id_key(number: int) -> bytes:
    """A service's id as the key of a Maglev or reverse NAT map: network order."""
    return number.to_bytes(2, "big")


def service_facts(table: RecordTable, maglev: Collection[bytes]) -> dict[int, ServiceFacts]:
    """What the frontends of a service map tell, by ``rev_nat_index`` in host order.

    Args:
        table: of ``cilium_lb{4,6}_services_v2``.
        maglev: keys of ``cilium_lb{4,6}_maglev``: the services that pick by a Maglev table.
    """
    found: dict[int, ServiceFacts] = {}
    for front in table.values[table.keys["backend_slot"] == 0]:
        number = int(front["rev_nat_index"])
        sticky = bool(front["flags"] & ServiceFlag.AFFINITY) or service_id_key(number) in maglev
        facts = ServiceFacts(int(front["count"]), sticky)
        # A service has one frontend for the cluster and one for outside; the worse one counts.
        found[number] = min(facts, found.get(number, facts), key=ServiceFacts.certainty)
    return found


def is_frontend(key: bytes) -> bool:
    """Whether a key of ``cilium_lb{4,6}_services_v2`` is a service's slot 0."""
    return key[-6:-4] == b"\0\0"


def _backends(table: ServiceTable, family: int) -> StoredRows:
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


def _slots(service: Service, ids: Iterable[int], family: int) -> StoredRows:
    name = f"cilium_lb{family}_services_v2"
    return {
        _service_key(service.frontend, family, slot): value_of(
            name, backend_id=number, rev_nat_index=service.id
        )
        for slot, number in enumerate(ids, 1)
    }


def _frontend(service: Service, family: int) -> StoredRows:
    value = value_of(
        f"cilium_lb{family}_services_v2",
        # Of slot 0 this field is a union: the affinity timeout.
        backend_id=service.affinity,
        count=len(service.backends),
        rev_nat_index=service.id,
        flags=ServiceFlag.AFFINITY if service.affinity else 0,
    )
    return {_service_key(service.frontend, family, 0): value}


def _reverse_nat(service: Service, family: int) -> StoredRows:
    name = f"cilium_lb{family}_reverse_nat"
    front = service.frontend
    value = value_of(name, address=front.ip.packed, port=front.port)
    return {key_of(name, id=service.id): value}


def _affinity_match(service: Service, ids: Iterable[int]) -> StoredRows:
    if not service.affinity:
        return {}
    name = "cilium_lb_affinity_match"
    return {
        key_of(name, backend_id=number, rev_nat_id=service.id): value_of(name) for number in ids
    }


def _maglev(service: Service, ids: Iterable[int], size: int) -> bytes:
    named = {str(one): number for one, number in zip(service.backends, ids, strict=True)}
    return lookup_table(named, size).astype("<u2").tobytes()
