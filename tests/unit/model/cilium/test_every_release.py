"""What each release's tool prints for one entry, from the format strings of that release.

Each table has the first release that prints a line so; the later ones do until the next.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.cilium.ipcache import ipcache_entries
from ctconsole.model.cilium.lists import endpoints
from ctconsole.model.cilium.metrics import metrics_json, metrics_text
from ctconsole.model.cilium.nat import nat_json, nat_text
from ctconsole.model.cilium.policy import policies_json, policy_text
from ctconsole.model.cilium.services import ServiceView, services
from ctconsole.model.ct.layout import Layout, since
from ctconsole.model.listing.records import render_records_csv
from tests.support.record_maps import record, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ctconsole.model.records.table import RecordTable

NOW = 100
every_release = pytest.mark.parametrize("layout", Layout)


def of(layout: Layout, told: Mapping[Layout, Any]) -> Any:  # noqa: ANN401 - what the table holds
    """What the newest release in a table that is not newer than a layout has there."""
    return [one for first, one in told.items() if since(layout, first)][-1]


def one_of(name: str, layout: Layout, *entries: Mapping[str, Any]) -> RecordTable:
    """A map as that release lays it out; fields it has not got are left out."""
    generations = [first for first in Layout if since(layout, first)]
    known = [first for first in generations if _has(name, first)]
    spec = record(name, known[-1])
    fields = {*(spec.key.names or ()), *(spec.value.names or ())}
    rows = [{key: value for key, value in one.items() if key in fields} for one in entries]
    return table(name, *rows, since=known[-1], layout=layout, now=NOW)


def _has(name: str, layout: Layout) -> bool:
    try:
        record(name, layout)
    except StopIteration:
        return False
    return True


NAT = {"saddr": "10.0.0.1", "sport": 4, "daddr": "10.0.0.2", "dport": 5, "nexthdr": 17}
NAT |= {"to_addr": "10.0.0.3", "to_port": 6, "created": 90, "needs_ct": 1}
UDP = "UDP OUT 10.0.0.1:4 -> 10.0.0.2:5 XLATE_SRC 10.0.0.3:6 Created="


@every_release
def test_nat(layout: Layout) -> None:
    told = {
        Layout.V1_9: f"{UDP}100sec HostLocal=1",
        Layout.V1_13: f"{UDP}100sec NeedsCT=1",
        Layout.V1_14: f"{UDP}10sec ago NeedsCT=1",
    }
    one = one_of("cilium_snat_v4_external", layout, NAT)
    assert b"".join(nat_text(one, layout)).decode() == of(layout, told) + "\n\n"


@every_release
def test_nat_from_the_future(layout: Layout) -> None:
    told = {
        Layout.V1_9: "Created=18446744073709551614sec ",
        Layout.V1_14: "Created=-101999999900sec ago ",
    }
    future = NAT | {"created": 102 * 10**9}
    one = one_of("cilium_snat_v4_external", layout, future)
    assert of(layout, told) in b"".join(nat_text(one, layout)).decode()


@every_release
def test_nat_json_shows_the_last_entry_for_all_up_to_1_13(layout: Layout) -> None:
    one = one_of("cilium_snat_v4_external", layout, NAT, NAT | {"saddr": "10.0.0.9"})
    found = json.loads(b"".join(nat_json([one], layout)))
    sources = [entry["Key"]["SourceAddr"][3] for entry in found]
    assert sources == of(layout, {Layout.V1_9: [9, 9], Layout.V1_14: [1, 9]})
    second = list(found[0]["Value"])[1]
    assert second == of(layout, {Layout.V1_9: "HostLocal", Layout.V1_13: "NeedsCT"})


REMOTE = {"prefixlen": 64, "family": 1, "address": "10.0.0.5", "sec_label": 2, "key": 3}
REMOTE |= {"cluster_id": 5, "tunnel_endpoint": "10.9.0.1", "flags": 1}


@every_release
def test_ipcache(layout: Layout) -> None:
    words = "identity=2 encryptkey=3 tunnelendpoint=10.9.0.1"
    told = {
        Layout.V1_9: "2 3 10.9.0.1",
        Layout.V1_12: words,
        Layout.V1_16: f"{words}, flags=skiptunnel",
        Layout.V1_17: f"{words} flags=skiptunnel",
    }
    prefix = {Layout.V1_9: "10.0.0.5/32", Layout.V1_14: "10.0.0.5/32@5"}
    name = "cilium_ipcache_v2" if since(layout, Layout.V1_18) else "cilium_ipcache"
    found = ipcache_entries(one_of(name, layout, REMOTE), layout)
    assert found == {of(layout, prefix): [of(layout, told)]}


@pytest.mark.parametrize("layout", [Layout.V1_11, Layout.V1_12])
@pytest.mark.parametrize("began", [Layout.V1_9, Layout.V1_13])
def test_where_patches_moved_the_encryption_key_the_bytes_tell(
    layout: Layout, began: Layout
) -> None:
    one = {name: value for name, value in REMOTE.items() if name not in {"cluster_id", "flags"}}
    one |= {"key": 255}
    found = ipcache_entries(table("cilium_ipcache", one, since=began, layout=layout), layout)
    assert "255" in found["10.0.0.5/32"][0]


ENDPOINT = {"address": "fd00::5", "family": 2, "cluster_id": 0, "lxc_id": 7, "flags": 4}
ENDPOINT |= {"sec_id": 300, "ifindex": 9, "parent_ifindex": 2, "rt_info": 8}


@every_release
def test_endpoints(layout: Layout) -> None:
    mac = "00:00:00:00:00:00"
    rest = f"flags=0x0004 ifindex=9   mac={mac} nodemac={mac}"
    told = {
        Layout.V1_9: f"id=7     {rest}",
        Layout.V1_14: f"id=7     sec_id=300   {rest}",
        Layout.V1_17: f"id=7     sec_id=300   {rest} parent_ifindex=2  ",
        Layout.V1_20: f"id=7     sec_id=300   {rest} parent_ifindex=2   rt_info:8",
    }
    key = {Layout.V1_9: "[fd00::5]:0", Layout.V1_14: "fd00::5:0"}
    found = endpoints(one_of("cilium_lxc", layout, ENDPOINT), layout)
    assert found == {of(layout, key): [of(layout, told)]}


@every_release
def test_clusters_are_a_byte_up_to_1_14(layout: Layout) -> None:
    endpoint = {"address": "fd00::5", "family": 2, "cluster_id": 511}
    key = {Layout.V1_9: "[fd00::5]:0", Layout.V1_14: "fd00::5@255:0", Layout.V1_15: "fd00::5@511:0"}
    assert list(endpoints(one_of("cilium_lxc", layout, endpoint), layout)) == [of(layout, key)]
    if since(layout, Layout.V1_13):
        backend = {"id": 6, "address": "10.5.5.15", "proto": 255, "cluster_id": 511}
        one = one_of("cilium_lb4_backends_v3", layout, backend)
        value = {Layout.V1_13: "255://10.5.5.15@255", Layout.V1_15: "255://10.5.5.15@511"}
        assert services([one], layout, ServiceView.BACKENDS) == {"6": [of(layout, value)]}


def test_the_first_patches_of_1_17_print_no_parents() -> None:
    one = one_of("cilium_lxc", Layout.V1_17, ENDPOINT | {"parent_ifindex": 0})
    assert "parent_ifindex" not in str(endpoints(one, Layout.V1_17))
    assert "parent_ifindex=0 " in str(endpoints(one, Layout.V1_18))


METRIC = {"reason": 133, "dir": 1, "count": (1 << 64) - 1, "bytes": 60, "line": 12, "file": 105}


@every_release
def test_metrics(layout: Layout) -> None:
    unsigned = "18446744073709551615"
    told = {
        Layout.V1_9: f"Policy denied INGRESS {unsigned} 60",
        Layout.V1_10: "Policy denied INGRESS -1 60",
        Layout.V1_15: f"Policy denied INGRESS {unsigned} 60",
        Layout.V1_16: f"Policy denied INGRESS {unsigned} 60 12 nodeport.h",
        Layout.V1_19: f"Policy denied INGRESS {unsigned} 60 12 lb.h",
    }
    text = metrics_text(one_of("cilium_metrics", layout, METRIC), layout)
    assert " ".join(text.splitlines()[1].split()) == of(layout, told)


@pytest.mark.parametrize(
    ("release", "file"),
    [(None, "nodeport.h"), (Layout.V1_16, "nodeport.h"), (Layout.V1_19, "lb.h")],
)
def test_our_own_table_names_files_as_the_release_does(release: Layout | None, file: str) -> None:
    one = replace(one_of("cilium_metrics", Layout.V1_16, METRIC), release=release)
    assert f",{file}\n" in b"".join(map(bytes, render_records_csv([one]))).decode()


@every_release
def test_metrics_json(layout: Layout) -> None:
    counts = {"packets": 1, "bytes": 60}
    flat = {"reason": "Policy denied", "direction": "ingress", **counts}
    told = {
        Layout.V1_9: {"reason:133 dir:1": ["count:1 bytes:60"]},
        Layout.V1_10: [
            {"reason": 133, "description": "Policy denied", "values": {"ingress": counts}}
        ],
        Layout.V1_15: [flat],
        Layout.V1_16: [{**flat, "line": 12, "file": "nodeport.h"}],
        Layout.V1_19: [{**flat, "line": 12, "file": "lb.h"}],
    }
    one = one_of("cilium_metrics", layout, METRIC | {"count": 1})
    assert json.loads(metrics_json(one, layout)) == of(layout, told)


FRONT = {"address": "10.96.0.1", "dport": 80, "proto": 6, "rev_nat_index": 7, "flags": 0x40}
SLOTS = (
    FRONT | {"backend_slot": 1, "backend_id": 3},
    FRONT | {"backend_slot": 0, "count": 1, "flags2": 0x3E, "qcount": 2},
)
BACKEND = {"id": 3, "address": "10.1.0.3", "port": 8080, "proto": 6, "cluster_id": 4}


def backends(layout: Layout) -> RecordTable:
    suffix = {Layout.V1_9: "backends", Layout.V1_11: "backends_v2", Layout.V1_13: "backends_v3"}
    return one_of(f"cilium_lb4_{of(layout, suffix)}", layout, BACKEND)


@every_release
def test_services(layout: Layout) -> None:
    """Up to 1.14 the slots stand together and in the map's order."""
    flags = {
        Layout.V1_9: "ClusterIP",
        Layout.V1_12: "ClusterIP, 46x64, l7-load-balancer",
        Layout.V1_13: "ClusterIP, InternalLocal, two-scopes, 46x64, l7-load-balancer, loopback",
        Layout.V1_18: "ClusterIP, InternalLocal, two-scopes, 46x64, l7-load-balancer, "
        "delegate-if-local",
    }
    front, back = "0.0.0.0:0", "10.1.0.3:8080"
    named = f"[{of(layout, flags)}]"
    proxied = f"{front} (7) (0) {named} (L7LB Proxy Port: 0)"
    told = {
        Layout.V1_9: {"10.96.0.1:80": [f"{back} (7)", f"{front} (7) {named}"]},
        Layout.V1_12: {"10.96.0.1:80": [f"{back} (7) (1)", f"{front} (7) (0) {named}"]},
        Layout.V1_15: {"10.96.0.1:80 (0)": [proxied], "10.96.0.1:80 (1)": [f"{back} (7) (1)"]},
        Layout.V1_17: {
            "10.96.0.1:80/TCP (0)": [proxied],
            "10.96.0.1:80/TCP (1)": [f"{back}/TCP (7) (1)"],
        },
        Layout.V1_18: {
            "10.96.0.1:80/TCP (0)": [proxied],
            "10.96.0.1:80/TCP (1)": ["10.1.0.3@4:8080/TCP (7) (1)"],
        },
    }
    fronts = one_of("cilium_lb4_services_v2", layout, *SLOTS)
    assert services([fronts, backends(layout)], layout) == of(layout, told)


@pytest.mark.parametrize("layout", [one for one in Layout if since(one, Layout.V1_12)])
def test_views_of_services(layout: Layout) -> None:
    front = {
        Layout.V1_12: "10.96.0.1:80",
        Layout.V1_15: "10.96.0.1:80 (0)",
        Layout.V1_17: "10.96.0.1:80/TCP (0)",
    }
    value = {Layout.V1_12: "0 1 (7) [0x40 0x3e]", Layout.V1_17: "0 1[2] (7) [0x40 0x3e]"}
    fronts = one_of("cilium_lb4_services_v2", layout, SLOTS[1])
    found = services([fronts], layout, ServiceView.FRONTENDS)
    assert found == {of(layout, front): [of(layout, value)]}
    back = {Layout.V1_12: "TCP://10.1.0.3:8080", Layout.V1_13: "TCP://10.1.0.3@4"}
    assert services([backends(layout)], layout, ServiceView.BACKENDS) == {"3": [of(layout, back)]}


RULE = {"prefixlen": 64, "sec_label": 1, "egress": 1, "protocol": 1, "dport": 0, "proxy_port": 9}
RULE |= {"packets": 5, "bytes": 60}


def policies(layout: Layout) -> RecordTable:
    prefix = {Layout.V1_9: "", Layout.V1_17: "v2_", Layout.V1_20: "v3_"}
    return one_of(f"cilium_policy_{of(layout, prefix)}00042", layout, RULE)


@every_release
def test_policy(layout: Layout) -> None:
    told = {
        Layout.V1_9: "Allow Egress 1 ANY 9 60 5",
        Layout.V1_11: "Allow Egress 1 0/ICMP 9 60 5",
        Layout.V1_14: "Allow Egress 1 0/ICMP 9 disabled 60 5 24",
        Layout.V1_18: "Allow Egress 1 0/ICMP 9 disabled - - 24",
        Layout.V1_19: "Allow Egress 1 0/ICMP 9 disabled - - 24 0",
    }
    assert " ".join(policy_text(policies(layout), layout).split("\n")[-4].split()) == of(
        layout, told
    )


@pytest.mark.parametrize("layout", [Layout.V1_9, Layout.V1_13, Layout.V1_17])
def test_counters_full_of_bits_are_numbers_before_1_18(layout: Layout) -> None:
    full = policies(layout)
    values = full.values.copy()
    values["packets"] = (1 << 64) - 1
    assert " 18446744073709551615 " in policy_text(replace(full, values=values), layout)


@every_release
def test_policy_json(layout: Layout) -> None:
    old = "ProxyPort Flags Pad0 Pad1 Pad2 Packets Bytes"
    lpm = "ProxyPortNetwork Flags AuthType Pad1 Pad2 Packets Bytes"
    new = "ProxyPortNetwork Flags AuthRequirement"
    told = {
        Layout.V1_9: old,
        Layout.V1_13: old.replace("Pad0", "AuthType"),
        Layout.V1_14: lpm,
        Layout.V1_17: f"{new} ProxyPortPriority Pad1 Pad2 Packets Bytes",
        Layout.V1_19: f"{new} Precedence Cookie Packets Bytes",
    }
    text = policies_json([policies(layout)], layout)
    document = json.loads(text[text.index("[") :])
    entries = document if not since(layout, Layout.V1_14) else document[0]["Content"]
    assert " ".join(entries[0]) == of(layout, told) + " Key"


def test_later_patches_of_1_16_have_one_pad_in_their_json() -> None:
    one = policies(Layout.V1_16)
    values = one.values.copy()
    values["flags"] = 24 << 3
    text = policies_json([replace(one, values=values)], Layout.V1_16)
    assert "Pad1" in text
    assert "Pad2" not in text


@every_release
def test_labels_stand_where_numbers_did(layout: Layout) -> None:
    labels = {1: ["k8s:app=web", "reserved:unknown"]}
    lines = policy_text(policies(layout), layout, labels).splitlines()
    titles = next(line for line in lines if line.startswith("POLICY"))
    assert "   LABELS (source:key[=value])   PORT/PROTO " in titles
    first = next(line for line in lines if line.startswith("Allow"))
    assert first.startswith("Allow    Egress      k8s:app=web                   ")
    second = lines[lines.index(first) + 1]
    unknown = of(layout, {Layout.V1_9: "reserved:unknown", Layout.V1_18: "ANY"})
    assert second.startswith(" " * 21 + unknown + " ")
