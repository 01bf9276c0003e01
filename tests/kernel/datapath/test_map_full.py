"""What becomes of a full table: LRU evicts without a word, HASH refuses and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.agent import gc
from ctconsole.agent.evictions import Evictions
from ctconsole.agent.listener import Listener
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.event import Event, EventKind
from ctconsole.model.spec import MapSpec, MapType
from tests.support.listening import caught_up
from tests.support.packets import ACK, SYN, tcp
from tests.support.wire import INGRESS, SPECS, hash_tables, wire

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.packets.monitor import Signal
    from tests.support.wire import Wire

B = ("10.5.5.5", 80)
ENTRIES, FLOOD = 512, 3000
INSERT_FAILED = 155


def small(kind: MapType) -> tuple[MapSpec, ...]:
    table = MapSpec("cilium_ct4_global", kind, 14, 56, ENTRIES)
    return (table, *(spec for spec in SPECS if spec.name != table.name))


def flood(pod: Wire, count: int, first: int = 1) -> int:
    """New connections of one client; how many were let through."""
    return sum(pod.into(tcp(("10.9.9.9", port), B, SYN)) for port in range(first, first + count))


def test_an_lru_table_evicts_and_the_estimate_knows_how_many(gate: Gate, bpffs: Path) -> None:
    events: list[Event] = []
    signals: list[Signal] = []
    evictions = Evictions()
    with wire(gate, bpffs, specs=small(MapType.LRU_HASH)) as pod:
        listener = Listener(gate, bpffs, events.extend, signals.append)

        def collect() -> gc.GcReport:
            caught_up(listener)
            path = pod.maps["cilium_ct4_global"]
            return gc.collect(gate, [path], evictions=evictions, created=listener.created)

        try:
            assert flood(pod, 100) == 100
            assert collect().evicted is None
            assert flood(pod, FLOOD, first=101) == FLOOD
            report = collect()
            again = collect()
        finally:
            listener.close()
        with BpfMap.open(pod.maps["cilium_ct4_global"]) as live:
            left = live.count()
        assert left <= ENTRIES
        # Each connection was one insertion, so what is not there any more was evicted.
        assert report.evicted == 100 + FLOOD - left
        assert report.event(1.0).fields["evicted_estimate"] == report.evicted
        assert again.evicted == 0
        assert listener.lost == 0
        assert signals == []
        assert (INSERT_FAILED, INGRESS) not in pod.metrics()


def test_a_hash_table_refuses_counts_drops_and_calls(gate: Gate, bpffs: Path) -> None:
    events: list[Event] = []
    signals: list[Signal] = []
    with wire(gate, bpffs, specs=small(MapType.HASH)) as pod:
        listener = Listener(gate, bpffs, events.extend, signals.append)
        try:
            assert flood(pod, ENTRIES + 100) == ENTRIES
        finally:
            caught_up(listener)
            listener.close()
        assert pod.into(tcp(("10.9.9.9", 1), B, ACK))
        assert pod.metrics()[INSERT_FAILED, INGRESS][0] == 100
        failed = [event for event in events if event.kind is EventKind.INSERT_FAILED]
        full = [event for event in events if event.kind is EventKind.MAP_FULL]
        assert sum(int(str(event.fields["count"])) for event in failed) == 100
        assert sum(int(str(event.fields["count"])) for event in full) == 100
        assert signals
        assert full[0].subject == "conntrack"


def test_room_that_the_collector_makes_is_used(gate: Gate, bpffs: Path) -> None:
    with wire(gate, bpffs, specs=hash_tables(4)) as pod:
        assert flood(pod, 4) == 4
        assert flood(pod, 1, first=9) == 0
        path = pod.maps["cilium_ct4_global"]
        with BpfMap.open(path) as live:
            dump = live.read()
            values = dump.values.copy()
            values[:2, 32:36] = [1, 0, 0, 0]
            mapwrite.update_batch(gate, live, dump.keys, values)
        assert gc.collect(gate, [path]).deleted == 2
        assert flood(pod, 1, first=9) == 1
