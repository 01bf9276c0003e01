"""Names from the agent's API, asked for in a thread of their own.

Endpoints, identities and services change slowly and an agent in trouble answers late or not at
all, so whoever samples takes what was read last and never waits.
"""

from __future__ import annotations

import threading
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


class AgentApi:
    """Keeps an `ApiSnapshot` fresh in the background.

    Args:
        socket: finds the agent's socket each time, None while there is none.
        interval: seconds between two readings.
        seconds: patience for one answer.
        warn: told a sentence when it is new; called in the reader's thread.
    """

    def __init__(
        self,
        socket: Callable[[], Path | None],
        *,
        interval: float = 10.0,
        seconds: float = 2.0,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._socket = socket
        self._interval = interval
        self._seconds = seconds
        self._warn = warn
        self._latest = ApiSnapshot()
        self._warned: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._read = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent-api", daemon=True)

    @property
    def latest(self) -> ApiSnapshot:
        """What was read last; answers at once."""
        return self._latest

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the first reading; False where it has not ended in time."""
        return self._read.wait(seconds)

    def stop(self) -> None:
        """End; a question under way ends by its own patience."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=4 * self._seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                socket = self._socket()
                if socket is None:
                    raise AgentError("No agent socket was found")
                self._latest = read(socket, self._latest, self._seconds)
                warnings = self._latest.warnings
            except CtconsoleError as error:
                warnings = (str(error),)
            for text in warnings:
                if text not in self._warned:
                    self._warn(text)
            self._warned = frozenset(warnings)
            self._read.set()
            self._stop.wait(self._interval)
