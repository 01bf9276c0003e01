"""What a Cilium agent answers over its API, read tolerantly into plain values.

Shapes are those of ``api/v1/openapi.yaml`` (Cilium 1.9 to 1.18): ``/healthz`` (StatusResponse),
``/config`` (DaemonConfiguration), ``/endpoint``, ``/identity`` and ``/service``. An item that is
not what it should be is left out and counted, so that one of them never hides the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ctconsole.errors import FormatError
from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.ct.knowledge import PolicyFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_VERSION = re.compile(r"(?:^|[\s v(])([0-9]{1,3}\.[0-9]{1,4}(?:\.[0-9]{1,4})?(?:-[0-9A-Za-z.]+)?)")
_MOST_HERTZ = 100_000

CONFIG_NAMES = {
    "CTMapEntriesGlobalTCP": "bpf-ct-global-tcp-max",
    "CTMapEntriesGlobalAny": "bpf-ct-global-any-max",
    "NATMapEntriesGlobal": "bpf-nat-global-max",
    "NeighMapEntriesGlobal": "bpf-neigh-global-max",
    "PolicyMapEntries": "bpf-policy-map-max",
    "PolicyMapMaxEntries": "bpf-policy-map-max",
    "FragmentsMapEntries": "bpf-fragments-map-max",
    "EnableIPv4": "enable-ipv4",
    "EnableIPv6": "enable-ipv6",
    "EnableNodePort": "enable-node-port",
    "PreAllocateMaps": "preallocate-bpf-maps",
    "BPFConntrackAccounting": "bpf-conntrack-accounting",
    "ConntrackGCInterval": "conntrack-gc-interval",
    "ConntrackGCMaxInterval": "conntrack-gc-max-interval",
    "CTMapEntriesTimeoutTCP": "bpf-ct-timeout-regular-tcp",
    "CTMapEntriesTimeoutAny": "bpf-ct-timeout-regular-any",
    "CTMapEntriesTimeoutSYN": "bpf-ct-timeout-regular-tcp-syn",
    "CTMapEntriesTimeoutFIN": "bpf-ct-timeout-regular-tcp-fin",
    "CTMapEntriesTimeoutSVCTCP": "bpf-ct-timeout-service-tcp",
    "CTMapEntriesTimeoutSVCTCPGrace": "bpf-ct-timeout-service-tcp-grace",
    "CTMapEntriesTimeoutSVCAny": "bpf-ct-timeout-service-any",
    "EnableBPFClockProbe": "enable-bpf-clock-probe",
    "NodePortAlg": "bpf-lb-algorithm",
    "NodePortMode": "bpf-lb-mode",
    "BPFRoot": "bpf-root",
}
"""Flags by the Go field that holds them (``DaemonConfig`` of ``pkg/option/config.go``).

After 1.18 the sizes of the conntrack and NAT tables are no more in it (``BPFMapsSizeConfig``).
"""

_DURATION = re.compile(r"ConntrackGC|CTMapEntriesTimeout")
_NANOSECONDS = 1e9
MOST_MEMORY = 160 << 20
"""Bytes that the values of one document may take: ten thousand endpoints take some 100 MB."""


@dataclass(frozen=True, slots=True)
class ApiEndpoint:
    """One local endpoint.

    Attributes:
        id: endpoint id.
        name: ``namespace/pod``, else the container's name, else empty.
        addresses: IPv4 and IPv6 addresses as text.
        identity: security identity, 0 where it has none yet.
        labels: security labels, e.g. ``k8s:app=web``.
        state: ``ready``, ``regenerating``, ...
        ifindex: of its host-side interface, 0 where not told.
        policy: where policy is enforced on it: ``none``, ``ingress``, ``egress`` or ``both``,
            with ``audit-`` in front where what policy denies passes all the same; empty where
            not told (``EndpointPolicyEnabled``).
    """

    id: int
    name: str
    addresses: tuple[str, ...]
    identity: int
    labels: tuple[str, ...]
    state: str
    ifindex: int = 0
    policy: str = ""


@dataclass(frozen=True, slots=True)
class ApiService:
    """One service frontend.

    Attributes:
        id: its reverse NAT id, host order.
        name: ``namespace/name``, empty where the agent does not know it.
        ip: frontend address.
        port: frontend port, host order.
        protocol: ``TCP``, ``UDP``, ...; ``ANY`` before protocols were told apart.
        kind: ``ClusterIP``, ``NodePort``, ...
        backends: ``address:port`` of each.
    """

    id: int
    name: str
    ip: str
    port: int
    protocol: str
    kind: str
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DebugInfo:
    """What ``/debuginfo`` tells of a node, which bugtool keeps as a file.

    Attributes:
        version: the agent's, None where it is not told.
        clock: what CT lifetimes count, None where it is not told.
        endpoints: local endpoints.
        services: frontends; none from releases that list them elsewhere.
        ratio: the share of the memory that its tables' sizes follow, 0 where they do not; None
            where it is not told.
    """

    version: str | None = None
    clock: ClockSource | None = None
    endpoints: tuple[ApiEndpoint, ...] = ()
    services: tuple[ApiService, ...] = ()
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """Items of a list, and how many were left out because they are not what they should be."""

    items: tuple[T, ...]
    damaged: int = 0


def document(body: bytes, where: str) -> Any:  # noqa: ANN401 - JSON is anything until looked at
    """A body as JSON.

    Raises:
        FormatError: it is none; names ``where`` and the offset. Or it would take too much memory.
    """
    cost = memory_of(body)
    if cost > MOST_MEMORY:
        raise FormatError(
            f"{where} is not read: its {len(body)} bytes may take {cost >> 20} MiB of memory"
        )
    try:
        return json.loads(body)
    except UnicodeDecodeError as error:
        raise FormatError(f"{where} is no UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise FormatError(f"{where} is no JSON at offset {error.pos}: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise FormatError(f"{where} is no JSON that can be read: {error}") from error


def memory_of(body: bytes) -> int:
    """Bytes that a document takes at most once it is read, the text among them.

    Counted before it is read: one byte of text may be an object of 64, and text with one
    character beyond the others takes four bytes for each.
    """
    wide = 1 if body.isascii() else 4
    objects = 64 * body.count(b"{") + 120 * body.count(b":") + 64 * body.count(b"[")
    return wide * len(body) + objects + 40 * body.count(b",")


def version(health: object) -> str | None:
    """The agent's version out of ``/healthz``: the ``msg`` of ``cilium``, ``1.9.5 (v1.9.5-..)``."""
    text = _text(_at(health, "cilium", "msg"))
    return version_in(text) if text else None


def version_in(text: str) -> str | None:
    """The first version number in a text, e.g. ``1.18.0-dev``; None where there is none."""
    found = _VERSION.search(text)
    return found[1] if found else None


def clock_source(health: object) -> ClockSource | None:
    """``clock-source`` of ``/healthz``, None where it is missing or makes no sense."""
    mode = _text(_at(health, "clock-source", "mode"))
    hertz = _number(_at(health, "clock-source", "hertz"))
    return _clock(mode, hertz)


def size_ratio(health: object) -> float | None:
    """``dynamic-size-ratio`` of ``/healthz``; 0 where sizes do not follow the memory.

    An agent leaves out what is 0. None where maps are not told of, or it makes no sense.
    """
    maps = _at(health, "bpf-maps")
    if not isinstance(maps, Mapping):
        return None
    ratio = maps.get("dynamic-size-ratio", 0.0)
    sound = isinstance(ratio, int | float) and not isinstance(ratio, bool) and 0 <= ratio <= 1
    return float(ratio) if sound else None


def runtime_clock(config: object) -> ClockSource | None:
    """``ClockSource`` (0 ktime, 1 jiffies) and ``KernelHz`` of a ``DaemonConfig``."""
    stored = _at(config, "ClockSource")
    mode = {0: "ktime", 1: "jiffies"}.get(stored) if type(stored) is int else None
    return _clock(mode or "", _number(_at(config, "KernelHz")))


def _clock(mode: str, hertz: int) -> ClockSource | None:
    hertz = hertz if 0 <= hertz <= _MOST_HERTZ else 0
    if mode == "ktime" or (mode == "jiffies" and hertz):
        return ClockSource(mode, hertz)
    return None


def daemon_config(config: object) -> Mapping[str, Any]:
    """The ``DaemonConfig`` inside ``/config``: ``status.daemonConfigurationMap``."""
    found = _at(config, "status", "daemonConfigurationMap")
    return found if isinstance(found, Mapping) else {}


def flags(config: object) -> dict[str, str]:
    """Flags by kebab-case name out of a ``DaemonConfig``; those of `CONFIG_NAMES` only."""
    if not isinstance(config, Mapping):
        return {}
    found = {}
    for field, flag in CONFIG_NAMES.items():
        value = config.get(field)
        if isinstance(value, bool):
            found[flag] = "true" if value else "false"
        elif isinstance(value, int) and _DURATION.match(field):
            found[flag] = f"{value / _NANOSECONDS:g}s"
        elif isinstance(value, str | int):
            found[flag] = str(value)
    return found


def endpoints(answer: object) -> Parsed[ApiEndpoint]:
    """The list of ``/endpoint``."""
    return _each(answer, _endpoint)


def policy_facts(found: Iterable[ApiEndpoint]) -> PolicyFacts:
    """Which endpoints let everything through."""
    open_ingress: set[bytes] = set()
    open_egress: set[bytes] = set()
    for one in found:
        addresses = {raw for text in one.addresses if (raw := _packed(text))}
        if one.policy in {"none", "egress"} or one.policy.startswith("audit-"):
            open_ingress |= addresses
        if one.policy in {"none", "ingress"} or one.policy.startswith("audit-"):
            open_egress |= addresses
    return PolicyFacts(frozenset(open_ingress), frozenset(open_egress))


def _packed(address: str) -> bytes:
    """Its bytes; none for what is no address."""
    try:
        return ip_address(address).packed
    except ValueError:
        return b""


def identities(answer: object) -> Parsed[tuple[int, tuple[str, ...]]]:
    """The list of ``/identity``: numbers and labels."""
    return _each(answer, _identity)


def services(answer: object) -> Parsed[ApiService]:
    """The list of ``/service``."""
    return _each(answer, _service)


def debuginfo(answer: object) -> DebugInfo:
    """``DebugInfo`` as ``/debuginfo`` answers it; what makes no sense is left out."""
    status = _at(answer, "cilium-status")
    return DebugInfo(
        version=version_in(_text(_at(answer, "cilium-version"))) or version(status),
        clock=clock_source(status),
        endpoints=endpoints(_at(answer, "endpoint-list")).items,
        services=services(_at(answer, "service-list")).items,
        ratio=size_ratio(status),
    )


def _endpoint(item: object) -> ApiEndpoint | None:
    number = _at(item, "id")
    if type(number) is not int:
        return None
    outside = _at(item, "status", "external-identifiers")
    namespace = _text(_at(outside, "k8s-namespace"))
    pod = _text(_at(outside, "k8s-pod-name"))
    # Endpoints without a pod have "/" there: neither a namespace nor a name.
    joined = _text(_at(outside, "pod-name"))
    name = f"{namespace}/{pod}" if namespace and pod else joined.strip("/") and joined
    addressing = _at(item, "status", "networking", "addressing")
    return ApiEndpoint(
        id=number,
        name=name or _text(_at(outside, "container-name")),
        addresses=tuple(
            address
            for pair in _items(addressing)
            for family in ("ipv4", "ipv6")
            if (address := _text(_at(pair, family)))
        ),
        identity=_number(_at(item, "status", "identity", "id")),
        labels=_labels(_at(item, "status", "identity", "labels")),
        state=_text(_at(item, "status", "state")),
        ifindex=_number(_at(item, "status", "networking", "interface-index")),
        policy=_text(_at(item, "status", "policy", "realized", "policy-enabled")),
    )


def _identity(item: object) -> tuple[int, tuple[str, ...]] | None:
    number = _at(item, "id")
    return (number, _labels(_at(item, "labels"))) if type(number) is int else None


def _service(item: object) -> ApiService | None:
    # The realized service is what the datapath has; the spec is what was asked for.
    realized = _at(item, "status", "realized")
    spec = realized if isinstance(realized, Mapping) else _at(item, "spec")
    ip, port = _text(_at(spec, "frontend-address", "ip")), _at(spec, "frontend-address", "port")
    number = _at(spec, "id")
    if type(number) is not int or not ip:
        return None
    namespace, name = _text(_at(spec, "flags", "namespace")), _text(_at(spec, "flags", "name"))
    return ApiService(
        id=number,
        name=f"{namespace}/{name}" if namespace and name else name,
        ip=ip,
        port=_number(port),
        protocol=_text(_at(spec, "frontend-address", "protocol")).upper() or "ANY",
        kind=_text(_at(spec, "flags", "type")),
        backends=tuple(
            _end(_text(_at(backend, "ip")), _number(_at(backend, "port")))
            for backend in _items(_at(spec, "backend-addresses"))
            if _text(_at(backend, "ip"))
        ),
    )


def _end(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _each(answer: object, read: Callable[[object], T | None]) -> Parsed[T]:
    if answer is None:
        return Parsed(())  # an empty list is ``null`` where Go has a nil slice
    if not isinstance(answer, list):
        return Parsed((), 1)
    found = [read(item) for item in answer]
    items = tuple(item for item in found if item is not None)
    return Parsed(items, len(found) - len(items))


def _at(value: object, *path: str) -> Any:  # noqa: ANN401 - JSON is anything until looked at
    """What stands at a path of names, None where it does not lead anywhere."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if type(value) is int else 0


def _labels(value: object) -> tuple[str, ...]:
    return tuple(label for label in _items(value) if isinstance(label, str))
