"""Moving programs to a re-created map, while one of the two processes does not live to see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control, ticket
from ctconsole.agent.state import StateDir, save_endpoint
from ctconsole.config import write_option
from ctconsole.errors import AgentError, BusyError
from ctconsole.history import History
from ctconsole.kernel import iproute
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.manager.changing import changing
from ctconsole.manager.recreate import plan_recreate
from ctconsole.manager.users import users
from ctconsole.model.event import EventKind
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.node.acts import recreate_map
from ctconsole.node.flushing import flush, plan_flush
from ctconsole.paths import GLOBALS
from tests.support.namespaces import connected_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctconsole.agent.control import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.recreate import RecreateReport

OPTION = "bpf-ct-global-tcp-max"
DELAY = "endpoint-regeneration-delay"


def pin(settings: AgentSettings) -> Path:
    return settings.bpf_root / GLOBALS / "cilium_ct4_global"


def option(settings: AgentSettings) -> str:
    assert settings.config_dir
    return (settings.config_dir / OPTION).read_text().strip()


def events(settings: AgentSettings, kind: EventKind) -> list[str]:
    with History(StateDir(settings.state_dir).history) as history:
        return [event.message for _, event in history.read(kinds=frozenset({kind}))]


@pytest.fixture
def running(settings: AgentSettings, gate: Gate) -> Iterator[AgentSettings]:
    """An agent with an endpoint at each end of a wire, which waits an hour between the two."""
    with connected_pair(gate) as (node, _):
        for number, name in ((10, "left0"), (11, "lo")):
            link = iproute.get(name, netns=node)
            mac = "02:00:00:00:00:01"
            save_endpoint(
                settings.state_dir,
                Endpoint(number, f"pod{number}", name, link.index, mac, mac, f"10.77.0.{number}"),
            )
        made = replace(settings, netns=node)
        control.start(made)
        assert made.config_dir
        write_option(made.config_dir, DELAY, "1h")
        yield made
        control.stop(made)


def meanwhile(settings: AgentSettings, gate: Gate, happens: Callable[[], None]) -> RecreateReport:
    """Re-create the table; as soon as the first endpoint has moved, something happens."""
    plan = plan_recreate(pin(settings), 4096)

    def watch() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if len(users(plan.info.id)) == len(plan.users) // 2:
                return happens()
            time.sleep(0.05)
        return None

    thread = threading.Thread(target=watch)
    thread.start()
    report = recreate_map(gate, plan, settings, settings.state_dir)
    thread.join()
    return report


def half_moved(settings: AgentSettings, report: RecreateReport) -> None:
    """Half of the programs use either map, the new one is pinned, and that is what is said."""
    new, old = len(users(report.new_id)), len(users(report.old_id))
    assert new == old > 0
    assert pinned_id(pin(settings)) == report.new_id == report.pinned_id
    assert f"{new} programs use the new map" in report.failure
    assert len(report.old_users) == old
    assert option(settings) == "4096"
    assert events(settings, EventKind.WARNING)[-1] == report.failure
    assert "Re-created BPF map" in events(settings, EventKind.MAP_RECREATED)


def test_an_agent_killed_in_the_middle_leaves_what_the_report_says(
    running: AgentSettings, gate: Gate
) -> None:
    pid = control.status(running).pid
    assert pid
    report = meanwhile(running, gate, lambda: os.kill(pid, signal.SIGKILL))
    assert "the agent ended while it moved the programs" in report.failure
    half_moved(running, report)


def test_a_socket_lost_in_the_middle_leaves_what_the_report_says(
    running: AgentSettings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        # Only now: before it, silence is how long a busy machine needs for an endpoint.
        monkeypatch.setattr(ticket, "SILENCE", 5.0)
        StateDir(running.state_dir).socket.unlink()

    report = meanwhile(running, gate, lost)
    assert "has been silent" in report.failure
    assert "is not known" in report.failure
    half_moved(running, report)


def test_the_wait_between_two_endpoints_is_no_silence(
    running: AgentSettings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.config_dir
    write_option(running.config_dir, DELAY, "10s")
    monkeypatch.setattr(ticket, "SILENCE", 8.0)
    report = recreate_map(gate, plan_recreate(pin(running), 4096), running, running.state_dir)
    report.check()
    assert report.seconds > 10
    assert report.old_users == ()


@pytest.mark.parametrize("moment", ["first", "middle"])
def test_ctrl_c_keeps_option_and_map_together(running: AgentSettings, moment: str) -> None:
    before = pinned_id(pin(running))
    every = len(users(before))

    def come() -> bool:
        """Whether the first program is being loaded, or the first endpoint has moved."""
        if moment == "middle":
            return len(users(before)) == every // 2
        return pinned_id(pin(running)) != before and bool(users(pinned_id(pin(running))))

    command = [
        *(sys.executable, "-m", "ctconsole", "map", "recreate", str(pin(running))),
        *("--entries", "4096", "--yes", "--bpf-root", str(running.bpf_root)),
        *("--state-dir", str(running.state_dir), "--allow-writes"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        end = time.monotonic() + 60
        while not come():
            assert time.monotonic() < end
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "it was interrupted" in said
    assert "it was interrupted" in events(running, EventKind.WARNING)[-1]
    now = pinned_id(pin(running))
    if moment == "middle":
        assert now != before
        assert len(users(now)) == len(users(before)) == every // 2
    assert ("is pinned again with its entries" in said) == (now == before)
    assert option(running) == ("2048" if now == before else "4096")
    assert running.config_dir
    write_option(running.config_dir, DELAY, "0")
    assert control.restart(running).maps["cilium_ct4_global"] == now


def test_an_agent_that_stops_answers_nothing_more_after_its_end(
    running: AgentSettings, gate: Gate
) -> None:
    def stop() -> None:
        control.stop(running)

    report = meanwhile(running, gate, stop)
    assert "told to stop" in report.failure or "the agent ended" in report.failure
    half_moved(running, report)


def test_maps_are_changed_by_one_at_a_time(settings: AgentSettings, gate: Gate) -> None:
    control.start(settings)
    plan = plan_recreate(pin(settings), 4096)
    with changing(settings.bpf_root, "resizes cilium_ct4_global"):
        busy = f"process {os.getpid()} resizes cilium_ct4_global. Try again"
        deeds: tuple[Callable[[], object], ...] = (
            lambda: recreate_map(gate, plan, settings, settings.state_dir),
            lambda: control.restart(settings),
            lambda: flush(gate, plan_flush(pin(settings))),
        )
        for change in deeds:
            with pytest.raises(BusyError, match=busy):
                change()
        assert control.status(settings).ready
    recreate_map(gate, plan, settings, settings.state_dir).check()
    control.restart(settings)


def test_a_start_holds_the_lock_until_it_is_ready(running: AgentSettings, gate: Gate) -> None:
    control.stop(running)
    starting = threading.Thread(target=lambda: _starting(running))
    starting.start()
    end = time.monotonic() + 60
    while not (pid := control.status(running).pid):
        assert time.monotonic() < end
        time.sleep(0.02)
    while not StateDir(running.state_dir).socket.exists():
        time.sleep(0.02)
    plan = plan_recreate(pin(running), 4096)
    with pytest.raises(BusyError, match=f"process {pid} starts an agent"):
        recreate_map(gate, plan, running, running.state_dir)
    control.stop(running)
    starting.join()


def _starting(settings: AgentSettings) -> None:
    with pytest.raises(AgentError, match="did not start: The agent was told to stop"):
        control.start(settings)
