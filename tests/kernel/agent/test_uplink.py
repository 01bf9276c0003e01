"""Masquerading as the agent sets it up: which interface, which address, on and off again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.agent.uplink import find_uplink, masquerade
from ctconsole.config import AgentConfig
from ctconsole.kernel import iproute, netns, tc
from ctconsole.manager.init_maps import init_maps
from ctconsole.model.event import Event, EventKind
from tests.support.namespaces import connected_pair

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

CONFIG = AgentConfig(
    bpf_ct_global_tcp_max=1024,
    bpf_ct_global_any_max=1024,
    enable_ipv6=False,
    enable_ipv4_masquerade=True,
    ipv4_native_routing_cidr="10.77.0.0/16",
    devices="left0",
)


def test_the_programs_come_and_go_with_the_option(gate: Gate, bpffs: Path) -> None:
    record: list[Event] = []
    with connected_pair(gate) as (node, _), netns.inside(node):
        maps = init_maps(gate, CONFIG, bpffs, []).paths
        assert "cilium_snat_v4_external" in maps
        uplink = masquerade(gate, CONFIG, maps, record.extend)
        assert uplink is not None
        assert (uplink.ifname, uplink.ipv4) == ("left0", "10.77.0.1")
        assert len(tc.filters(uplink.ifindex)) == 2
        off = CONFIG.with_options({"enable-ipv4-masquerade": "false"})
        assert masquerade(gate, off, maps, record.extend) is None
        assert tc.filters(uplink.ifindex) == []
    kinds = [event.kind for event in record]
    assert kinds == [EventKind.PROGRAM_LOADED] * 2 + [EventKind.PROGRAM_DETACHED] * 2


def test_the_default_route_names_the_uplink(gate: Gate) -> None:
    anywhere = AgentConfig()
    with connected_pair(gate) as (node, _), netns.inside(node):
        assert find_uplink(anywhere) is None
        iproute.add_route(gate, "default", device="left0", via="10.77.0.2")
        found = find_uplink(anywhere)
        assert found is not None
        assert found.ifname == "left0"


def test_a_node_without_an_uplink_is_told_of(gate: Gate) -> None:
    record: list[Event] = []
    config = CONFIG.with_options({"devices": "nowhere0"})
    with connected_pair(gate) as (node, _), netns.inside(node):
        assert masquerade(gate, config, {}, record.extend) is None
    assert [event.kind for event in record] == [EventKind.WARNING]
