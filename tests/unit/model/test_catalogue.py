from __future__ import annotations

import pytest

from ctconsole.errors import UsageError
from ctconsole.model.catalogue import (
    CATALOGUE,
    Generation,
    Group,
    check_size,
    classify,
    find,
    group_of,
    option_of,
    size_limits,
    twins_of,
    use_of,
)
from ctconsole.model.spec import MapSpec, MapType

ARTICLE = {
    "cilium_call_policy": Group.TAIL_CALL,
    "cilium_calls_00571": Group.TAIL_CALL,
    "cilium_calls_hostns_01320": Group.TAIL_CALL,
    "cilium_calls_netdev_00008": Group.TAIL_CALL,
    "cilium_ct4_global": Group.CONNTRACK,
    "cilium_ct_any4_global": Group.CONNTRACK,
    "cilium_encrypt_state": Group.ENCRYPTION,
    "cilium_events": Group.EVENTS,
    "cilium_ipcache": Group.ADDRESSES,
    "cilium_ipv4_frag_datagrams": Group.EVENTS,
    "cilium_lb4_affinity": Group.LOAD_BALANCING,
    "cilium_lb4_backends": Group.LOAD_BALANCING,
    "cilium_lb4_reverse_nat": Group.LOAD_BALANCING,
    "cilium_lb4_services_v2": Group.LOAD_BALANCING,
    "cilium_lb_affinity_match": Group.LOAD_BALANCING,
    "cilium_lxc": Group.ADDRESSES,
    "cilium_metrics": Group.EVENTS,
    "cilium_policy_01955": Group.POLICY,
    "cilium_policy_v3_01955": Group.POLICY,
    "cilium_signals": Group.EVENTS,
    "cilium_tunnel_map": Group.ADDRESSES,
}
"""The listing of the article's section 1.2."""


@pytest.mark.parametrize(("name", "group"), ARTICLE.items())
def test_every_map_of_the_articles_node_has_its_group(name: str, group: Group) -> None:
    assert group_of(name) is group


@pytest.mark.parametrize(
    "name",
    ["cilium_calls_571", "cilium_ct4_", "cilium_ct4_global:pending", "my_map", "xcilium_lxc", ""],
)
def test_names_that_only_look_alike_are_no_maps_of_cilium(name: str) -> None:
    assert classify(name) is None
    assert group_of(name) is Group.OTHER


def test_endpoint_maps_are_told_apart_from_global_ones() -> None:
    local, shared = classify("cilium_ct_any6_00042"), classify("cilium_ct_any6_global")
    assert local
    assert local.name != "cilium_ct_any6_00042"
    assert shared
    assert shared.name == "cilium_ct_any6_global"
    assert (shared.key_size, shared.value_size, shared.max_entries) == (38, 56, 262144)


def test_generation_is_decided_by_name_or_by_the_live_maps_sizes() -> None:
    old, new = classify("cilium_lb4_backends"), classify("cilium_lb4_backends_v3")
    assert old
    assert (old.key_size, old.generations) == (2, (Generation.V1_9,))
    assert new
    assert (new.key_size, new.generations) == (4, (Generation.V1_18,))
    strange = classify("cilium_lxc", MapSpec("cilium_lxc", MapType.HASH, 4, 4, 1))
    assert strange
    assert not strange.matches(MapSpec("cilium_lxc", MapType.HASH, 4, 4, 1))


def test_no_map_is_listed_twice_for_a_generation() -> None:
    listed = [(entry.name, release) for entry in CATALOGUE for release in entry.generations]
    assert len(listed) == len(set(listed))


def test_only_tables_of_tuples_are_decoded_as_conntrack() -> None:
    tables = {entry.name for entry in CATALOGUE if entry.is_ct}
    assert "cilium_ct4_global" in tables
    assert "cilium_per_cluster_ct_tcp4" not in tables
    assert all(
        (find(name).key_size, find(name).value_size) in {(14, 56), (38, 56)} for name in tables
    )


@pytest.mark.parametrize(
    ("programs", "words"),
    [(None, ""), (0, "not used by this datapath"), (1, "1 program"), (7, "7 programs")],
)
def test_who_uses_a_map_is_said_in_words(programs: int | None, words: str) -> None:
    assert use_of(programs) == words


def test_maps_of_one_option_are_each_others_twins() -> None:
    for entry in CATALOGUE:
        for twin in twins_of(entry.name):
            assert option_of(twin) == option_of(entry.name)
            assert entry.name in twins_of(twin)
    assert twins_of("cilium_ct4_global") == ("cilium_ct6_global",)
    assert option_of("cilium_lxc") is None
    assert twins_of("cilium_lxc") == ()


@pytest.mark.parametrize(
    ("name", "least"),
    [("cilium_ct_any6_global", 1024), ("cilium_ct4_00012", 1024), ("cilium_lxc", 1), ("other", 1)],
)
def test_a_map_takes_a_size_within_its_limits_and_no_other(name: str, least: int) -> None:
    assert size_limits(name) == (least, 1 << 24)
    for size in (least, 1 << 24):
        check_size(name, size)
    for size in (least - 1, (1 << 24) + 1):
        with pytest.raises(UsageError, match="out of range"):
            check_size(name, size)
