"""NAT entries live and die with the conntrack entry of their connection."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctconsole.agent import gc
from ctconsole.agent.natgc import NatGc, NatRules, Orphans
from ctconsole.config import AgentConfig
from ctconsole.datapath import loader
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from tests.support.packets import ECHO, SYN, icmp, tcp, udp
from tests.support.uplink import NODE, OUTSIDE, POD, Node, nat_specs, node
from tests.support.wire import POD as ENDPOINT
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from ctconsole.kernel.gate import Gate

WEB = (OUTSIDE, 80)
TABLES = ("cilium_ct4_global", "cilium_ct_any4_global")


@contextmanager
def both(gate: Gate, bpffs: Path) -> Iterator[tuple[Wire, Node]]:
    """A pod's programs and those of the uplink, on the same maps."""
    with (
        node(gate, bpffs, specs=nat_specs()) as uplink,
        loader.load(gate, AgentConfig(), uplink.maps, ENDPOINT) as programs,
    ):
        loader.publish(gate, ENDPOINT, programs)
        yield Wire(gate, uplink.maps, programs), uplink


def leave(pod: Wire, uplink: Node, packet: bytes) -> None:
    assert pod.out(packet)
    assert uplink.out(packet) is not None


def collect(pod: Wire, rules: NatRules | None = None) -> gc.GcReport:
    return gc.collect(pod.gate, [pod.maps[name] for name in TABLES], nat_rules=rules)


def expire(pod: Wire, name: str) -> None:
    """Make every entry of a table one whose life is over."""
    with BpfMap.open(pod.maps[name]) as live:
        dump = live.read()
        values = dump.values.copy()
        values[:, 32:36] = list(struct.pack("=I", 1))
        mapwrite.update_batch(pod.gate, live, dump.keys, values)


def test_the_pair_stays_while_the_connection_lives(gate: Gate, bpffs: Path) -> None:
    with both(gate, bpffs) as (pod, uplink):
        for packet in (
            tcp((POD, 1024), WEB, SYN),
            udp((POD, 1025), WEB),
            icmp(POD, OUTSIDE, ECHO, 77),
        ):
            leave(pod, uplink, packet)
        assert collect(pod).nat == NatGc(alive=6, deleted=0, orphans=0, purged=0)
        assert len(uplink.mappings()) == 6


def test_the_pair_goes_with_the_entry(gate: Gate, bpffs: Path) -> None:
    with both(gate, bpffs) as (pod, uplink):
        leave(pod, uplink, tcp((POD, 1024), WEB, SYN))
        leave(pod, uplink, udp((POD, 1024), WEB))
        leave(pod, uplink, icmp(POD, OUTSIDE, ECHO, 77))
        expire(pod, "cilium_ct4_global")
        report = collect(pod)
        assert report.nat == NatGc(alive=4, deleted=2, orphans=0, purged=0)
        assert report.event(10.0).fields["nat_deleted"] == 2
        expire(pod, "cilium_ct_any4_global")
        assert collect(pod).nat == NatGc(alive=0, deleted=4, orphans=0, purged=0)
        assert uplink.mappings() == {}


def test_orphans_are_found_counted_and_deleted(gate: Gate, bpffs: Path) -> None:
    with both(gate, bpffs) as (pod, uplink):
        leave(pod, uplink, tcp((POD, 40000), WEB, SYN))
        leave(pod, uplink, tcp((POD, 40001), WEB, SYN))
        key = (
            socket.inet_aton(POD)
            + socket.inet_aton(OUTSIDE)
            + struct.pack(">HHBB", 80, 40001, 6, 0)
        )
        with BpfMap.open(pod.maps["cilium_ct4_global"]) as live:
            assert mapwrite.delete(gate, live, key)
        report = collect(pod, NatRules(Orphans(), 21600, 60, purge=True))
        assert report.nat == NatGc(alive=2, deleted=0, orphans=2, purged=2)
        assert set(uplink.mappings()) == {
            ("OUT", f"{POD}:40000 -> {OUTSIDE}:80"),
            ("IN", f"{OUTSIDE}:80 -> {NODE}:40000"),
        }


def test_an_orphan_lives_as_long_as_its_entry_would_have(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = NatRules(Orphans(), 21600, 60)
    with both(gate, bpffs) as (pod, uplink):
        leave(pod, uplink, tcp((POD, 40000), WEB, SYN))
        leave(pod, uplink, udp((POD, 40000), WEB))
        for name in TABLES:
            with BpfMap.open(pod.maps[name]) as live:
                mapwrite.delete_batch(gate, live, live.read().keys)
        assert collect(pod).nat == NatGc(alive=4, deleted=0, orphans=4, purged=0)
        assert collect(pod, rules).nat == NatGc(alive=4, deleted=0, orphans=4, purged=0)
        clock = time.monotonic
        monkeypatch.setattr("ctconsole.agent.natgc.time.monotonic", lambda: clock() + 100)
        assert collect(pod, rules).nat == NatGc(alive=2, deleted=0, orphans=4, purged=2)
        leave(pod, uplink, tcp((POD, 40000), WEB, SYN))
        monkeypatch.setattr("ctconsole.agent.natgc.time.monotonic", lambda: clock() + 30000)
        assert collect(pod, rules).nat == NatGc(alive=2, deleted=0, orphans=0, purged=0)


def test_the_nodes_own_connections_are_no_orphans(gate: Gate, bpffs: Path) -> None:
    with both(gate, bpffs) as (pod, uplink):
        assert uplink.out(tcp((NODE, 40000), WEB, SYN)) is not None
        assert collect(pod).nat == NatGc(alive=2, deleted=0, orphans=0, purged=0)


def test_without_a_nat_table_there_is_nothing_to_report(gate: Gate, bpffs: Path) -> None:
    with both(gate, bpffs) as (pod, _):
        pod.out(tcp((POD, 40000), WEB, SYN))
        pins.unpin(gate, pod.maps["cilium_snat_v4_external"])
        report = collect(pod)
        assert report.nat is None
        assert report.alive == 2
        assert "nat_orphans" not in report.event(1.0).fields
        assert int(pod.entry()["lifetime"]) > ktime()
