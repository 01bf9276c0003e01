"""The lists of Cilium's other maps, as its own tools print them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.cilium_ipcache import ipcache_entries, ipcache_text
from ctconsole.model.cilium_lists import (
    endpoints,
    endpoints_text,
    go_json,
    metrics_text,
    policy_text,
    services,
    services_text,
)
from ctconsole.model.cilium_nat import nat_json, nat_text
from ctconsole.model.dump import read_dump
from ctconsole.model.layout import Layout
from ctconsole.model.records import RecordTable
from ctconsole.model.tabwriter import aligned
from tests.support.captures import CAPTURES, printed
from tests.support.record_maps import info, raw, table

if TYPE_CHECKING:
    from collections.abc import Callable


def captured_nat(now: int) -> RecordTable:
    path = CAPTURES / "handmade-1.9" / "cilium_snat_v4_external.bpftool.json"
    dump = read_dump([path.read_bytes()], str(path))
    return RecordTable.from_raw(info(dump.map_name), dump.keys, dump.values, now=now)


def running_agent(folder: str) -> dict[str, dict[str, str]]:
    """Keys and values as a running agent showed them, by map."""
    maps = json.loads((CAPTURES / folder / "map-list.json").read_text())["maps"]
    return {
        Path(one["path"]).name: {entry["key"]: entry["value"] for entry in one["cache"] or []}
        for one in maps
    }


def test_nat_text_is_what_the_tool_of_1_9_printed() -> None:
    nat = captured_nat(now=1)
    nat = captured_nat(now=int(nat.values["created"][0]) // 10**9 + 1)
    assert b"".join(nat_text(nat, Layout.V1_9)) == printed("handmade-1.9", "nat-list.txt")


def test_nat_text_of_1_18_says_ago_and_needs_ct() -> None:
    one = {"saddr": "fd00::1", "sport": 4, "daddr": "fd00::2", "dport": 5, "nexthdr": 17}
    nat = table(
        "cilium_snat_v6_external",
        one | {"to_addr": "fd00::3", "to_port": 6, "created": 90, "needs_ct": 1},
        one | {"nexthdr": 0},
        one | {"flags": 1, "nexthdr": 132},
        now=100,
    )
    assert b"".join(nat_text(nat, Layout.V1_18)).decode().splitlines() == [
        "UDP OUT fd00::1:4 -> fd00::2:5 XLATE_SRC [fd00::3]:6 Created=10sec ago NeedsCT=1",
        "SCTP IN fd00::1:4 -> fd00::2:5 XLATE_DST [::]:0 Created=100sec ago NeedsCT=0",
        "",
    ]


def test_nat_json_is_what_the_tool_of_1_9_printed() -> None:
    nat = captured_nat(now=1)
    ours = b"".join(nat_json([nat], Layout.V1_9)).decode()
    theirs = printed("handmade-1.9", "nat-list.json").decode()
    created = json.loads(theirs)[0]["Value"]["Created"]
    assert ours == theirs.replace(str(created), str(nat.values["created"][0]))


def address(text: str) -> dict[str, object]:
    return {"address": text, "family": 2 if ":" in text else 1}


@pytest.mark.parametrize("folder", ["real-1.18-a", "real-1.18-svc"])
def test_endpoints_read_as_a_running_agent_showed_them(folder: str) -> None:
    shown = running_agent(folder)["cilium_lxc"]
    rows = []
    for key, value in shown.items():
        row = address(key.rpartition(":")[0])
        if value == "(localhost)":
            row["flags"] = 1
        else:
            fields = dict(part.split("=") for part in value.split())
            row |= {"lxc_id": int(fields["id"]), "sec_id": int(fields["sec_id"])}
            row |= {"ifindex": int(fields["ifindex"])}
            for name, field in (("mac", "mac"), ("nodemac", "node_mac")):
                row[field] = [int(byte, 16) for byte in fields[name].split(":")]
        rows.append(row)
    one = table("cilium_lxc", *rows)
    assert endpoints(one, Layout.V1_18) == {key: [value] for key, value in shown.items()}
    assert endpoints_text(one, Layout.V1_18).startswith("IP ADDRESS  ")


@pytest.mark.parametrize("folder", ["real-1.18-a", "real-1.18-svc"])
def test_ipcache_reads_as_a_running_agent_showed_it(folder: str) -> None:
    shown = running_agent(folder)["cilium_ipcache_v2"]
    rows = []
    for prefix, value in shown.items():
        host, _, bits = prefix.partition("/")
        identity = int(value.split("identity=")[1].split()[0])
        rows.append(address(host) | {"prefixlen": 32 + int(bits), "sec_label": identity})
    one = table("cilium_ipcache_v2", *rows)
    assert ipcache_entries(one, Layout.V1_18) == {key: [value] for key, value in shown.items()}
    text = b"".join(ipcache_text(one, Layout.V1_18)).decode().splitlines()
    assert len({len(line) for line in text}) == 1
    assert text[0].split() == ["IP", "PREFIX/ADDRESS", "IDENTITY"]


def test_ipcache_of_1_9_has_no_flags() -> None:
    one = address("10.0.0.5") | {"prefixlen": 64, "sec_label": 7, "tunnel_endpoint": "10.9.0.1"}
    text = b"".join(ipcache_text(table("cilium_ipcache", one), Layout.V1_9)).decode()
    assert text.splitlines()[1].rstrip().endswith("identity=7 encryptkey=0 tunnelendpoint=10.9.0.1")


SERVICE = {"address": "10.96.0.10", "dport": 80, "rev_nat_index": 1}
SLOTS = (SERVICE | {"count": 1, "flags": 0x40}, SERVICE | {"backend_slot": 1, "backend_id": 3})


def lb(name: str, proto: int) -> list[RecordTable]:
    backend = {"id": 3, "address": "10.244.1.192", "port": 8080, "proto": proto}
    slots = [slot | {"proto": proto} for slot in SLOTS]
    return [table("cilium_lb4_services_v2", *slots), table(name, backend)]


def test_services_of_1_9_are_one_block_each() -> None:
    assert services_text(lb("cilium_lb4_backends", 0), Layout.V1_9) == (
        "SERVICE ADDRESS   BACKEND ADDRESS             \n"
        "10.96.0.10:80     0.0.0.0:0 (1) [ClusterIP]   \n"
        "                  10.244.1.192:8080 (1)       \n"
    )


def test_services_of_1_18_have_the_keys_a_running_agent_showed() -> None:
    found = services(lb("cilium_lb4_backends_v3", 6), Layout.V1_18)
    assert list(found) == list(running_agent("real-1.18-svc")["cilium_lb4_services_v2"])
    assert found["10.96.0.10:80/TCP (0)"] == ["0.0.0.0:0 (1) (0) [ClusterIP] "]
    assert found["10.96.0.10:80/TCP (1)"] == ["10.244.1.192:8080/TCP (1) (1)"]


def test_a_slot_without_its_backend_says_so() -> None:
    one = table("cilium_lb6_services_v2", {"address": "fd00::1", "dport": 80, "backend_slot": 2})
    assert services([one], Layout.V1_9) == {"[fd00::1]:80": ["backend 0 not found"]}


def test_l7_services_show_their_proxy_port() -> None:
    one = table("cilium_lb4_services_v2", SERVICE | {"proto": 6, "flags2": 4, "backend_id": 0x1234})
    [[line]] = services([one], Layout.V1_18).values()
    assert line.endswith("[ClusterIP, non-routable, l7-load-balancer] (L7LB Proxy Port: 13330)")


def test_policy_of_1_9() -> None:
    rows = (
        {"sec_label": 2, "egress": 1},
        {"sec_label": 104, "dport": 8080, "protocol": 6, "proxy_port": 15001, "packets": 2},
        {"sec_label": 1, "flags": 1},
    )
    assert policy_text(table("cilium_policy_00990", *rows), Layout.V1_9) == (
        "cilium_policy_00990:\n\n"
        "POLICY   DIRECTION   IDENTITY   PORT/PROTO   PROXY PORT   BYTES   PACKETS   \n"
        "Deny     Ingress     1          ANY          NONE         0       0         \n"
        "Allow    Ingress     104        8080/TCP     15001        0       2         \n"
        "Allow    Egress      2          ANY          NONE         0       0         \n"
        "\n\n"
    )


def test_policy_of_1_18_names_ranges_by_their_prefix() -> None:
    rows = (
        {"prefixlen": 40, "sec_label": 0},
        {"prefixlen": 58, "sec_label": 5, "protocol": 6, "dport": 8000, "auth_type": 1},
        {"prefixlen": 48, "sec_label": 6, "protocol": 17, "egress": 1},
    )
    lines = policy_text(table("cilium_policy_v2_00990", *rows), Layout.V1_18).splitlines()[3:6]
    assert [" ".join(line.split()) for line in lines] == [
        "POLICY DIRECTION IDENTITY PORT/PROTO PROXY PORT AUTH TYPE BYTES PACKETS PREFIX",
        "Allow Ingress 0 ANY NONE disabled - - 0",
        "Allow Ingress 5 8000-8063/TCP NONE spire - - 18",
    ]


def test_an_empty_policy_says_what_the_tool_says() -> None:
    assert "Policy stats empty." in policy_text(table("cilium_policy_00001"), Layout.V1_9)


def test_metrics_are_sorted_as_texts() -> None:
    rows = (
        {"reason": 0, "dir": 2, "count": 10, "bytes": 600},
        {"reason": 155, "dir": 1, "count": 1, "bytes": 60},
        {"reason": 0, "dir": 1, "count": 9, "bytes": 540},
    )
    one = table("cilium_metrics", *rows, since=Layout.V1_9)
    assert metrics_text(one, Layout.V1_9) == (
        "REASON                     DIRECTION   PACKETS   BYTES\n"
        "CT: Map insertion failed   INGRESS     1         60\n"
        "Success                    EGRESS      10        600\n"
        "Success                    INGRESS     9         540\n"
    )


def test_metrics_of_1_18_say_line_and_file() -> None:
    one = table("cilium_metrics", {"line": 53, "file": 1, "dir": 3}, since=Layout.V1_16)
    assert metrics_text(one, Layout.V1_18).splitlines()[1].split() == [
        *("Success", "SERVICE", "0", "0", "53", "bpf_host.c"),
    ]


def test_a_column_is_as_wide_as_its_block_of_lines() -> None:
    assert aligned([("a", "b", "x"), ("long one", "c", ""), ("alone",), ("d", "")]) == (
        "a          b    x\nlong one   c    \nalone\nd    \n"
    )


def test_json_is_escaped_as_go_does() -> None:
    assert go_json({"a": "<none>"}) == '{\n  "a": "\\u003cnone\\u003e"\n}\n\n'


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cilium_policy_v2_00990", policy_text),
        ("cilium_policy_00990", policy_text),
        ("cilium_lxc", endpoints_text),
        ("cilium_metrics", metrics_text),
    ],
)
def test_bytes_nobody_wrote_can_be_listed(
    name: str, text: Callable[[RecordTable, Layout], str], layout: Layout
) -> None:
    random = np.random.default_rng(3)
    keys, values = (random.integers(0, 256, part.shape, "u1") for part in raw(name, *[{}] * 99))
    shaped = values[:, np.newaxis] if name == "cilium_metrics" else values
    assert text(RecordTable.from_raw(info(name), keys, shaped), layout)
