"""What an agent answers, by verb: checked once, where the answer comes in.

The classes are the description of the shapes: the type checker reads them, and so does `check`.
More fields than these are no fault.
"""

from __future__ import annotations

from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypedDict, get_args, get_origin, get_type_hints, is_typeddict

if TYPE_CHECKING:
    from collections.abc import Mapping


class Collected(TypedDict):
    """A GC pass in numbers; duration in seconds, entries evicted None where not known."""

    alive: int
    deleted: int
    revived: int
    duration: float
    evicted_estimate: int | None


class GcStatus(TypedDict):
    """The last GC pass, None where there was none yet; times in seconds."""

    interval: float
    time: float | None
    alive: int | None
    deleted: int | None
    evicted_total: int
    records_lost: int | None


class LoopStatus(TypedDict):
    """How one of its threads is doing (see `ctconsole.loops.LoopState`)."""

    name: str
    running: bool
    failures: int
    error: str
    since: float


class StatusAnswer(TypedDict):
    """What an agent says of itself (see `control.AgentStatus`)."""

    pid: int
    started: float
    ready: bool
    config: dict[str, str]
    endpoints: list[int]
    maps: dict[str, int]
    gc: GcStatus
    loops: list[LoopStatus]


class SwitchState(TypedDict):
    """How far a switch is (see `ctconsole.agent.jobs.Job.answer`)."""

    id: str
    state: str
    done: int
    of: int
    now: str
    age: float
    error: str


class ServiceAnswer(TypedDict):
    """A service (see `ctconsole.model.plane.service.Service`)."""

    name: str
    id: int
    frontend: str
    protocol: str
    backends: list[str]
    affinity: int
    algorithm: str


class Enforced(TypedDict):
    """Whether policy closes an endpoint."""

    id: int
    name: str
    ingress: bool
    egress: bool


class EndpointRow(TypedDict):
    """An endpoint whose programs are loaded; an address is empty where it has none."""

    id: int
    name: str
    interface: str
    ipv4: str
    ipv6: str
    identity: int
    labels: list[str]
    enforce_ingress: bool
    enforce_egress: bool


class MadeService(TypedDict):
    """The service as it was made."""

    service: ServiceAnswer


class Services(TypedDict):
    """All services."""

    services: list[ServiceAnswer]


class Policy(TypedDict):
    """All rules, and what they close."""

    rules: list[str]
    endpoints: list[Enforced]


class Endpoints(TypedDict):
    """All endpoints."""

    endpoints: list[EndpointRow]


class Nothing(TypedDict):
    """That it was done is all there is to say."""


ANSWERS: Mapping[str, type] = {
    "status": StatusAnswer,
    "gc": Collected,
    "stop": Nothing,
    "switch-begin": SwitchState,
    "switch-progress": SwitchState,
    "switch-cancel": SwitchState,
    "service-list": Services,
    "service-add": MadeService,
    "service-delete": Nothing,
    "policy-list": Policy,
    "policy-add": Policy,
    "policy-import": Policy,
    "policy-delete": Policy,
    "endpoint-list": Endpoints,
    "endpoint-add": Endpoints,
    "endpoint-delete": Nothing,
}
"""The shape of each verb's answer."""


def check(verb: str, answer: Mapping[str, object]) -> str:
    """Hold an answer against the shape of its verb.

    Returns:
        What is wrong with it, for a sentence; empty where nothing is.
    """
    return _fault(answer, ANSWERS[verb], "") if verb in ANSWERS else ""


_hints = cache(get_type_hints)


def _fault(value: object, shape: Any, where: str) -> str:  # noqa: ANN401 - any type annotation
    """What keeps ``value`` from being of this type; names the place."""
    if is_typeddict(shape):
        return _fields_fault(value, shape, where)
    if isinstance(shape, UnionType):
        faults = [_fault(value, one, where) for one in get_args(shape)]
        return "" if "" in faults else faults[0]
    origin, arguments = get_origin(shape), get_args(shape)
    if origin is list and isinstance(value, list):
        rows = (_fault(one, arguments[0], f"{where}[{n}]") for n, one in enumerate(value))
        return next(filter(None, rows), "")
    if origin is dict and isinstance(value, dict):
        rows = (_fault(one, arguments[1], f"{where}.{name}") for name, one in value.items())
        return next(filter(None, rows), "")
    wanted: tuple[type, ...] = (int, float) if shape is float else (origin or shape,)
    # A truth value is an int to Python, and none to us.
    fits = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
    name = "null" if wanted == (NoneType,) else wanted[-1].__name__
    return "" if fits else f"{where.removeprefix('.')} is no {name}"


def _fields_fault(value: object, shape: type, where: str) -> str:
    if not isinstance(value, dict):
        return f"{where.removeprefix('.')} is no object"
    for name, kind in _hints(shape).items():
        if name not in value:
            return f"{f'{where}.{name}'.removeprefix('.')} is missing"
        if fault := _fault(value[name], kind, f"{where}.{name}"):
            return fault
    return ""
