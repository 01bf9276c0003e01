"""What an agent was told about services survives whatever happens to its maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.agent import control, wire
from ctconsole.agent.state import StateDir
from ctconsole.errors import AgentError
from ctconsole.history import History
from ctconsole.kernel import pins
from ctconsole.manager.rows import read_rows, store_rows
from ctconsole.manager.services import read_services
from ctconsole.model.event import EventKind
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from ctconsole.agent.control import AgentSettings
    from ctconsole.kernel.gate import Gate

WEB = {"name": "web", "frontend": "10.96.0.10:80", "backends": ["10.5.5.5:80", "10.5.5.6:80"]}


def ask(settings: AgentSettings, verb: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return dict(wire.request(StateDir(settings.state_dir).socket, verb, **fields))


def found(settings: AgentSettings) -> list[tuple[int, str, list[str]]]:
    return [
        (one.id, str(one.frontend), [str(address) for _, address in one.backends])
        for one in read_services(settings.bpf_root)
    ]


EXPECTED = [(1, "10.96.0.10:80", ["10.5.5.5:80", "10.5.5.6:80"])]


@pytest.fixture
def told(settings: AgentSettings) -> AgentSettings:
    """An agent that was told of one service."""
    control.start(settings)
    made = ask(settings, "service-add", service=WEB)["service"]
    assert (made["id"], made["algorithm"]) == (1, "random")
    assert found(settings) == EXPECTED
    return settings


def test_maps_made_anew_are_filled_again(told: AgentSettings, gate: Gate) -> None:
    control.stop(told)
    for name in ("services_v2", "backends", "reverse_nat"):
        pins.unpin(gate, told.bpf_root / GLOBALS / f"cilium_lb4_{name}")
    control.start(told)
    assert found(told) == EXPECTED


def test_rows_nobody_told_of_go_at_the_next_start(told: AgentSettings, gate: Gate) -> None:
    path = told.bpf_root / GLOBALS / "cilium_lb4_services_v2"
    control.stop(told)
    wanted = read_rows(path)
    (key, value), *_ = wanted.items()
    store_rows(gate, path, {bytes(4) + key[4:]: value})
    control.start(told)
    assert read_rows(path) == wanted


def test_a_deleted_service_stays_deleted(told: AgentSettings) -> None:
    ask(told, "service-delete", name="web")
    control.restart(told)
    assert found(told) == []
    with History(StateDir(told.state_dir).history, create=False) as history:
        kinds = [event.kind for _, event in history.read()]
    assert kinds.index(EventKind.SERVICE_CHANGED) < kinds.index(EventKind.SERVICE_REMOVED)


def test_a_damaged_file_stops_the_start_and_is_named(told: AgentSettings) -> None:
    control.stop(told)
    StateDir(told.state_dir).services.write_text('{"services": [')
    with pytest.raises(AgentError, match=r"services\.json cannot be restored.*Remove the file"):
        control.start(told)


@pytest.mark.parametrize(
    ("verb", "fields", "reason"),
    [
        ("service-add", {"service": {"name": "web"}}, "does not describe a service"),
        ("service-add", {}, "service-add is damaged"),
        ("service-add", {"service": {**WEB, "name": "api"}}, "service web's address already"),
        ("service-add", {"service": {**WEB, "affinity": 60}}, "enable-session-affinity=true"),
        ("policy-add", {"rules": ["ghost ingress none"]}, "There is no endpoint ghost"),
        ("endpoint-add", {"id": 7}, "There is no endpoint 7"),
        ("endpoint-delete", {"id": 7}, "There is no endpoint 7"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    told: AgentSettings, verb: str, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AgentError, match=reason):
        ask(told, verb, **fields)
    assert found(told) == EXPECTED
