from __future__ import annotations

import pytest

from ctconsole.model.ct.layout import Layout
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.node.records import generation


def a_map(name: str, key: int = 4, value: int = 4) -> MapInfo:
    return MapInfo(1, name, MapType.HASH, key, value, 8)


@pytest.mark.parametrize(
    ("maps", "layout", "doubt"),
    [
        ([a_map("cilium_policy_v3_00042", 12, 12)], Layout.V1_19, "1.20 gave it that name"),
        ([a_map("cilium_policy_v2_00042", 12, 12)], Layout.V1_19, ""),
        ([a_map("cilium_policy_v2_00042", 12, 8)], Layout.V1_18, ""),
        ([a_map("cilium_policy_v2_00042", 12, 24)], Layout.V1_17, ""),
        ([a_map("cilium_policy_00042", 12, 24)], Layout.V1_15, "1.14 to 1.16 look alike"),
        ([a_map("cilium_policy_00042", 8, 24)], Layout.V1_9, "up to 1.13 look alike"),
        ([a_map("cilium_lb4_backends_v3")], Layout.V1_16, "1.13 and all later"),
        ([a_map("cilium_lb4_backends_v2")], Layout.V1_12, "1.11 and 1.12"),
        ([a_map("cilium_lb_act"), a_map("cilium_lb4_backends_v3")], Layout.V1_16, "later"),
        ([a_map("cilium_ipcache_v2")], Layout.V1_18, "so have all later releases"),
        ([a_map("cilium_other")], Layout.V1_18, "no map tells"),
    ],
)
def test_what_the_maps_of_a_node_tell_of_its_release(
    maps: list[MapInfo], layout: Layout, doubt: str
) -> None:
    found, why = generation(maps)
    assert found is layout
    assert doubt in why
    assert ("--layout" in why) == bool(doubt)
