"""What a start would re-create, told before it does: the same as it then does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.init_maps import init_maps
from ctconsole.manager.restart import plan_restart
from ctconsole.model.ct.outcomes import Risk
from ctconsole.model.ct.reading import PLAIN
from ctconsole.model.event import EventKind
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.restart import RestartPlan

SMALL = {
    "bpf-ct-global-tcp-max": "2048",
    "bpf-ct-global-any-max": "1024",
    "enable-node-port": "true",
    "tunnel": "vxlan",
}


@pytest.fixture
def started(gate: Gate, bpffs: Path) -> Path:
    """The maps of an agent with small tables and seven connections."""
    init_maps(gate, AgentConfig.from_options(SMALL), bpffs, [])
    with BpfMap.open(bpffs / GLOBALS / "cilium_ct4_global") as live:
        mapwrite.update_batch(gate, live, *ct4_rows(7, lifetime=ktime() + 100))
    return bpffs


def plan(root: Path, **changes: str) -> RestartPlan:
    given = {name.replace("_", "-"): value for name, value in changes.items()}
    config = AgentConfig.from_options(SMALL | given)
    return plan_restart(root / "state", config, root, [], changes=given, reading=lambda: PLAIN)


def remade(gate: Gate, root: Path, **changes: str) -> set[str]:
    given = {name.replace("_", "-"): value for name, value in changes.items()}
    report = init_maps(gate, AgentConfig.from_options(SMALL | given), root, [])
    return {
        event.subject.rsplit("/", 1)[-1]
        for event in report.events
        if event.kind is EventKind.MAP_RECREATED
    }


def test_without_a_change_nothing_is_made_anew_not_even_what_always_is(started: Path) -> None:
    found = plan(started)
    assert found.maps == ()
    assert (found.data_loss, found.confirm_name, found.memory) == (0, "", None)
    assert "every map but cilium_tunnel_map is opened as it is" in found.rows[0].text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"bpf_ct_global_tcp_max": "4096"},
            {
                *("cilium_ct4_global", "cilium_ct6_global"),
                *("cilium_snat_v4_external", "cilium_snat_v6_external"),
            },
        ),
        ({"bpf_nat_global_max": "1024"}, {"cilium_snat_v4_external", "cilium_snat_v6_external"}),
        ({"bpf_fragments_map_max": "4096"}, {"cilium_ipv4_frag_datagrams"}),
        ({"conntrack_gc_interval": "9s"}, set()),
    ],
)
def test_every_map_that_an_option_reaches_is_named_and_then_made_anew(
    started: Path, gate: Gate, changes: dict[str, str], expected: set[str]
) -> None:
    found = plan(started, **changes)
    assert {one.path.name for one in found.maps} == expected
    assert remade(gate, started, **changes) == expected


def test_allocating_otherwise_reaches_every_hash_map(started: Path, gate: Gate) -> None:
    named = {one.path.name for one in plan(started, preallocate_bpf_maps="false").maps}
    assert {"cilium_lxc", "cilium_metrics", "cilium_lb4_services_v2"} <= named
    assert remade(gate, started, preallocate_bpf_maps="false") == named


def test_the_plan_tells_what_is_lost_and_whose_connections(started: Path) -> None:
    found = plan(started, bpf_ct_global_tcp_max="4096")
    assert (found.data_loss, found.confirm_name) == (7, "cilium_ct4_global")
    assert sum(number for _, _, number in found.verdicts) == 7
    assert all(risk > Risk.UNTOUCHED for risk, _, _ in found.verdicts)
    rows = [row.text for row in found.rows]
    assert rows[0].startswith("4 maps are re-created")
    assert "bpf-ct-global-tcp-max=4096" in rows
    assert any(
        text.startswith("cilium_ct4_global: 2,048 -> 4,096 entries; lost: 7 entries")
        for text in rows
    )
    assert "All 7 entries of these maps will be lost" in found.warnings[0]
    assert found.memory is not None
    assert found.memory.new > found.memory.old
    with BpfMap.open(started / GLOBALS / "cilium_ct4_global") as live:
        assert live.count() == 7
