"""Files as operators have them, through the verbs: what is listed and how the verb ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ctconsole.cli.main import root as cli
from ctconsole.errors import FormatError

CASES = Path(__file__).parents[2] / "data" / "cases"


def ctconsole(verb: str, case: str, *arguments: str) -> Result:
    files = [part for path in sorted(CASES.glob(f"{case}*")) for part in ("--from-dump", str(path))]
    return CliRunner().invoke(cli, [*verb.split(), *files, *arguments], standalone_mode=False)


def listed(verb: str, case: str) -> list[dict[str, Any]]:
    done = ctconsole(verb, case, "-o", "json")
    assert done.return_value == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


LISTS = [
    ("nat list", "40", 4, {"source": "10.5.2.101", "to_port": 52018, "age_seconds": 1500321}),
    ("nat list", "42", 2, {"direction": "in", "to_address": "10.5.2.101", "needs_ct": 1}),
    ("nat list", "70", 2, {"pod": "cilium-4zq7p", "destination_port": 443, "age_seconds": 465}),
    ("nat list", "72", 2, {"source": "198.51.100.7", "to_address": "10.244.1.40"}),
    (
        "nat list",
        "88",
        1,
        {"source": "10.0.0.10", "to_address": "172.16.0.5"},
    ),
    ("lb list", "43", 6, {"address": "10.99.0.10", "backend_address": "10.118.1.62", "rev_nat": 2}),
    ("lb list", "70", 8, {"address": "203.0.113.90", "scope": "internal", "slot": 9}),
    ("policy list", "45", 4, {"labels": ["cidr:198.51.100.0/24", "reserved:world"]}),
    ("policy list", "46", 3, {"identity": 412, "port": 53, "protocol": "UDP", "bytes": 796}),
    ("metrics list", "49", 6, {"reason": "CT: Map insertion failed", "packets": 17, "line": 1090}),
    ("metrics list", "70", 6, {"pod": "cilium-4zq7p", "file": "bpf_host.c"}),
    ("metrics list", "80", 2, {"means": "a lock of the table was busy; it need not be full"}),
    ("ipcache list", "51", 3, {"prefix": "10.0.1.14/32", "identity": 31244, "flags": "hastunnel"}),
    ("endpoint list", "52", 2, {"address": "10.15.117.125", "endpoint": 1290, "ifindex": 22}),
]


@pytest.mark.parametrize(("verb", "case", "count", "row"), LISTS)
def test_lists(verb: str, case: str, count: int, row: dict[str, Any]) -> None:
    rows = listed(verb, case)
    assert len(rows) == count
    assert any(one | row == one for one in rows), rows
    for output in ("table", "csv", "ndjson"):
        done = ctconsole(verb, case, "-o", output)
        assert done.return_value == 0
        value = next(iter(row.values()))
        assert (value[0] if isinstance(value, list) else str(value)) in done.stdout


MAPS: list[tuple[str, dict[str, Any], int]] = [
    ("47", {"name": "cilium_ipcache", "entries": 233}, 8),
    ("47", {"name": "cilium_ct4_global", "entries": None}, 8),
    ("70", {"name": "cilium_ct4_global", "pod": "cilium-9vv2m", "max_entries": 287994}, 16),
    ("76", {"name": "cilium_ct4_global", "id": 618, "max_entries": 524288}, 2),
    ("77", {"name": "cilium_ipcache", "id": 877, "max_entries": 512000}, 3),
    ("78", {"name": "cilium_ct4_global", "fill": 0.9732, "entries": None}, 1),
    ("79", {"name": "TCP connection tracking", "max_entries": 287994}, 5),
]


@pytest.mark.parametrize(("case", "row", "count"), MAPS)
def test_maps(case: str, row: dict[str, Any], count: int) -> None:
    rows = listed("map list", case)
    assert len(rows) == count
    assert any(one | row == one for one in rows), rows
    table = ctconsole("map list", case)
    assert (table.return_value, len(table.stdout.splitlines())) == (0, count)


def test_two_maps_of_one_name_are_told() -> None:
    notes = [one["note"] for one in listed("map list", "77") if one["name"] == "cilium_ipcache"]
    assert notes == ["2 maps have this name: one at most is in use, others orphans"] * 2


@pytest.mark.parametrize("case", ["35", "36"])
def test_the_tools_own_json_is_read(case: str) -> None:
    [one] = listed("ct list", case)
    assert (one["source_port"], one["destination_port"], one["lifetime"]) == (34172, 8080, 9507)


@pytest.mark.parametrize("output", ["json", "ndjson", "csv"])
@pytest.mark.parametrize("case", ["08", "09", "01", "03", "83"])
def test_our_own_listings_are_read_again(case: str, output: str, tmp_path: Path) -> None:
    first = ctconsole("ct list", case, "-o", output).stdout
    (tmp_path / "saved").write_text(first)
    again = CliRunner().invoke(
        cli,
        ["ct", "list", "--from-dump", str(tmp_path / "saved"), "-o", output],
        standalone_mode=False,
    )
    assert again.stdout == first


def test_the_tools_yaml_is_read(tmp_path: Path) -> None:
    text = CASES.joinpath("36-ct-list-1.18-pretty.json").read_text()
    [item] = json.loads(text)
    lines = ["- Key:", "    DestAddr:"]
    lines += [f"    - {octet}" for octet in item["Key"].pop("DestAddr")]
    lines += ["    SourceAddr:", *(f"    - {octet}" for octet in item["Key"].pop("SourceAddr"))]
    lines += [f"    {name}: {value}" for name, value in item["Key"].items()]
    lines += ["  Value:", *(f"    {name}: {value}" for name, value in item["Value"].items())]
    (tmp_path / "saved").write_text("\n".join(lines))
    done = CliRunner().invoke(
        cli,
        ["ct", "list", "--from-dump", str(tmp_path / "saved"), "-o", "json"],
        standalone_mode=False,
    )
    assert done.stdout == ctconsole("ct list", "36", "-o", "json").stdout


@pytest.mark.parametrize(
    ("verb", "case", "said"),
    [
        ("ct list", "40", "holds the tool's NAT listing: use ctconsole nat list"),
        ("ct stats", "79", "holds an agent's status: use ctconsole map list"),
        ("nat list", "09", "holds the tool's conntrack listing: use ctconsole ct list"),
        ("ct list", "06", "holds the properties of maps without their entries"),
        ("map list", "29", "can't get map info: Invalid argument"),
    ],
)
def test_what_is_something_else_is_said_to_be_that(verb: str, case: str, said: str) -> None:
    done = ctconsole(verb, case)
    assert isinstance(done.exception, FormatError)
    assert said in str(done.exception)


def test_what_1_14_printed_is_printed_so() -> None:
    done = ctconsole("ct list", "84", "-o", "cilium")
    text = next(CASES.glob("84*")).read_text()
    assert done.stdout.split() == text.split()


@pytest.mark.parametrize(
    ("case", "code"), [("07", 0), ("18", 1), ("25", 1), ("26", 1), ("90", 0), ("94", 1), ("99", 0)]
)
def test_how_it_ends(case: str, code: int) -> None:
    assert ctconsole("ct list", case).return_value == code


@pytest.mark.parametrize(
    ("case", "where", "said"),
    [
        ("01", "alive", "'alive' needs the node's clock"),
        ("01", "idle>5s", "it was at least 29017933"),
        ("01", "left<1m", "Tell it with --now"),
        ("01", "packets>3", "every one is 0, as without bpf-conntrack-accounting"),
        ("31", "alive", ""),
        ("09", "alive", ""),
    ],
)
def test_a_filter_that_nothing_can_answer_says_so(case: str, where: str, said: str) -> None:
    done = ctconsole("ct list", case, "--filter", where)
    assert (said in str(done.exception)) if said else (done.return_value == 0)


def test_of_a_bound_the_dead_are_known() -> None:
    done = ctconsole("ct list", "01", "-o", "ndjson", "--filter", "expired")
    assert len(done.stdout.splitlines()) == 2
    alive = [one["alive"] for one in json.loads(ctconsole("ct list", "01", "-o", "json").stdout)]
    assert alive == [False, None, False, None]


def test_what_a_dump_says_is_kept_and_what_it_does_not_count_is_null() -> None:
    first, *_ = json.loads(ctconsole("ct list", "01", "-o", "json").stdout)
    assert (first["last_rx_report"], first["packets"]) == (28773517, None)


def test_the_address_that_answers_leave_with_is_shown() -> None:
    first, second, _ = json.loads(ctconsole("ct list", "08", "-o", "json").stdout)
    assert (first["nat_address"], first["nat_port"]) == ("172.20.0.7", 41210)
    assert (second["nat_address"], second["nat_port"]) == (None, None)
    assert "nat 172.20.0.7:41210" in ctconsole("ct list", "08").stdout
    assert ",172.20.0.7,41210," in ctconsole("ct list", "08", "-o", "csv").stdout


def states(case: str) -> list[str]:
    return [one["state"] for one in json.loads(ctconsole("ct list", case, "-o", "json").stdout)]


def test_a_connection_that_one_side_closed_is_no_closing_one() -> None:
    assert states("02") == ["half_closed", "half_closed", "established"]
    assert states("87") == ["half_closed"] * 8 + ["closing"]
    [stats] = json.loads(ctconsole("ct stats", "87", "--json").stdout)
    assert (stats["half_closed"], stats["closing"]) == (8, 1)
    done = ctconsole("ct list", "87", "-o", "ndjson", "--filter", "half-closed")
    assert len(done.stdout.splitlines()) == 8


@pytest.mark.parametrize("verb", ["ct stats", "ct risk"])
@pytest.mark.parametrize(
    ("case", "nodes"),
    [
        ("21", ["node-a", "node-b"]),
        ("70", ["cilium-4zq7p", "cilium-9vv2m"]),
        ("97-two", ["97-two-files-node-a", "97-two-files-node-b"]),
        ("97-folder", ["node-a", "node-b"]),
    ],
)
def test_several_nodes_are_told_apart(verb: str, case: str, nodes: list[str]) -> None:
    found = json.loads(ctconsole(verb, case, "--json").stdout)
    assert list(dict.fromkeys(one["node"] or one["pod"] for one in found)) == nodes
    assert all(f"{node}" in ctconsole(verb, case).stdout for node in nodes)
    for node in nodes:
        done = ctconsole("ct list", case, "-o", "json", "--filter", f"node:{node}")
        kept = json.loads(done.stdout)
        assert {one["node"] or one["pod"] for one in kept} == {node}
        csv = ctconsole("ct list", case, "-o", "csv", "--filter", f"!node:{node}").stdout
        assert csv.startswith("map,node,pod,protocol")
        assert f",{node}," not in csv
        assert node in ctconsole("ct list", case).stdout


def test_each_node_has_its_own_clock() -> None:
    found = json.loads(ctconsole("ct list", "70", "-o", "json").stdout)
    left = {one["pod"]: one["remaining_seconds"] for one in found if one["source_port"] == 5353}
    assert left == {"cilium-4zq7p": 58, "cilium-9vv2m": 58}


def test_without_a_clock_nothing_is_counted_as_living() -> None:
    first, second = json.loads(ctconsole("ct stats", "01", "--json").stdout)
    assert (first["clock"], first["alive"], first["expired"]) == (False, None, None)
    assert (first["expired_at_least"], second["expired_at_least"]) == (2, 0)
    assert {one["bytes"] for one in first["sources"]} == {None}
    [risk, _] = json.loads(ctconsole("ct risk", "01", "--json").stdout)
    dead = [one["entries"] for one in risk["changes"][0]["reasons"] if one["risk"] == "dead"]
    assert dead == [2]


def test_a_sysdumps_fill_comes_from_the_status() -> None:
    found = json.loads(ctconsole("ct stats", "70", "--json").stdout)
    assert [one["max_entries"] for one in found] == [287994, 143997] * 2


@pytest.mark.parametrize(
    ("verb", "case", "other"),
    [("ct list", "09", "40"), ("ct stats", "09", "79"), ("nat list", "40", "09")],
)
def test_a_named_file_of_another_kind_is_told(verb: str, case: str, other: str) -> None:
    [path] = CASES.glob(f"{other}*")
    done = ctconsole(verb, case, "--from-dump", str(path))
    assert done.return_value == 0
    assert f"{path.name} holds" in done.stderr
    assert "which is not listed here: use ctconsole" in done.stderr
