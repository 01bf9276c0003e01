from __future__ import annotations

from ctconsole.config import AgentConfig
from ctconsole.datapath.bindings import map_names
from ctconsole.datapath.code import MapSlot
from ctconsole.manager.init_maps import wishes
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.paths import GLOBALS

POD = Endpoint(10, "pod", "lxc00010", 7, "", "", identity=300)


def names(**options: str) -> set[str]:
    config = AgentConfig().with_options(
        {name.replace("_", "-"): value for name, value in options.items()}
    )
    return set(map_names(config, POD).values())


def test_a_family_that_is_off_needs_no_maps() -> None:
    assert not {name for name in names(enable_ipv6="false") if "6" in name}
    assert {name for name in names(enable_ipv4="false") if "6" in name} == {
        "cilium_ct6_global",
        "cilium_ct_any6_global",
        "cilium_lb6_services_v2",
        "cilium_lb6_backends",
        "cilium_lb6_reverse_nat",
    }


def test_affinity_and_maglev_need_maps_of_their_own() -> None:
    assert names(enable_session_affinity="true") - names() == {
        "cilium_lb_affinity_match",
        "cilium_lb4_affinity",
        "cilium_lb6_affinity",
    }
    assert names(bpf_lb_algorithm="maglev") - names() == {
        "cilium_lb4_maglev",
        "cilium_lb6_maglev",
    }


def test_what_is_wanted_is_what_the_agent_makes() -> None:
    config = AgentConfig().with_options(
        {
            "conntrack-local": "true",
            "enable-session-affinity": "true",
            "bpf-lb-algorithm": "maglev",
        }
    )
    made = {wish.spec.name for wish in wishes(config, GLOBALS, [POD])}
    wanted = map_names(config, POD)
    assert set(wanted.values()) <= made
    assert wanted[MapSlot.CT_MAP_TCP6] == "cilium_ct6_00010"
    assert wanted[MapSlot.POLICY_MAP] == "cilium_policy_00010"
