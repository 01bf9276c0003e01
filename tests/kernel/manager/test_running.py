"""Programs that were moved to another map and do not run: hidden by others at their hook."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.kernel import iproute, mapwrite, netns, tc
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import ProgramType, load_program, program_info
from ctconsole.kernel.rtnl import talk
from ctconsole.manager.bpfmap import open_or_create_map, pinned_id
from ctconsole.manager.recreate import plan_recreate, recreate
from ctconsole.manager.resize.journal import Journal
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.run import resize
from ctconsole.manager.restart import RestartReport
from ctconsole.manager.running import ENOUGH, watch
from ctconsole.model.spec import MapSpec, MapType
from tests.support.bpf_insns import TC_ACT_OK, returning, using_map
from tests.support.ct_entries import ct4_rows
from tests.support.hooks import link
from tests.support.namespaces import connected_pair
from tests.support.resized import ProgramOwner, entries_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

    Front = Callable[[Gate, "Node", int], AbstractContextManager[None]]

TC_ACT_UNSPEC = -1
TCX_INGRESS = 46
INGRESS = tc.TcHook.INGRESS

_SENDER = """
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    while True:
        udp.sendto(b"packet", ("10.77.0.1", 9))
        time.sleep(0.005)
"""


class Node(ProgramOwner):
    """An owner whose one program is a filter of an interface."""

    def __init__(self, gate: Gate, pin: Path, left: str, right: str) -> None:
        self.left, self.right = left, right
        self.index = iproute.get("left0", netns=left).index
        tc.ensure_clsact(gate, self.index, netns=left)
        super().__init__(gate, pin, programs=1)

    def load(self) -> int:
        fd = super().load()
        tc.replace_filter(self.gate, self.index, INGRESS, fd, "ours", netns=self.left)
        return fd

    @property
    def map_ids(self) -> tuple[int, ...]:
        return program_info(self.fds[0]).map_ids

    @contextmanager
    def packets(self) -> Iterator[None]:
        """Have packets come to the hook all the time."""
        with netns.popen(self.right, [sys.executable, "-c", _SENDER]) as sender:
            try:
                yield
            finally:
                sender.kill()


class CallingNode(Node):
    """One whose filter uses no map but calls, over another program, one that does."""

    def __init__(self, gate: Gate, pin: Path, left: str, right: str) -> None:
        self._arrays = [
            mapwrite.create(gate, MapSpec("calls", MapType.PROG_ARRAY, 4, 4, 8)) for _ in range(2)
        ]
        super().__init__(gate, pin, left, right)

    def load(self) -> int:
        fd = called = ProgramOwner.load(self)
        for array in self._arrays:
            mapwrite.update(self.gate, array, bytes(4), called.to_bytes(4, sys.byteorder))
            caller = load_program(self.gate, using_map(array.fd), name="caller")
            if called != fd:
                os.close(called)
            called = caller
        tc.replace_filter(self.gate, self.index, INGRESS, called, "ours", netns=self.left)
        os.close(called)
        return fd

    def close(self) -> None:
        super().close()
        for array in self._arrays:
            array.close()


@pytest.fixture(params=[Node, CallingNode], ids=["attached", "called"])
def node(gate: Gate, bpffs: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    path = bpffs / "cilium_ct4_global"
    spec = MapSpec(path.name, MapType.LRU_HASH, 14, 56, 2048)
    with open_or_create_map(gate, path, spec).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(100, lifetime=ktime() + 1000))
    with connected_pair(gate) as (left, right):
        made = request.param(gate, path, left, right)
        yield made
        made.close()


@contextmanager
def newer_filter(gate: Gate, node: Node, verdict: int) -> Iterator[None]:
    """Another filter under our priority, which therefore runs before ours."""
    fd = load_program(gate, returning(verdict), ProgramType.SCHED_CLS, "front")
    talk(
        "RTM_NEWTFILTER",
        "front",
        lambda route: route.tc(
            "add-filter",
            "bpf",
            node.index,
            2,
            fd=fd,
            name="front",
            parent=INGRESS.parent,
            prio=tc.PRIORITY,
            protocol=3,
            direct_action=True,
        ),
        netns=node.left,
    )
    os.close(fd)
    yield


@contextmanager
def tcx(gate: Gate, node: Node, verdict: int) -> Iterator[None]:
    """A tcx program, which runs before every filter."""
    fd = load_program(gate, returning(verdict), ProgramType.SCHED_CLS, "front")
    try:
        with link(gate, fd, TCX_INGRESS, node.index, space=node.left):
            yield
    finally:
        os.close(fd)


FRONTS = pytest.mark.parametrize("front", [newer_filter, tcx])


def test_a_program_that_packets_reach_is_seen_running(gate: Gate, node: Node) -> None:
    with node.packets():
        running = watch(gate, node.map_ids)
    running.check()
    assert running.sentence == "1 of 1 seen running"
    assert running.facts["seen"] == [f"tc ingress of left0 in {node.left}"]


def test_without_packets_nothing_is_claimed(gate: Gate, node: Node) -> None:
    with netns.inside(node.right):
        subprocess.run(["ip", "link", "set", "right0", "down"], check=True)
    running = watch(gate, node.map_ids)
    running.check()
    assert [one.where for one in running.unseen] == [f"tc ingress of left0 in {node.left}"]
    assert running.sentence == (
        "0 of 1 seen running; not seen running, because no packet came that far: "
        f"tc ingress of left0 in {node.left}"
    )


@FRONTS
def test_a_program_behind_one_that_hands_on_runs(gate: Gate, node: Node, front: Front) -> None:
    with front(gate, node, TC_ACT_UNSPEC), node.packets():
        running = watch(gate, node.map_ids)
    running.check()
    assert running.hooks[0].before
    assert running.sentence == "1 of 1 seen running"


@FRONTS
def test_a_resize_whose_program_never_runs_goes_back(
    gate: Gate,
    node: Node,
    tmp_path: Path,
    front: Front,
) -> None:
    before, old = entries_at(node.pin), pinned_id(node.pin)
    with front(gate, node, TC_ACT_OK), node.packets():
        plan = plan_resize({node.pin: MapWish(4096)})
        report = resize(gate, plan, node, Journal(tmp_path / "journal"))
    with pytest.raises(CtconsoleError, match=r"never runs on tc ingress of left0 .* let none of"):
        report.check()
    assert pinned_id(node.pin) == old
    assert node.map_ids == (old,)
    assert entries_at(node.pin) == before
    assert report.running.hooks[0].before_runs >= ENOUGH


@FRONTS
def test_a_recreation_whose_program_never_runs_goes_back(
    gate: Gate, node: Node, front: Front
) -> None:
    before, old = entries_at(node.pin), pinned_id(node.pin)
    with front(gate, node, TC_ACT_OK), node.packets():
        report = recreate(gate, plan_recreate(node.pin, 4096), node)
    with pytest.raises(CtconsoleError, match=r"never runs on .* which is pinned with its entries"):
        report.check()
    assert (report.pinned_id, node.map_ids, report.lost) == (old, (old,), 0)
    assert entries_at(node.pin) == before
    with BpfMap.open(node.pin) as live:
        assert live.info.max_entries == 2048


@FRONTS
@pytest.mark.parametrize("verdict", [TC_ACT_OK, TC_ACT_UNSPEC])
def test_a_restart_tells_whether_the_programs_of_its_new_map_run(
    gate: Gate, node: Node, front: Front, verdict: int
) -> None:
    """It cannot be taken back; what is hidden is a failure, and what runs is told."""
    with front(gate, node, verdict), node.packets():
        running = watch(gate, node.map_ids)
    report = RestartReport(4711, 2.0, {"cilium_ct4_global": 5}, known=True, running=running)
    if verdict == TC_ACT_OK:
        assert report.failure.startswith("The agent is ready again after 2.0 s, process 4711")
        assert "but program" in report.failure
        assert "never runs on" in report.failure
    else:
        assert not report.failure
        assert [row.text for row in report.rows] == ["1 of 1 seen running"]
    assert report.facts["hooks"] == running.facts
