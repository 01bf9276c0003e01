"""The list verbs on real maps of a private bpffs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.errors import GoneError
from ctconsole.kernel import mapwrite, pins
from ctconsole.model.ct.layout import Layout
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.foreign import foreign_node
from tests.support.node_maps import pin

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

SERVICE = {"address": "10.96.0.10", "dport": 80, "rev_nat_index": 1}


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    """A 1.9 node's maps with an entry or two each."""
    nat = {"saddr": "10.0.0.10", "sport": 43210, "daddr": "10.1.1.1", "dport": 80, "nexthdr": 6}
    pin(gate, bpffs, "cilium_snat_v4_external", nat | {"to_addr": "172.16.0.5", "to_port": 1})
    pin(gate, bpffs, "cilium_snat_v6_external")
    pin(
        gate,
        bpffs,
        "cilium_lb4_services_v2",
        SERVICE | {"count": 1, "flags": 0x40},
        SERVICE | {"backend_slot": 1, "backend_id": 3},
    )
    pin(gate, bpffs, "cilium_lb4_backends", {"id": 3, "address": "10.244.1.9", "port": 8080})
    pin(
        gate,
        bpffs,
        "cilium_metrics",
        {"reason": 133, "dir": 1, "count": 1, "bytes": 60},
        since=Layout.V1_9,
    )
    pin(gate, bpffs, "cilium_policy_00990", {"sec_label": 104, "dport": 80, "protocol": 6})
    pin(
        gate,
        bpffs,
        "cilium_ipcache",
        {"prefixlen": 64, "family": 1, "address": "10.0.0.5", "sec_label": 7},
        since=Layout.V1_9,
    )
    pin(gate, bpffs, "cilium_lxc", {"address": "10.0.0.5", "family": 1, "lxc_id": 990})
    return bpffs


def run(*args: str | Path) -> str:
    result = CliRunner().invoke(cli, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def entries(verb: str, node: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(verb, "list", "-o", "json", "--bpf-root", node))
    return found


def test_every_verb_reads_its_maps(node: Path) -> None:
    [nat] = entries("nat", node)
    assert (nat["source"], nat["to_address"]) == ("10.0.0.10", "172.16.0.5")
    assert {entry["map"] for entry in entries("lb", node)} == {
        "cilium_lb4_backends",
        "cilium_lb4_services_v2",
    }
    [policy] = entries("policy", node)
    assert (policy["identity"], policy["port"], policy["protocol"]) == (104, 80, "TCP")
    [address] = entries("ipcache", node)
    assert (address["prefix"], address["identity"]) == ("10.0.0.5/32", 7)
    [endpoint] = entries("endpoint", node)
    assert (endpoint["address"], endpoint["endpoint"]) == ("10.0.0.5", 990)


def test_metrics_are_summed_over_the_processors(node: Path) -> None:
    [metric] = entries("metrics", node)
    possible = int(metric["packets"])  # type: ignore[call-overload]  # JSON numbers
    assert possible >= (os.cpu_count() or 1)
    assert metric["bytes"] == 60 * possible


def test_cilium_output_goes_by_the_generation_of_the_maps(node: Path) -> None:
    lb = run("lb", "list", "--output", "cilium", "--bpf-root", node)
    # Within a service 1.9 keeps the order of the map, which the kernel draws by lot.
    assert lb.splitlines()[1].startswith("10.96.0.10:80     ")
    assert "  0.0.0.0:0 (1) [ClusterIP]" in lb
    nat = run("nat", "list", "--output", "cilium", "--bpf-root", node)
    assert nat.startswith("TCP OUT 10.0.0.10:43210 -> 10.1.1.1:80 XLATE_SRC 172.16.0.5:1 Created=")
    assert "NeedsCT=0" in run("nat", "list", "-o", "cilium", "--layout", "1.18", "--bpf-root", node)
    policy = run("policy", "list", "-o", "cilium", "--bpf-root", node)
    assert policy.startswith(f"{node / GLOBALS}/cilium_policy_00990:\n\n")


def test_rules_have_the_packets_counted_beside_them(gate: Gate, bpffs: Path) -> None:
    web = {"sec_label": 5, "protocol": 6, "dport": 80}
    pin(gate, bpffs, "cilium_policy_v2_00990", web | {"prefixlen": 64})
    counted = web | {"endpoint_id": 990, "prefix_len": 24, "packets": 3, "bytes": 180}
    pin(gate, bpffs, "cilium_policystats", counted, counted | {"endpoint_id": 991})
    [rule] = entries("policy", bpffs)
    possible = int(rule["packets"]) // 3  # type: ignore[call-overload]  # JSON numbers
    assert possible >= (os.cpu_count() or 1)
    assert rule["bytes"] == 180 * possible
    text = run("policy", "list", "-o", "cilium", "--bpf-root", bpffs).splitlines()
    assert text[:2] == ["Endpoint ID: 990", f"Path: {bpffs / GLOBALS}/cilium_policy_v2_00990"]
    assert text[4].split()[-3:] == [str(180 * possible), str(3 * possible), "24"]


def test_the_agent_tells_the_release(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        pin(gate, bpffs, "cilium_lb4_services_v2", SERVICE | {"proto": 6, "flags": 0x40})
        result = CliRunner().invoke(
            cli,
            ["lb", "list", "-v", "-o", "cilium", "--bpf-root", str(bpffs)],
            catch_exceptions=False,
        )
    assert "layout 1.18: Cilium 1.18.0, from the agent's API" in result.stderr
    assert result.stdout.splitlines()[1].startswith("10.96.0.10:80/TCP (0)")


def test_sizes_nobody_knows_are_shown_as_bytes(gate: Gate, bpffs: Path) -> None:
    with mapwrite.create(gate, MapSpec("cilium_lxc", MapType.HASH, 20, 52, 4)) as live:
        pins.pin(gate, live, bpffs / GLOBALS / "cilium_lxc")
        mapwrite.update(gate, live, b"k" * 20, b"v" * 52)
    result = CliRunner().invoke(cli, ["endpoint", "list", "--bpf-root", str(bpffs)])
    assert "cilium_lxc has keys of 20 and values of 52 bytes" in result.stderr
    assert "key 6b 6b" in result.stdout


@pytest.mark.parametrize(
    ("verb", "layout", "code", "text", "json_text"),
    [
        ("nat", "1.9", 0, "", "[]\n\n"),
        ("nat", "1.13", 0, "", "[]\n\n"),
        ("nat", "1.14", 1, "", ""),
        ("lb", "1.11", 0, "SERVICE ADDRESS   BACKEND ADDRESS\n", "{}\n\n"),
        ("lb", "1.20", 0, "SERVICE ADDRESS   BACKEND ADDRESS (REVNAT_ID) (SLOT)\n", "{}\n\n"),
        ("policy", "1.9", 0, "", ""),
        ("policy", "1.12", 0, "no maps found\n", "no maps found\n"),
        ("policy", "1.20", 0, "no maps found\n", "no maps found\n"),
        ("ipcache", "1.9", 1, "", ""),
        ("endpoint", "1.20", 1, "", ""),
        ("metrics", "1.15", 1, "", ""),
    ],
)
def test_where_no_map_is_the_tools_say_what_they_say(
    bpffs: Path, *, verb: str, layout: str, code: int, text: str, json_text: str
) -> None:
    for output, wanted in (("cilium", text), ("cilium-json", json_text)):
        arguments = [verb, "list", "-o", output, "--layout", layout, "--bpf-root", str(bpffs)]
        result = CliRunner().invoke(cli, arguments)
        assert (result.exit_code, result.stdout) == (code, wanted)


@pytest.mark.parametrize(
    ("layout", "code", "listed", "listed_json"),
    [("1.12", 0, 1, 1), ("1.13", 0, 1, 1), ("1.14", 1, 1, 0), ("1.20", 1, 1, 0)],
)
def test_a_missing_table_of_translations_ends_the_list_since_1_14(
    gate: Gate, bpffs: Path, *, layout: str, code: int, listed: int, listed_json: int
) -> None:
    one = {"saddr": "10.0.0.10", "daddr": "10.1.1.1", "nexthdr": 6}
    pin(gate, bpffs, "cilium_snat_v4_external", one)
    # IPv6 is on.
    pin(gate, bpffs, "cilium_lb6_reverse_nat")
    for output, word, count in (
        ("cilium", "XLATE_SRC", listed),
        ("cilium-json", '"DestAddr"', listed_json),
    ):
        arguments = ["nat", "list", "-o", output, "--layout", layout, "--bpf-root", str(bpffs)]
        result = CliRunner().invoke(cli, arguments)
        assert (result.exit_code, result.stdout.count(word)) == (code, count)
        assert output != "cilium" or result.stdout.endswith("\n\n")


def test_policies_have_the_heading_of_labels_unless_numbers_are_asked_for(
    gate: Gate, bpffs: Path
) -> None:
    pin(gate, bpffs, "cilium_policy_v2_00990", {"sec_label": 104, "prefixlen": 40})
    arguments = ["policy", "list", "-o", "cilium", "--layout", "1.18", "--bpf-root", str(bpffs)]
    alone = CliRunner().invoke(cli, arguments)
    assert "LABELS (source:key[=value])" in alone.stdout
    assert "Allow    Ingress     104 " in alone.stdout
    assert "The labels of identities are not known here" in alone.stderr
    numeric = CliRunner().invoke(cli, [*arguments, "-n"])
    assert "Allow    Ingress     104        " in numeric.stdout
    assert " IDENTITY " in numeric.stdout


def test_a_node_without_the_map_says_where_it_looked(bpffs: Path) -> None:
    result = CliRunner().invoke(cli, ["nat", "list", "--bpf-root", str(bpffs)])
    assert isinstance(result.exception, GoneError)


def test_conntrack_entries_get_names_from_the_maps(node: Path, gate: Gate) -> None:
    with mapwrite.create(gate, MapSpec("cilium_ct4", MapType.LRU_HASH, 14, 56, 16)) as live:
        pins.pin(gate, live, node / GLOBALS / "cilium_ct4_global")
        key = bytes([10, 0, 0, 5, 8, 8, 8, 8, 0, 53, 0x9C, 0x40, 6, 0])
        value = bytearray(56)
        value[39] = 1
        mapwrite.update(gate, live, key, bytes(value))
    names = ("ct", "list", "--names", "--layout", "1.9", "--bpf-root", node)
    [entry] = json.loads(run(*names, "-o", "json"))
    assert (entry["source_name"], entry["destination_name"], entry["service_name"]) == (
        "endpoint 990",
        None,
        "10.96.0.10:80",
    )
    assert "[endpoint 990 -> -, service 10.96.0.10:80]" in run(*names)
