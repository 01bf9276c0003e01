"""``ctconsole monitor`` on a running node: the agent hands its records over."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ctconsole.agent import control
from ctconsole.agent.state import StateDir
from ctconsole.history import History
from ctconsole.lab import look, topology
from ctconsole.lab.server import PORT
from ctconsole.model.event import EventKind
from tests.support.flows import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctconsole.lab.folders import Lab

SERVER = topology.PODS[0]


class Follower:
    """The verb, following the lab's agent; its lines as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def ports(self) -> set[int]:
        return {int(line["summary"]["l4"]["src"]) for line in self.lines}

    def ended(self) -> int:
        code = self.process.wait(60)
        self._reader.join()
        return code


@contextmanager
def monitor(lab: Lab, *options: str) -> Iterator[Follower]:
    command = [sys.executable, "-m", "ctconsole", "monitor", "--bpf-root", str(lab.bpf_root)]
    with subprocess.Popen(
        [*command, "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        follower = Follower(process)
        try:
            yield follower
        finally:
            process.kill()
            follower.ended()


def connect_until(lab: Lab, heard: Callable[[], bool]) -> None:
    """Open connections, one after the other, until they were heard of."""
    with ExitStack() as stack:

        def heard_after_one_more() -> bool:
            stack.enter_context(connections(lab, 1))
            return look.until(heard, 0.2)

        assert look.until(heard_after_one_more, 60)


def test_every_new_connection_is_told_of(lab: Lab) -> None:
    with monitor(lab, "--type", "ct") as follower:
        connect_until(lab, lambda: bool(follower.lines))
        with connections(lab, 5) as clients:
            ports = {client.getsockname()[1] for client in clients}
            assert look.until(lambda: follower.ports() >= ports, 30)
        found = [line for line in follower.lines if int(line["summary"]["l4"]["src"]) in ports]
    assert len(found) == len(ports)
    assert {each["summary"]["l4"]["dst"] for each in found} == {str(PORT)}
    assert {(each["state"], each["dstID"]) for each in found} == {("new", SERVER.id)}


def test_two_may_follow_at_once_and_the_timeline_hears_of_it(lab: Lab) -> None:
    with monitor(lab, "-n", "1") as one, monitor(lab, "-n", "1") as other:
        connect_until(lab, lambda: bool(one.lines and other.lines))
        assert (one.ended(), other.ended()) == (0, 0)
        assert [len(one.lines), len(other.lines)] == [1, 1]
    with History(StateDir(lab.state_dir).history) as history:
        kinds = frozenset({EventKind.CONNECTIONS})
        assert history.read(kinds=kinds, debug=True)


def test_it_ends_with_the_agent(lab: Lab) -> None:
    with monitor(lab) as follower:
        connect_until(lab, lambda: bool(follower.lines))
        control.stop(lab.settings)
        assert follower.ended() == 0
