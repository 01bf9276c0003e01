"""The agent's reader of the datapath's records, and whoever follows it."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole import loops
from ctconsole.agent import listener, wire
from ctconsole.agent.listener import Listener
from ctconsole.cli.node.monitor import command
from ctconsole.kernel import pins
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.perf import PerfReader
from ctconsole.kernel.programs import load_program
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.packets.monitor import Signal, notices
from ctconsole.model.packets.samples import from_wire, to_wire
from ctconsole.paths import GLOBALS
from tests.support.bpf_insns import using_map
from tests.support.foreign import until
from tests.support.listening import caught_up
from tests.support.packets import SYN, ethernet, tcp, udp
from tests.support.wire import POD, Wire, hash_tables
from tests.support.wire import wire as wired

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.packets.monitor import Notice

A, B = ("10.5.224.91", 51000), ("10.5.5.5", 80)
BROKEN = ethernet(bytes(46), 0x88CC)


@pytest.fixture
def pod(gate: Gate, bpffs: Path) -> Iterator[Wire]:
    """Programs and tables of a pod with the address 10.5.5.5."""
    with wired(gate, bpffs) as opened:
        yield opened


class Heard:
    """What a listener made of what it heard."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.signals: list[Signal] = []

    def counts(self) -> dict[EventKind, int]:
        return {event.kind: int(str(event.fields["count"])) for event in self.events}


@contextmanager
def listening(pod: Wire) -> Iterator[tuple[Listener, Heard]]:
    heard = Heard()
    folder = pod.maps["cilium_events"].parent
    one = Listener(pod.gate, folder, heard.events.extend, heard.signals.append)
    try:
        yield one, heard
        caught_up(one)
    finally:
        one.close()


def test_many_drops_are_one_event_with_a_count(pod: Wire) -> None:
    with listening(pod) as (_, heard):
        for _ in range(50):
            pod.into(BROKEN)
    assert sum(int(str(event.fields["count"])) for event in heard.events) == 50
    assert len(heard.events) <= 2
    event = heard.events[0]
    assert (event.kind, event.level) == (EventKind.DROP, Level.WARNING)
    assert event.message == "Packets dropped: Unsupported L3 protocol"
    assert event.fields["endpointID"] == POD.id


def test_connections_are_counted_by_table(pod: Wire) -> None:
    with listening(pod) as (one, heard):
        for port in range(1, 31):
            pod.into(tcp((A[0], port), B, SYN))
        pod.out(udp(B, A))
    assert one.created == {(4, True): 30, (4, False): 1, (6, True): 0, (6, False): 0}
    assert {event.level for event in heard.events} == {Level.DEBUG}


def test_a_full_table_is_an_event_and_calls(gate: Gate, bpffs: Path) -> None:
    with wired(gate, bpffs, specs=hash_tables(1)) as pod, listening(pod) as (_, heard):
        for port in range(1, 6):
            pod.into(tcp((A[0], port), B, SYN))
    counts = heard.counts()
    assert set(counts) == {EventKind.CONNECTIONS, EventKind.INSERT_FAILED, EventKind.MAP_FULL}
    assert set(heard.signals) == {Signal.CT_FILL_UP}


def test_a_follower_hears_everything(pod: Wire) -> None:
    with listening(pod) as (one, _), one.follow() as reads:
        pod.into(tcp(A, B, SYN))
        pod.into(BROKEN)
        found: list[Notice] = []
        while len(found) < 2:
            found += notices(next(reads))
    assert [notice.reason for notice in found] == ["", "Unsupported L3 protocol"]


def test_a_follower_who_falls_behind_is_told_what_he_lost(
    pod: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "BEHIND", 1)
    with listening(pod) as (one, _), one.follow() as reads:
        for _ in range(5):
            pod.into(BROKEN)
            caught_up(one)
        first, second = next(reads), next(reads)
    assert len(first) + first.lost + len(second) + second.lost == 5
    assert first.lost > 0


def test_a_listener_outlives_whoever_it_tells(pod: Wire) -> None:
    heard: list[Event] = []
    failures = iter([OSError("disk is full"), KeyError("x")])

    def record(events: Iterable[Event]) -> None:
        for error in failures:
            raise error
        heard.extend(events)

    one = Listener(pod.gate, pod.maps["cilium_events"].parent, record, list[Signal]().append)
    with closing(one):
        pod.into(BROKEN)
        caught_up(one)
        pod.into(tcp(A, B, SYN))
        assert until(lambda: bool(heard))
    assert EventKind.CONNECTIONS in {event.kind for event in heard}
    assert loops.troubles() == ()


def test_records_cross_the_agents_socket(pod: Wire, tmp_path: Path) -> None:
    with listening(pod) as (one, _):

        def monitor(_asked: object) -> Iterator[dict[str, str | int]]:
            with one.follow() as reads:
                yield {"hello": 1}
                yield from map(to_wire, reads)

        server = wire.Server(tmp_path / "agent.sock", {}, {"monitor": monitor})
        answers = wire.stream(tmp_path / "agent.sock", "monitor")
        assert next(answers)["hello"] == 1
        pod.into(BROKEN)
        found = next(from_wire(answer) for answer in answers if answer["data"])
        server.close()
    assert [notice.packet for notice in notices(found)] == [BROKEN]


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Iterator[Wire]:
    """A pod whose maps are where an agent would pin them."""
    pins.make_folder(gate, bpffs / GLOBALS)
    with wired(gate, bpffs / GLOBALS) as pod:
        yield pod


def monitored(node: Wire, *options: str) -> str:
    """What the verb prints while three packets come."""
    root = node.maps["cilium_events"].parents[2]
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.2):
            node.into(BROKEN)
            node.into(tcp((A[0], 1 + int(time.monotonic() * 10) % 60000), B, SYN))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        result = CliRunner().invoke(command, ["--bpf-root", str(root), *options])
    finally:
        done.set()
        thread.join()
    assert result.exception is None, result.output
    return result.output


def test_the_verb_reads_for_itself_where_no_agent_runs(node: Wire) -> None:
    lines = monitored(node, "--type", "drop", "-n", "2").splitlines()
    assert len(lines) == 2
    assert all(line.startswith("xx drop (Unsupported L3 protocol) flow 0x") for line in lines)


def test_the_verb_prints_json_of_what_concerns_the_tables(node: Wire) -> None:
    (line,) = monitored(node, "--type", "ct", "--json", "-n", "1").splitlines()
    found = json.loads(line)
    assert (found["type"], found["state"], found["dstID"]) == ("trace", "new", POD.id)
    assert found["summary"]["l4"]["dst"] == "80"


@pytest.mark.parametrize(
    ("options", "line"),
    [((), "!! {} records lost"), (("--json",), '{{"type": "lost", "count": {}}}')],
)
def test_the_verb_says_what_was_lost(
    node: Wire,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    line: str,
) -> None:
    with PerfReader(gate, node.maps["cilium_events"], pages=1) as reader:
        for _ in range(100):
            node.into(BROKEN)
        found = reader.read()
    assert found.lost > 0
    monkeypatch.setattr("ctconsole.cli.node.monitor._source", lambda *_: nullcontext([found]))
    result = CliRunner().invoke(command, list(options))
    assert result.stdout.splitlines()[0] == line.format(found.lost)
    assert len(result.stdout.splitlines()) == 1 + len(found)
    assert f"{found.lost} records were lost" in result.stderr


def test_the_verb_leaves_a_foreign_agents_records_alone(node: Wire, gate: Gate) -> None:
    root = node.maps["cilium_events"].parents[2]
    with PerfReader(gate, node.maps["cilium_events"], pages=1) as theirs:
        with BpfMap.open(node.maps["cilium_events"]) as live:
            program = load_program(gate, using_map(live.writable_fd(gate)), name="cil_from_netdev")
        try:
            result = CliRunner().invoke(command, ["--bpf-root", str(root), "-n", "1"])
        finally:
            os.close(program)
        assert "belongs to another agent" in str(result.exception)
        node.into(BROKEN)
        assert len(theirs.read()) == 1
