from __future__ import annotations

from dataclasses import replace

from ctconsole.model.catalogue import Group
from ctconsole.model.compared import compared
from ctconsole.model.spec import MapInfo, MapType

CT4 = MapInfo(1, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 524_288)


def info(name: str, like: MapInfo = CT4) -> MapInfo:
    return replace(like, name=name)


def test_a_map_as_it_is_listed_and_one_that_is_another() -> None:
    odd = replace(info("cilium_ct6_global"), type=MapType.HASH, key_size=38, max_entries=7)
    found = {one.key: one for one in compared([("a", info("cilium_ct4_global")), ("b", odd)])}
    assert found["a"].verdict == "as listed"
    assert found["b"].verdict == "type hash, listed lru_hash; max 7, listed 524,288"


def test_what_the_node_does_not_have_is_told_and_comes_last_in_its_group() -> None:
    found = compared([("a", info("cilium_ct4_global"))])
    tracking = [one for one in found if one.group is Group.CONNTRACK]
    assert tracking[0].name == "cilium_ct4_global"
    assert {one.verdict for one in tracking[1:]} == {"not on this node"}
    assert all("*" not in one.name for one in found)


def test_a_map_nobody_lists_is_said_to_be_that() -> None:
    [one] = [one for one in compared([("a", info("of_nobody"))]) if one.key]
    assert (one.group, one.verdict) == (Group.OTHER, "not in the catalogue")
    assert compared([]) == []


def test_a_maximum_that_nothing_tells_is_not_said_to_be_none() -> None:
    [one] = [
        one
        for one in compared([("a", replace(info("cilium_ct4_global"), max_entries=0))])
        if one.key
    ]
    assert one.verdict == "max not known, listed 524,288"
