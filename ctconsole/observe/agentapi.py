"""Names from the agent's API, asked for in a thread of their own.

Endpoints, identities and services change slowly and an agent in trouble answers late or not at
all, so whoever samples takes what was read last and never waits.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from ctconsole.errors import AgentError, AgentRefusedError, CtconsoleError
from ctconsole.model.readers import agentjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.model.readers.agentjson import ApiEndpoint, ApiService, Parsed

T = TypeVar("T")

BASE = "/v1"
"""``basePath`` of ``api/v1/openapi.yaml``."""


@dataclass(frozen=True, slots=True)
class ApiSnapshot:
    """Everything that was read in one go.

    Attributes:
        endpoints: local endpoints.
        identities: labels by security identity.
        services: frontends.
        taken_at: seconds since the Unix epoch; 0 before the first answer.
        warnings: one sentence for each question that was not answered well.
    """

    endpoints: tuple[ApiEndpoint, ...] = ()
    identities: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    services: tuple[ApiService, ...] = ()
    taken_at: float = 0.0
    warnings: tuple[str, ...] = ()


def ask(socket: Path, what: str, seconds: float = 2.0) -> Any:  # noqa: ANN401 - JSON is anything
    """The answer to ``GET /v1/<what>`` as JSON.

    Raises:
        AgentError: no agent, no answer in time, not status 200.
        FormatError: the answer is no JSON.
    """
    # Imported late: Python's HTTP brings TLS and mail along, and not every node has an agent.
    from ctconsole.kernel import unixhttp

    url = f"{BASE}/{what}"
    # Without it /healthz would leave out the clock source.
    body = unixhttp.get(socket, url, seconds=seconds, headers={"brief": "false"})
    return agentjson.document(body, f"{socket} {url}")


def read(socket: Path, before: ApiSnapshot | None = None, seconds: float = 2.0) -> ApiSnapshot:
    """Ask for everything once. Never raises for what an agent may answer.

    Args:
        socket: the agent's socket.
        before: what is kept of a list that could not be read now.
        seconds: for each of the three questions.
    """
    kept = before or ApiSnapshot()
    warnings: list[str] = []
    silent = False

    def listed(
        what: str, parse: Callable[[object], Parsed[T]], fallback: tuple[T, ...]
    ) -> tuple[T, ...]:
        nonlocal silent
        try:
            parsed = parse(ask(socket, what, seconds))
        except CtconsoleError as error:
            # Who does not answer the first question is not asked, and waited for, twice more.
            refused = isinstance(error, AgentRefusedError)
            silent = isinstance(error, AgentError) and not refused
            warnings.append(str(error))
            return fallback
        if parsed.damaged:
            warnings.append(f"{socket} {BASE}/{what}: {parsed.damaged} items make no sense")
        return parsed.items

    endpoints = listed("endpoint", agentjson.endpoints, kept.endpoints)
    if silent:
        return replace(kept, warnings=tuple(warnings))
    identities = listed("identity", agentjson.identities, tuple(kept.identities.items()))
    services = listed("service", agentjson.services, kept.services)
    return ApiSnapshot(
        endpoints,
        MappingProxyType(dict(identities)),
        services,
        time.time(),
        tuple(warnings),
    )


def endpoints(socket: Path, seconds: float = 2.0) -> tuple[ApiEndpoint, ...]:
    """The agent's endpoints; none where it does not answer well."""
    try:
        return agentjson.endpoints(ask(socket, "endpoint", seconds)).items
    except CtconsoleError:
        return ()
