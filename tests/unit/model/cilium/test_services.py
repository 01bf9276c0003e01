"""Services, as Cilium's own tools list them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import UsageError
from ctconsole.model.cilium.services import ServiceView, services, services_text
from ctconsole.model.ct.layout import Layout
from ctconsole.model.records.service_flags import flag_texts
from tests.support.captures import CAPTURES
from tests.support.record_maps import table

if TYPE_CHECKING:
    from ctconsole.model.records.table import RecordTable

SERVICE = {"address": "10.96.0.10", "dport": 80, "rev_nat_index": 1}
SLOTS = (SERVICE | {"count": 1, "flags": 0x40}, SERVICE | {"backend_slot": 1, "backend_id": 3})


def lb(name: str, proto: int) -> list[RecordTable]:
    backend = {"id": 3, "address": "10.244.1.192", "port": 8080, "proto": proto}
    slots = [slot | {"proto": proto} for slot in SLOTS]
    return [table("cilium_lb4_services_v2", *slots), table(name, backend)]


def test_services_of_1_9_are_one_block_each() -> None:
    assert services_text(lb("cilium_lb4_backends", 0), Layout.V1_9) == (
        "SERVICE ADDRESS   BACKEND ADDRESS\n"
        "10.96.0.10:80     0.0.0.0:0 (1) [ClusterIP]   \n"
        "                  10.244.1.192:8080 (1)       \n"
    )


def test_services_of_1_18_have_the_keys_a_running_agent_showed() -> None:
    found = services(lb("cilium_lb4_backends_v3", 6), Layout.V1_18)
    assert list(found) == shown_services()
    assert found["10.96.0.10:80/TCP (0)"] == ["0.0.0.0:0 (1) (0) [ClusterIP] "]
    assert found["10.96.0.10:80/TCP (1)"] == ["10.244.1.192:8080/TCP (1) (1)"]


def test_a_slot_without_its_backend_says_so() -> None:
    one = table("cilium_lb6_services_v2", {"address": "fd00::1", "dport": 80, "backend_slot": 2})
    assert services([one], Layout.V1_9) == {"[fd00::1]:80": ["backend 0 not found"]}


def test_l7_services_show_their_proxy_port() -> None:
    one = table("cilium_lb4_services_v2", SERVICE | {"proto": 6, "flags2": 4, "backend_id": 0x1234})
    [[line]] = services([one], Layout.V1_18).values()
    assert line.endswith("[ClusterIP, non-routable, l7-load-balancer] (L7LB Proxy Port: 13330)")


def shown_services() -> list[str]:
    """The keys a running 1.18 agent showed."""
    maps = json.loads((CAPTURES / "real-1.18-svc" / "map-list.json").read_text())["maps"]
    [found] = (one for one in maps if Path(one["path"]).name == "cilium_lb4_services_v2")
    return [entry["key"] for entry in found["cache"]]


def test_protocols_are_shown_since_1_17() -> None:
    tables = lb("cilium_lb4_backends_v3", 6)
    assert services(tables, Layout.V1_16) == {
        "10.96.0.10:80 (0)": ["0.0.0.0:0 (1) (0) [ClusterIP] "],
        "10.96.0.10:80 (1)": ["10.244.1.192:8080 (1) (1)"],
    }
    assert list(services(tables, Layout.V1_17)) == [
        "10.96.0.10:80/TCP (0)",
        "10.96.0.10:80/TCP (1)",
    ]


@pytest.mark.parametrize(
    ("layout", "flags", "shown"),
    [
        (Layout.V1_9, 0x40, "ClusterIP"),
        (Layout.V1_9, 0x32C4, "ClusterIP, Local, check source-range"),
        (
            Layout.V1_15,
            0x3EC4,
            (
                "ClusterIP, Local, InternalLocal, two-scopes, check source-range, 46x64, "
                "l7-load-balancer, loopback"
            ),
        ),
        (Layout.V1_16, 0xC8C0, "ClusterIP, check source-range, loopback"),
        (Layout.V1_17, 0xC8C0, "ClusterIP, check source-range, deny, loopback, dsr"),
        (Layout.V1_18, 0xC8C0, "ClusterIP, check source-range, deny, delegate-if-local, dsr"),
        (Layout.V1_18, 0x4848, "HostPort, loopback, quarantined"),
        (Layout.V1_19, 0xC000, "ClusterIP, non-routable, quarantined, dsr"),
    ],
)
def test_flags_have_the_words_of_their_release(layout: Layout, flags: int, shown: str) -> None:
    assert ", ".join(flag_texts(flags, layout)) == shown


def test_frontends_are_shown_as_they_are_kept() -> None:
    slots = [table("cilium_lb4_services_v2", SLOTS[0] | {"proto": 6, "flags2": 0x40, "qcount": 2})]
    assert services_text(slots, Layout.V1_18, ServiceView.FRONTENDS) == (
        "SERVICE ADDRESS         BACKEND ID\n10.96.0.10:80/TCP (0)   0 1[2] (1) [0x40 0x40]   \n"
    )
    assert services(slots, Layout.V1_16, ServiceView.FRONTENDS) == {
        "10.96.0.10:80 (0)": ["0 1 (1) [0x40 0x40]"]
    }


def test_backends_of_the_third_generation_come_without_their_port() -> None:
    old = {"id": 3, "address": "fd00::8", "port": 8080, "proto": 6}
    assert services([table("cilium_lb6_backends_v2", old)], Layout.V1_15, ServiceView.BACKENDS) == {
        "3": ["TCP://[fd00::8]:8080"]
    }
    new = old | {"cluster_id": 5, "zone": 1}
    assert services([table("cilium_lb6_backends_v3", new)], Layout.V1_18, ServiceView.BACKENDS) == {
        "3": ["TCP://fd00::8@5[]"]
    }


@pytest.mark.parametrize(
    ("layout", "second"),
    [
        (Layout.V1_9, "BACKEND ADDRESS"),
        (Layout.V1_18, "BACKEND ADDRESS (REVNAT_ID) (SLOT)"),
    ],
)
def test_reverse_nat(layout: Layout, second: str) -> None:
    four = table("cilium_lb4_reverse_nat", {"id": 300, "address": "10.96.0.10", "port": 80})
    six = table("cilium_lb6_reverse_nat", {"id": 300, "address": "fd00::1", "port": 443})
    assert services_text([four, six], layout, ServiceView.REVNAT) == (
        f"ID    {second}\n300   10.96.0.10:80   \n      [fd00::1]:443   \n"
    )


def test_source_ranges_have_no_value() -> None:
    one = {"prefixlen": 32 + 8, "rev_nat_id": 7, "address": "10.0.0.0"}
    ranges = [table("cilium_lb4_source_range", one)]
    assert services_text(ranges, Layout.V1_18, ServiceView.SOURCE_RANGES) == (
        "SOURCE RANGE (REVNAT_ID)   \n10.0.0.0/8 (7)                  \n"
    )
    assert services(ranges, Layout.V1_18, ServiceView.SOURCE_RANGES) == {"10.0.0.0/8 (7)": [""]}


@pytest.mark.parametrize(
    "view", [ServiceView.FRONTENDS, ServiceView.BACKENDS, ServiceView.SOURCE_RANGES]
)
def test_1_9_has_no_such_view(view: ServiceView) -> None:
    with pytest.raises(UsageError, match=f"The tool of Cilium 1.9 has no list of {view}"):
        services([], Layout.V1_9, view)
