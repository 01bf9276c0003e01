"""What the programs tell of packets, in the records of Cilium's monitor."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.kernel.perf import PerfReader
from ctconsole.model.packets.monitor import Notify, Point, Signal, TraceState, notices, signals
from ctconsole.model.packets.monitor_text import summary
from tests.support.packets import ACK, FIN, PSH, SYN, ethernet, tcp
from tests.support.wire import POD, hash_tables, wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.packets.monitor import Notice
    from tests.support.wire import Wire

A, B = ("10.5.224.91", 51000), ("10.5.5.5", 80)
WORLD = 2


@contextmanager
def heard(pod: Wire) -> Iterator[list[Notice]]:
    """What the programs tell in between."""
    told: list[Notice] = []
    with PerfReader(pod.gate, pod.maps["cilium_events"], pages=64) as reader:
        yield told
        told += notices(reader.read())
        assert reader.lost == 0


def test_a_connection_is_told_of_when_something_happens_to_it(pod: Wire) -> None:
    with heard(pod) as told:
        pod.into(tcp(A, B, SYN))
        pod.out(tcp(B, A, SYN | ACK))
        for _ in range(10):
            pod.into(tcp(A, B, ACK | PSH, b"data"))
            pod.out(tcp(B, A, ACK))
        pod.into(tcp(A, B, FIN | ACK))
    assert [(each.subtype, each.state) for each in told] == [
        (Point.TO_LXC, TraceState.NEW),
        (Point.TO_STACK, TraceState.REPLY),
        (Point.TO_LXC, TraceState.ESTABLISHED),
    ]
    assert {each.type for each in told} == {Notify.TRACE}
    first = told[0]
    assert (first.source, first.dst_id, first.dst_label) == (POD.id, POD.id, POD.identity)
    assert first.src_label == WORLD
    assert str(summary(first.packet)).endswith("10.5.5.5:80 tcp SYN")
    assert told[1].src_label == POD.identity


def test_without_aggregation_every_packet_is_told_of_where_it_comes_and_goes(
    gate: Gate, bpffs: Path
) -> None:
    with wire(gate, bpffs, config=AgentConfig(monitor_aggregation="none")) as pod:
        pod.into(tcp(A, B, SYN))
        with heard(pod) as told:
            for _ in range(3):
                pod.into(tcp(A, B, SYN))
            pod.out(tcp(B, A, SYN | ACK))
    points = [each.subtype for each in told]
    assert points == [Point.TO_LXC] * 3 + [Point.FROM_LXC, Point.TO_STACK]


def test_a_drop_is_told_with_its_reason_and_the_start_of_the_packet(pod: Wire) -> None:
    frame = ethernet(b"\x45" + bytes(300))
    with heard(pod) as told:
        assert not pod.into(frame)
        assert not pod.out(frame)
    inward, outward = told
    assert [each.type for each in told] == [Notify.DROP] * 2
    assert inward.reason == outward.reason == "Invalid packet"
    assert (inward.dst_id, outward.dst_id) == (POD.id, 0)
    assert (inward.length, inward.packet) == (len(frame), frame[:128])


@pytest.mark.parametrize("captured", [0, 20, 1500])
def test_so_much_of_a_packet_as_is_asked_for(gate: Gate, bpffs: Path, captured: int) -> None:
    frame = tcp(A, B, SYN, bytes(1000))
    config = AgentConfig(trace_payloadlen=captured)
    with wire(gate, bpffs, config=config) as pod, heard(pod) as told:
        pod.into(frame)
    assert told[0].packet == frame[:captured]


def test_nothing_is_told_where_the_monitor_is_off(gate: Gate, bpffs: Path) -> None:
    with wire(gate, bpffs, config=AgentConfig(enable_monitor=False)) as pod, heard(pod) as told:
        pod.into(tcp(A, B, SYN))
        pod.into(ethernet(bytes(46), 0x88CC))
    assert told == []


def test_a_table_that_refuses_is_told_of_and_calls_for_the_collector(
    gate: Gate, bpffs: Path
) -> None:
    with wire(gate, bpffs, specs=hash_tables(1)) as pod:
        assert pod.into(tcp(A, B, SYN))
        with PerfReader(gate, pod.maps["cilium_signals"], pages=1) as reader, heard(pod) as told:
            assert not pod.into(tcp(("10.9.9.9", 1), B, SYN))
            called = signals(reader.read())
    assert [each.reason for each in told] == ["CT: Map insertion failed"]
    assert [each.concerns_ct for each in told] == [True]
    assert called["signal_nr"].tolist() == [Signal.CT_FILL_UP]
    assert called["proto"].tolist() == [0]
