"""Parts, the arrays that join them, and their exchange under traffic."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.datapath import loader, parts
from ctconsole.kernel import mapwrite, netns, tc
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.tc import TcHook
from tests.support.attached import Attached, veth
from tests.support.packets import SYN, tcp
from tests.support.packets6 import tcp6
from tests.support.programs import has_program
from tests.support.wire import EGRESS, INGRESS, POD, Wire, pin_maps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

MISSED = 140
CALLS, POLICY = "cilium_calls_00010", "cilium_call_policy"
PARTS = {
    (POLICY, 10): "handle_policy",
    (CALLS, 7): "handle_ipv4",
    (CALLS, 10): "handle_ipv6",
    (CALLS, 11): "ipv4_policy",
    (CALLS, 12): "ipv6_policy",
}
FRAME, FRAME6 = (
    tcp(("10.5.5.5", 1), ("10.5.5.9", 2), SYN),
    tcp6(("fd00::5", 1), ("fd00::9", 2), SYN),
)


@pytest.fixture
def attached(gate: Gate, bpffs: Path) -> Iterator[Attached]:
    with veth(gate, bpffs) as opened:
        with netns.inside(opened.node):
            loader.attach(gate, opened.endpoint, opened.programs)
        yield opened


def called(root: Path) -> dict[tuple[str, int], str]:
    return {(call.map, call.index): call.prog_name for call in loader.tail_calls(POD, root)}


def test_who_calls_whom_is_read_from_the_arrays(attached: Attached, bpffs: Path) -> None:
    assert called(bpffs) == PARTS
    ids = {call.prog_id for call in loader.tail_calls(POD, bpffs)}
    assert ids == {part.info.id for part in attached.programs.parts}


def test_nothing_is_called_before_programs_are_attached(gate: Gate, bpffs: Path) -> None:
    with loader.load(gate, AgentConfig(), pin_maps(gate, bpffs), POD):
        assert called(bpffs) == {}


def test_a_family_that_is_off_has_no_parts(gate: Gate, bpffs: Path) -> None:
    config = AgentConfig().with_options({"enable-ipv6": "false"})
    with loader.load(gate, config, pin_maps(gate, bpffs), POD) as programs:
        assert {part.function for part in programs.parts} == {
            "handle_policy",
            "tail_handle_ipv4",
            "tail_ipv4_policy",
        }


@pytest.mark.parametrize("index", sorted(parts.CALLS.values()))
def test_a_missed_call_drops_the_packet_and_is_counted(pod: Wire, index: int) -> None:
    assert mapwrite.delete(pod.gate, pod.programs.calls, struct.pack("=I", index))
    frames = [
        (pod.out, 7, FRAME),
        (pod.out, 10, FRAME6),
        (pod.into, 11, FRAME),
        (pod.into, 12, FRAME6),
    ]
    for handle, part, frame in frames:
        assert handle(frame) is (part != index)
    way = EGRESS if index in {7, 10} else INGRESS
    assert pod.metrics()[MISSED, way][0] == 1


def test_an_endpoint_without_a_policy_program_receives_nothing(pod: Wire) -> None:
    with BpfMap.open(pod.maps[POLICY]) as array:
        mapwrite.delete(pod.gate, array, struct.pack("=I", POD.id))
    assert not pod.into(FRAME)
    assert pod.out(FRAME)
    assert pod.metrics()[MISSED, INGRESS][0] == 1


def test_a_new_generation_has_an_array_of_its_own_and_the_old_one_goes(
    attached: Attached, bpffs: Path
) -> None:
    with BpfMap.open(bpffs / CALLS) as live:
        before = live.info.id
    old = [part.info.id for part in attached.programs.parts]
    attached.programs.close()
    attached.renew()
    with BpfMap.open(bpffs / CALLS) as live:
        assert live.info.id != before
    assert called(bpffs) == PARTS
    assert not {call.prog_id for call in loader.tail_calls(POD, bpffs)} & set(old)
    until = time.monotonic() + 10
    while any(has_program(number) for number in old):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_exchange_that_was_broken_off_is_finished_by_the_next(
    attached: Attached, bpffs: Path
) -> None:
    # Killed between the two hooks: what the pod sends meets new programs and a pending array.
    with (
        netns.inside(attached.node),
        loader.load(attached.gate, AgentConfig(), attached.maps, attached.endpoint) as half_done,
    ):
        parts.pin_pending(attached.gate, half_done.calls, half_done.calls_pin)
        out = half_done.on(TcHook.INGRESS)
        name = loader.filter_name(out.hook)
        tc.replace_filter(attached.gate, attached.endpoint.ifindex, out.hook, out.fd, name)
    parts.pin_pending(attached.gate, attached.programs.calls, bpffs / CALLS)
    with BpfMap.open(bpffs / f"{CALLS}:stale") as live:
        assert live.lookup(struct.pack("=I", 7)) is not None
    attached.renew()
    assert called(bpffs) == PARTS
    assert {path.name for path in bpffs.glob(f"{CALLS}*")} == {CALLS}


def test_detaching_takes_the_endpoint_out_of_the_arrays(attached: Attached, bpffs: Path) -> None:
    with netns.inside(attached.node):
        assert len(loader.detach(attached.gate, attached.endpoint, bpffs)) == 2
    assert called(bpffs) == {}
    assert not (bpffs / CALLS).exists()
