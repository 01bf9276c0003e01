from __future__ import annotations

import pytest

from ctconsole.model.ct.guess import Guess
from ctconsole.model.ct.layout import Layout
from ctconsole.model.generation import generation
from ctconsole.model.spec import MapInfo, MapType

APART = Guess(Layout.V1_9, "entries count received packets", certain=True)
TOGETHER = Guess(Layout.V1_18, "none counts received packets apart", certain=True)


def a_map(name: str, key: int = 4, value: int = 4) -> MapInfo:
    return MapInfo(1, name, MapType.HASH, key, value, 8)


OLD_POLICY = a_map("cilium_policy_00042", 8, 24)
LPM_POLICY = a_map("cilium_policy_00042", 12, 24)
BACKENDS_V3 = a_map("cilium_lb4_backends_v3")


@pytest.mark.parametrize(
    ("maps", "layout"),
    [
        ([a_map("cilium_policy_v3_00042", 12, 12)], Layout.V1_20),
        ([a_map("cilium_policy_v2_00042", 12, 12)], Layout.V1_19),
        ([a_map("cilium_policy_v2_00042", 12, 8)], Layout.V1_18),
        ([a_map("cilium_policy_v2_00042", 12, 24)], Layout.V1_17),
        ([LPM_POLICY, a_map("cilium_lb_act")], Layout.V1_16),
        ([OLD_POLICY, BACKENDS_V3], Layout.V1_13),
        ([a_map("cilium_lb4_backends_v2"), a_map("cilium_egresscall_policy")], Layout.V1_12),
    ],
)
def test_a_release_that_no_other_looks_like_is_certain(maps: list[MapInfo], layout: Layout) -> None:
    found = generation(maps)
    assert (found.layout, found.certain) == (layout, True)
    assert maps[0].label in found.reason


@pytest.mark.parametrize(
    ("maps", "layout", "doubt"),
    [
        ([LPM_POLICY], Layout.V1_15, "1.14 to 1.16"),
        ([OLD_POLICY], Layout.V1_9, "1.9 to 1.13"),
        ([BACKENDS_V3], Layout.V1_16, "1.13 to 1.20"),
        ([a_map("cilium_lb4_backends_v2")], Layout.V1_12, "1.11 to 1.12"),
        ([a_map("cilium_lb4_backends")], Layout.V1_9, "1.9 to 1.10"),
        ([a_map("cilium_lb_act"), BACKENDS_V3], Layout.V1_16, "1.16 to 1.20"),
        ([a_map("cilium_ipcache_v2")], Layout.V1_18, "1.18 to 1.20"),
        ([a_map("cilium_other")], Layout.V1_18, "no map tells"),
    ],
)
def test_where_releases_look_alike_it_says_which_and_how_to_settle_it(
    maps: list[MapInfo], layout: Layout, doubt: str
) -> None:
    found = generation(maps)
    assert (found.layout, found.certain) == (layout, False)
    assert doubt in found.reason
    assert ("the agent's version tells" in found.reason) == (maps[0].label != "cilium_other")


@pytest.mark.parametrize(
    ("guess", "layout", "certain"),
    [(APART, Layout.V1_15, False), (TOGETHER, Layout.V1_16, True)],
)
def test_conntrack_entries_and_other_maps_tell_together(
    guess: Guess, layout: Layout, *, certain: bool
) -> None:
    found = generation([LPM_POLICY], guess)
    assert (found.layout, found.certain) == (layout, certain)
    assert guess.reason in found.reason


def test_entries_alone_leave_the_releases_that_lay_them_out_alike() -> None:
    found = generation([a_map("cilium_ct4_global", 14, 56)], TOGETHER)
    assert (found.layout, found.certain) == (Layout.V1_18, False)
    assert "1.16 to 1.20" in found.reason


def test_maps_left_over_from_an_upgrade_decide_nothing() -> None:
    left_over = [a_map("cilium_lb4_backends_v2"), OLD_POLICY, a_map("cilium_ipcache")]
    found = generation([*left_over, a_map("cilium_policy_v2_00042", 12, 8)])
    assert (found.layout, found.certain) == (Layout.V1_18, True)
