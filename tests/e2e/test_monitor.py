"""``ctconsole monitor`` on a running node: the agent hands its records over."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ctconsole.agent import control
from ctconsole.agent.state import StateDir
from ctconsole.history import History
from ctconsole.lab import topology
from ctconsole.lab.server import PORT
from ctconsole.model.event import EventKind
from tests.support.flows import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.lifecycle import Lab

SERVER = topology.PODS[0]


@contextmanager
def monitor(lab: Lab, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The verb, following the lab's agent."""
    command = [sys.executable, "-m", "ctconsole", "monitor", "--bpf-root", str(lab.bpf_root)]
    process = subprocess.Popen(
        [*command, "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        time.sleep(1.5)
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    text, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in text.splitlines()]


def test_every_new_connection_is_told_of(lab: Lab) -> None:
    with monitor(lab, "--type", "ct", "-n", "5") as process, connections(lab, 5) as clients:
        ports = {client.getsockname()[1] for client in clients}
        found = told(process)
    assert {int(each["summary"]["l4"]["src"]) for each in found} == ports
    assert {each["summary"]["l4"]["dst"] for each in found} == {str(PORT)}
    assert {(each["state"], each["dstID"]) for each in found} == {("new", SERVER.id)}


def test_two_may_follow_at_once_and_the_timeline_hears_of_it(lab: Lab) -> None:
    with monitor(lab, "-n", "1") as one, monitor(lab, "-n", "1") as other, connections(lab, 1):
        assert [len(told(one)), len(told(other))] == [1, 1]
    with History(StateDir(lab.state_dir).history) as history:
        kinds = frozenset({EventKind.CONNECTIONS})
        assert history.read(kinds=kinds, debug=True)


def test_it_ends_with_the_agent(lab: Lab) -> None:
    with monitor(lab) as process:
        settings = StateDir(lab.state_dir).load_settings()
        assert settings is not None
        control.stop(settings)
        assert told(process) == []
