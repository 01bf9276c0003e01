"""The lists of Cilium's other maps, as its own tools print them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.cilium.ipcache import ipcache_entries, ipcache_text
from ctconsole.model.cilium.lists import endpoints, endpoints_text, go_json
from ctconsole.model.cilium.metrics import metrics_text
from ctconsole.model.cilium.nat import nat_json, nat_text
from ctconsole.model.cilium.policy import policy_text
from ctconsole.model.ct.layout import Layout
from ctconsole.model.readers.dump import read_dump
from ctconsole.model.records.table import RecordTable
from ctconsole.model.text.tabwriter import aligned
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
        "UDP OUT [fd00::1]:4 -> [fd00::2]:5 XLATE_SRC [fd00::3]:6 Created=10sec ago NeedsCT=1",
        "SCTP IN [fd00::1]:4 -> [fd00::2]:5 XLATE_DST [::]:0 Created=100sec ago NeedsCT=0",
        "",
    ]


def test_ages_of_a_node_that_counts_jiffies_are_seconds() -> None:
    rows = ({"nexthdr": 6, "created": 16_777_000}, {"nexthdr": 6, "created": 990 * 10**9})
    nat = replace(table("cilium_snat_v4_external", *rows, now=1000), jiffies=16_777_100, hertz=250)
    ages = b"".join(nat_text(nat, Layout.V1_15)).decode().split("Created=")[1:]
    assert [age.split()[0] for age in ages] == ["102sec", "10sec"]


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
    assert len({len(line) for line in text[1:]}) == 1
    assert text[0].split() == ["IP", "PREFIX/ADDRESS", "IDENTITY"]


def test_ipcache_of_1_9_has_no_flags() -> None:
    one = address("10.0.0.5") | {"prefixlen": 64, "sec_label": 7, "tunnel_endpoint": "10.9.0.1"}
    text = b"".join(ipcache_text(table("cilium_ipcache", one), Layout.V1_9)).decode()
    assert text.splitlines()[1].rstrip().endswith(" 7 0 10.9.0.1")


@pytest.mark.parametrize(
    ("layout", "shown"),
    [
        (Layout.V1_9, ["10.0.0.5:0", "[fd00::5]:0", "nil"]),
        (Layout.V1_18, ["10.0.0.5@3:0", "fd00::5:0", "nil"]),
    ],
)
def test_endpoints_of_other_clusters_and_of_no_family(layout: Layout, shown: list[str]) -> None:
    rows = (address("10.0.0.5") | {"cluster_id": 3}, address("fd00::5"), {"family": 9})
    assert list(endpoints(table("cilium_lxc", *rows), layout)) == shown


def test_an_ipcache_key_of_no_family_is_unknown() -> None:
    rows = ({"family": 9, "prefixlen": 64}, address("10.0.0.5") | {"prefixlen": 64})
    text = b"".join(ipcache_text(table("cilium_ipcache_v2", *rows), Layout.V1_18)).decode()
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["<unknown>", "10.0.0.5/32"]


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
