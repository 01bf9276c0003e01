"""A service: an address that stands for several backends, and the ids it is known by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ctconsole.errors import FormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_ID = 0xFFFF
"""Services and (in 1.9) backends have ids of 16 bits; 0 is none."""

MAX_BACKENDS = 250
"""Backends of one service at most: the smallest Maglev table must hold them all."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9./-]{0,61}[a-z0-9])?")


class Algorithm(StrEnum):
    """How a backend is picked (``bpf-lb-algorithm``); in 1.9 one for the whole node."""

    RANDOM = "random"
    MAGLEV = "maglev"


class ServiceProtocol(StrEnum):
    """What a service carries. The 1.9 datapath stores none: an address and port is one service."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    """An address and a port; of a backend or of a service's frontend.

    Attributes:
        ip: the address.
        port: 1 to 65535.
    """

    ip: IPv4Address | IPv6Address
    port: int

    @classmethod
    def parse(cls, text: str) -> Backend:
        """What ``10.96.0.10:80`` or ``[fd00::a]:80`` means.

        Raises:
            UsageError: it is no address and port.
        """
        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")):
            raise UsageError(
                f"{text} has no port", hint="Write 10.96.0.10:80, and IPv6 as [fd00::a]:80"
            )
        try:
            ip = ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError as error:
            raise UsageError(f"{host} in {text} is no IP address") from error
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= MAX_ID):
            raise UsageError(f"{port} in {text} is no port", hint=f"Give 1 to {MAX_ID}")
        return cls(ip, int(port))

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.ip.version

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.family == 6 else f"{self.ip}:{self.port}"  # noqa: PLR2004 - IP version


@dataclass(frozen=True, slots=True)
class Service:
    """A wish: what clients are to find behind an address.

    Attributes:
        name: for people, unique on a node.
        frontend: the service's own address and port.
        backends: in the order of their slots, of the frontend's IP family, each once.
        protocol: for people, see `ServiceProtocol`.
        affinity: seconds for which a client goes back to the backend it had; 0 for not at all.
        algorithm: how the node picks its backends, see `Algorithm`.
        id: the service's id (``rev_nat_index``); 0 until one is given to it.
    """

    name: str
    frontend: Backend
    backends: tuple[Backend, ...]
    protocol: ServiceProtocol = ServiceProtocol.TCP
    affinity: int = 0
    algorithm: Algorithm = Algorithm.RANDOM
    id: int = 0

    def __post_init__(self) -> None:
        """Refuse what no datapath could serve.

        Raises:
            UsageError: says which part, and why.
        """
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} cannot name a service", hint="Use a-z, 0-9, '.', '/' and '-'"
            )
        for backend in self.backends:
            if backend.family != self.frontend.family:
                raise UsageError(f"Backend {backend} is not of {self.frontend}'s IP family")
        if len(set(self.backends)) < len(self.backends):
            raise UsageError(f"Service {self.name} has a backend twice")
        if self.frontend in self.backends:
            raise UsageError(f"Service {self.name} cannot be its own backend")
        if len(self.backends) > MAX_BACKENDS:
            raise UsageError(
                f"Service {self.name} has {len(self.backends)} backends",
                hint=f"Give at most {MAX_BACKENDS}",
            )
        if not 0 <= self.affinity <= 0xFFFFFFFF:  # noqa: PLR2004 - a u32 in the map
            raise UsageError(f"{self.affinity} seconds of affinity are out of range")

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` undoes it."""
        return {
            "name": self.name,
            "id": self.id,
            "frontend": str(self.frontend),
            "protocol": self.protocol.value,
            "backends": [str(backend) for backend in self.backends],
            "affinity": self.affinity,
            "algorithm": self.algorithm.value,
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Service:
        """Undo `to_dict`.

        Raises:
            UsageError: a part that cannot be meant.
            FormatError: a part is missing or of another type.
        """
        try:
            return cls(
                name=found["name"],
                frontend=Backend.parse(found["frontend"]),
                backends=tuple(map(Backend.parse, found["backends"])),
                protocol=ServiceProtocol(found.get("protocol", "tcp")),
                affinity=int(found.get("affinity", 0)),
                algorithm=Algorithm(found.get("algorithm", "random")),
                id=int(found.get("id", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"This does not describe a service: {error!r}") from error


@dataclass(frozen=True, slots=True)
class ServiceTable:
    """Every service of a node and the ids given out; a new one is made for each change.

    Attributes:
        services: by name.
        backend_ids: id of each backend in use; services with a backend in common share its id.
    """

    services: Mapping[str, Service] = field(default_factory=lambda: MappingProxyType({}))
    backend_ids: Mapping[Backend, int] = field(default_factory=lambda: MappingProxyType({}))

    def with_service(self, service: Service) -> ServiceTable:
        """This table with a service added, or replaced by its name; ids in use stay as they are.

        Raises:
            UsageError: another service has the address, or no id is left.
        """
        for other in self.services.values():
            if other.frontend == service.frontend and other.name != service.name:
                raise UsageError(f"{service.frontend} is service {other.name}'s address already")
        before = self.services.get(service.name)
        # An id names an address to answers under way: another address is another id.
        kept = before.id if before and before.frontend == service.frontend else 0
        used = {one.id for one in self.services.values()}
        number = kept or _free(used, "services")
        named = replace(service, id=number)
        return _table({**self.services, service.name: named}.values(), self.backend_ids)

    def without(self, name: str) -> ServiceTable:
        """This table without a service.

        Raises:
            UsageError: there is none of this name; lists those there are.
        """
        if name not in self.services:
            known = ", ".join(self.services) or "none"
            raise UsageError(f"There is no service {name}", hint=f"Services: {known}")
        left = [one for one in self.services.values() if one.name != name]
        return _table(left, self.backend_ids)

    def picked_by(self, algorithm: Algorithm) -> ServiceTable:
        """This table on a node whose services all pick their backends so."""
        named = {
            name: replace(service, algorithm=algorithm) for name, service in self.services.items()
        }
        return ServiceTable(MappingProxyType(named), self.backend_ids)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` undoes it."""
        return {
            "services": [service.to_dict() for service in self.services.values()],
            "backends": {str(backend): one for backend, one in self.backend_ids.items()},
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> ServiceTable:
        """Undo `to_dict`.

        Raises:
            UsageError, FormatError: see `Service.from_dict`.
        """
        try:
            services = [Service.from_dict(one) for one in found["services"]]
            ids = {Backend.parse(text): int(one) for text, one in found["backends"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"This is no table of services: {error!r}") from error
        return _table(services, ids)


def _table(services: Iterable[Service], ids_before: Mapping[Backend, int]) -> ServiceTable:
    """A table of these services, in which backends known before keep their ids."""
    named = {one.name: one for one in sorted(services, key=lambda one: one.name)}
    wanted = dict.fromkeys(backend for one in named.values() for backend in one.backends)
    ids = {backend: one for backend, one in ids_before.items() if backend in wanted}
    for backend in wanted:
        if backend not in ids:
            # Ids just set free are not given away in the same change.
            ids[backend] = _free({*ids.values(), *ids_before.values()}, "backends")
    return ServiceTable(MappingProxyType(named), MappingProxyType(ids))


def _free(used: set[int], what: str) -> int:
    number = next((one for one in range(1, MAX_ID + 1) if one not in used), 0)
    if not number:
        raise UsageError(f"No id is left for {what}", hint="Delete some")
    return number
