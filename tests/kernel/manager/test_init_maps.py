from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.errors import UsageError
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.manager.init_maps import InitReport, init_maps, wishes
from ctconsole.model.catalogue import classify
from ctconsole.model.event import EventKind
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.model.spec import MapFlag, MapType
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event

SMALL = {
    "bpf-ct-global-tcp-max": "2048",
    "bpf-ct-global-any-max": "1024",
    "enable-ipv6": "false",
    "preallocate-bpf-maps": "false",
}
POD = Endpoint(571, "pod", "lxc00571", 3, "02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1")


def run(gate: Gate, root: Path, *pods: Endpoint, **options: str) -> InitReport:
    given = {name.replace("_", "-"): value for name, value in options.items()}
    return init_maps(gate, AgentConfig.from_options(SMALL | given), root, pods)


def test_the_maps_of_a_small_ipv4_node(gate: Gate, bpffs: Path) -> None:
    report = run(gate, bpffs, POD)
    pinned = pinned_maps(bpffs / GLOBALS)
    assert {path.name for path in pinned} == set(report.opened) == report.created
    assert {"cilium_lxc", "cilium_ct4_global", "cilium_policy_00571"} <= set(report.opened)
    assert report.paths["cilium_ct4_global"] == bpffs / GLOBALS / "cilium_ct4_global"
    assert report.opened["cilium_ct4_global"].max_entries == 2048
    assert report.opened["cilium_ct_any4_global"].max_entries == 1024
    assert not [name for name in report.opened if "6" in name or "snat" in name]


def test_every_map_made_is_in_the_catalogue_with_its_sizes(gate: Gate, bpffs: Path) -> None:
    report = run(gate, bpffs, POD, enable_ipv6="true", enable_node_port="true")
    for name, info in report.opened.items():
        entry = classify(name, info)
        assert entry, name
        assert entry.matches(info), name


def test_second_start_changes_nothing(gate: Gate, bpffs: Path) -> None:
    first = run(gate, bpffs, POD)
    second = run(gate, bpffs, POD)
    assert second.created == {"cilium_tunnel_map"}
    del_tunnel = {name: info for name, info in first.opened.items() if "tunnel" not in name}
    assert {name: second.opened[name].id for name in del_tunnel} == {
        name: info.id for name, info in del_tunnel.items()
    }


def test_other_table_size_recreates_that_map_and_no_other(gate: Gate, bpffs: Path) -> None:
    first = run(gate, bpffs)
    second = run(gate, bpffs, bpf_ct_global_tcp_max="4096")
    assert second.created == {"cilium_tunnel_map", "cilium_ct4_global"}
    assert second.opened["cilium_ct4_global"].id != first.opened["cilium_ct4_global"].id
    lines = [event.message for event in second.events if event.subject.endswith("ct4_global")]
    assert lines == [
        "Max entries mismatch for BPF map",
        "Removing map to allow for property upgrade (expect map data loss)",
        "Re-created BPF map",
    ]


def test_conntrack_local_adds_each_endpoint_s_own_tables(gate: Gate, bpffs: Path) -> None:
    report = run(gate, bpffs, POD, conntrack_local="true")
    assert report.opened["cilium_ct4_00571"].max_entries == 64000
    assert "cilium_ct_any4_00571" in report.opened
    assert "cilium_ct4_global" in report.opened
    names = list(report.opened)
    assert names.index("cilium_ct4_00571") < names.index("cilium_ct4_global")


def test_nat_comes_with_node_port(gate: Gate, bpffs: Path) -> None:
    report = run(gate, bpffs, enable_node_port="true")
    assert report.opened["cilium_snat_v4_external"].max_entries == 2048
    assert "cilium_snat_v6_external" not in report.opened


def test_hash_maps_follow_the_preallocation_option(gate: Gate, bpffs: Path) -> None:
    lean = run(gate, bpffs)
    assert lean.opened["cilium_lxc"].flags == MapFlag.NO_PREALLOC
    assert lean.opened["cilium_ct4_global"].flags == 0
    fat = run(gate, bpffs, preallocate_bpf_maps="true")
    assert fat.opened["cilium_lxc"].flags == 0
    assert fat.opened["cilium_ct4_global"].id == lean.opened["cilium_ct4_global"].id


def test_maglev_tables_are_maps_inside_a_map(gate: Gate, bpffs: Path) -> None:
    options = {"bpf_lb_algorithm": "maglev", "bpf_lb_maglev_table_size": "251"}
    assert "cilium_lb4_maglev" in run(gate, bpffs, **options).opened
    again = run(gate, bpffs, **options)
    assert "cilium_lb4_maglev" not in again.created
    other = run(gate, bpffs, **(options | {"bpf_lb_maglev_table_size": "509"}))
    assert "cilium_lb4_maglev" in other.created


def test_order_is_that_of_initmaps(bpffs: Path) -> None:
    config = AgentConfig.from_options(SMALL | {"enable-node-port": "true"})
    names = [wish.spec.name for wish in wishes(config, bpffs, [POD])]
    landmarks = [
        "cilium_lxc",
        "cilium_ipcache",
        "cilium_metrics",
        "cilium_tunnel_map",
        "cilium_lb4_services_v2",
        "cilium_events",
        "cilium_call_policy",
        "cilium_policy_00571",
        "cilium_ct4_global",
        "cilium_ct_any4_global",
        "cilium_snat_v4_external",
    ]
    assert [name for name in names if name in landmarks] == landmarks


def test_events_are_recorded_as_they_happen(gate: Gate, bpffs: Path) -> None:
    recorded: list[Event] = []
    report = init_maps(gate, AgentConfig.from_options(SMALL), bpffs, [], recorded.extend)
    assert tuple(recorded) == report.events
    assert {event.kind for event in recorded} == {EventKind.MAP_CREATED}


def test_place_that_is_no_bpffs_is_refused(gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not on a bpffs"):
        init_maps(gate, AgentConfig.from_options(SMALL), tmp_path, [])


def test_a_node_with_an_uplink_has_the_article_s_program_arrays(gate: Gate, bpffs: Path) -> None:
    report = init_maps(gate, AgentConfig.from_options(SMALL), bpffs, [], devices=[8])
    for name in ("cilium_calls_netdev_00008", "cilium_calls_hostns_00001"):
        entry = classify(name, report.opened[name])
        assert entry
        assert entry.type is MapType.PROG_ARRAY
        assert report.opened[name].max_entries == 25
    assert not [name for name in run(gate, bpffs).opened if "netdev" in name]
