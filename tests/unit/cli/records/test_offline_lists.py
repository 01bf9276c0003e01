"""Lists made from files alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click import UsageError
from click.testing import CliRunner, Result

from ctconsole.cli.main import root as cli
from ctconsole.errors import FormatError
from tests.support.bugtool import Bugtool, debuginfo, packed, runtime_config, sysdump
from tests.support.captures import CAPTURES, printed
from tests.support.record_maps import raw, record

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

NOBODY = 65534


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args], standalone_mode=False)


def test_a_folder_is_listed_as_cilium_lists_the_node() -> None:
    result = run("ct", "list", "-o", "cilium", "--from-dump", CAPTURES / "handmade-1.18")
    assert result.stdout_bytes == printed("handmade-1.18", "ct-list.txt")


def test_text_of_cilium_is_listed_as_json() -> None:
    path = CAPTURES / "handmade-1.9" / "ct-list.txt"
    result = run("ct", "list", "-v", "-o", "json", "--from-dump", path)
    entries = json.loads(result.stdout)
    assert len(entries) == 8
    assert "layout 1.9: told by the text" in result.stderr


def test_an_archive_is_read_and_its_damage_told(tmp_path: Path) -> None:
    archive = tmp_path / "node.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(CAPTURES / "real-1.18-svc", "svc")
    assert json.loads(run("ct", "list", "-o", "json", "--from-dump", archive).stdout)
    archive.write_bytes(archive.read_bytes()[:-300])
    damaged = run("ct", "list", "-o", "json", "--from-dump", archive)
    assert f"{archive} is damaged at byte " in damaged.stderr
    assert damaged.return_value == 1


def test_nodes_of_two_releases_keep_their_layouts(tmp_path: Path) -> None:
    for folder in ("handmade-1.9", "real-1.18-svc"):
        source = CAPTURES / folder / "cilium_ct4_global.bpftool.json"
        (tmp_path / folder).mkdir()
        (tmp_path / folder / source.name).write_bytes(source.read_bytes())
    result = run("ct", "list", "-v", "-o", "cilium", "--from-dump", tmp_path)
    lines = [line for line in result.stdout.splitlines() if line]
    assert [" RxPackets=" in line for line in lines] == [True] * 4 + [False] * 3
    assert "layout 1.18, 1.9: " in result.stderr


def test_nat_of_a_folder_as_the_tool_printed_it() -> None:
    folder = CAPTURES / "handmade-1.9"
    result = run(
        *("nat", "list", "-o", "cilium", "--layout", "1.9", "--now", "1060"),
        *("--from-dump", folder),
    )
    assert (
        result.stdout.split(" Created=")[0]
        == (printed("handmade-1.9", "nat-list.txt").decode().split(" Created=")[0])
    )


def test_a_list_that_needs_the_time_says_so() -> None:
    result = run("nat", "list", "-o", "cilium", "--from-dump", CAPTURES / "handmade-1.9")
    assert "Give it with --now" in str(result.exception)


def test_files_without_such_a_map_say_what_was_sought() -> None:
    result = run("policy", "list", "--from-dump", CAPTURES / "handmade-1.9")
    assert isinstance(result.exception, FormatError)
    assert "no dump of a map of this kind (policy or policy statistics) in handmade-1.9" in str(
        result.exception
    )


def test_an_unknown_layout_is_a_usage_error() -> None:
    assert isinstance(run("lb", "list", "--layout", "1.7").exception, UsageError)


def test_map_list_counts_the_maps_of_a_folder() -> None:
    folder = CAPTURES / "real-1.18-svc"
    rows = json.loads(run("map", "list", "--json", "--from-dump", folder).stdout)
    assert {row["name"]: row["entries"] for row in rows} == {
        "cilium_ct4_global": 3,
        "cilium_ct6_global": 0,
        "cilium_ct_any4_global": 2,
        "cilium_ct_any6_global": 0,
    }
    assert {row["group"] for row in rows} == {"connection tracking"}
    assert "cilium_ct4_global" in run("map", "list", "--from-dump", folder).stdout


def bpftool_dump(folder: Path, name: str, *rows: Mapping[str, object]) -> Path:
    """What bpftool writes for a map with these entries; per-CPU maps have two processors."""
    keys, values = raw(name, *rows)
    per_cpu = record(name).per_cpu
    entries = [
        {"key": hexadecimal(key)}
        | (
            {"values": [{"cpu": cpu, "value": hexadecimal(value)} for cpu in (0, 1)]}
            if per_cpu
            else {"value": hexadecimal(value)}
        )
        for key, value in zip(keys, values, strict=True)
    ]
    path = folder / f"{name}.bpftool.json"
    path.write_text(json.dumps(entries))
    return path


def hexadecimal(octets: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> list[str]:
    return [f"0x{octet:02x}" for octet in octets]


WEB = {"prefixlen": 64, "sec_label": 5, "protocol": 6, "dport": 80}
DNS = {"prefixlen": 64, "sec_label": 5, "protocol": 17, "dport": 53}
STATISTICS = {"endpoint_id": 990, "prefix_len": 24, "sec_label": 5, "protocol": 6, "dport": 80}


def test_map_list_says_where_no_map_is(tmp_path: Path) -> None:
    told = run("map", "list", "--from-dump", tmp_path)
    assert str(told.exception) == f"There is no dump of a map in {tmp_path.name}"


def test_rules_have_the_packets_counted_beside_them(tmp_path: Path) -> None:
    bpftool_dump(tmp_path, "cilium_policy_v2_00990", WEB, DNS)
    bpftool_dump(tmp_path, "cilium_policystats", STATISTICS | {"packets": 3, "bytes": 180})
    rows = json.loads(run("policy", "list", "-o", "json", "--from-dump", tmp_path).stdout)
    assert [(row["port"], row["packets"], row["bytes"]) for row in rows] == [
        (80, 6, 360),
        (53, None, None),
    ]
    text = run("policy", "list", "-o", "cilium", "--from-dump", tmp_path)
    assert [line.split()[6:8] for line in text.stdout.splitlines()[4:6]] == [
        ["360", "6"],
        ["-", "-"],
    ]
    as_json = run("policy", "list", "-o", "cilium-json", "--from-dump", tmp_path)
    [policy] = json.loads(as_json.stdout)
    assert [rule["Packets"] for rule in policy["Content"]] == [6, 2**64 - 1]
    table = run("policy", "list", "--from-dump", tmp_path).stdout
    assert table.splitlines()[1].split()[6:8] == ["PACKETS", "BYTES"]
    assert table.splitlines()[3].split()[6:8] == ["-", "-"]


def test_two_nodes_count_apart(tmp_path: Path) -> None:
    for node, packets in (("one", 1), ("two", 2)):
        (tmp_path / node).mkdir()
        bpftool_dump(tmp_path / node, "cilium_policy_v2_00990", WEB)
        bpftool_dump(tmp_path / node, "cilium_policystats", STATISTICS | {"packets": packets})
    lines = run("policy", "list", "-o", "ndjson", "--from-dump", tmp_path).stdout.splitlines()
    assert [json.loads(line)["packets"] for line in lines] == [2, 4]


def test_rules_without_their_statistics_are_told(tmp_path: Path) -> None:
    dump = bpftool_dump(tmp_path, "cilium_policy_v2_00990", WEB)
    result = run("policy", "list", "-o", "csv", "--from-dump", dump)
    assert "There is no cilium_policystats" in result.stderr
    assert ",,," not in result.stdout.splitlines()[0]
    assert result.stdout.splitlines()[1].split(",")[7:9] == ["", ""]


def test_statistics_alone_are_listed(tmp_path: Path) -> None:
    dump = bpftool_dump(tmp_path, "cilium_policystats", STATISTICS | {"packets": 3})
    [row] = json.loads(run("policy", "list", "-o", "json", "--from-dump", dump).stdout)
    assert (row["endpoint"], row["packets"]) == (990, 6)


def test_metrics_have_the_json_of_their_release(tmp_path: Path) -> None:
    dump = bpftool_dump(tmp_path, "cilium_metrics", {"reason": 133, "dir": 1, "count": 1})
    shown = run("metrics", "list", "-o", "cilium-json", "--layout", "1.9", "--from-dump", dump)
    assert json.loads(shown.stdout) == {"reason:133 dir:1": ["count:2 bytes:0"]}
    shown = run("metrics", "list", "-o", "cilium-json", "--from-dump", dump)
    [metric] = json.loads(shown.stdout)
    assert (metric["reason"], metric["packets"]) == ("Policy denied", 2)


def test_a_view_lists_one_kind_of_map(tmp_path: Path) -> None:
    bpftool_dump(tmp_path, "cilium_lb4_reverse_nat", {"id": 7, "address": "10.96.0.1", "port": 443})
    bpftool_dump(tmp_path, "cilium_lb4_backends_v3", {"id": 3, "address": "10.0.0.9", "port": 80})
    view = ("lb", "list", "--from-dump", tmp_path)
    shown = run(*view, "--revnat", "-o", "cilium")
    assert shown.stdout.splitlines()[1].split() == ["7", "10.96.0.1:443"]
    assert "layout 1.16: there is a map cilium_lb4_backends_v3" in shown.stderr
    rows = json.loads(run(*view, "--backends", "-o", "json").stdout)
    assert [row["id"] for row in rows] == [3]
    refused = run(*view, "--backends", "-o", "cilium", "--layout", "1.9")
    assert "The tool of Cilium 1.9 has no list of backends" in str(refused.exception)


def node(tmp_path: Path) -> Path:
    """The bugtool folder of a node whose agent told of itself, taken 1000 s after boot."""
    return Bugtool(
        "real-1.18-a",
        debuginfo=debuginfo("1.18.0", pod="shop/cart", address="10.244.1.40"),
        maps={"cilium_runtime_config": runtime_config(1000)},
    ).write(tmp_path / "cilium-sysdump-1" / "cilium-bugtool-cilium-p5d9l-1")


def test_a_bugtool_folder_tells_its_pods(tmp_path: Path) -> None:
    result = run("ct", "list", "--names", "--from-dump", node(tmp_path))
    assert "shop/cart" in result.stdout


def test_a_bugtool_folder_tells_when_it_was_taken(tmp_path: Path) -> None:
    folder = node(tmp_path)
    result = run("ct", "list", "-o", "cilium", "--time-diff", "--from-dump", folder)
    assert "now 1000: the agent's last sign of life in " in result.stderr
    told = re.findall(r"expires=(\d+) \(remaining: (-?\d+) sec", result.stdout)
    assert told
    assert all(int(lifetime) - 1000 == int(left) for lifetime, left in told)
    [*_, stats] = json.loads(run("ct", "stats", "--json", "--from-dump", folder).stdout)
    assert stats["clock"]


def test_the_agent_in_the_files_tells_whose_output_is_meant(tmp_path: Path) -> None:
    folder = Bugtool("handmade-1.9", tool="cilium", debuginfo=debuginfo("1.9.5")).write(
        tmp_path / "node"
    )
    result = run("nat", "list", "-v", "-o", "cilium", "--now", "1060", "--from-dump", folder)
    assert "layout 1.9: told by the text or the agent in the files" in result.stderr
    assert " HostLocal=" in result.stdout


def test_what_breaks_depends_on_where_the_agent_says_policy_is(tmp_path: Path) -> None:
    told = debuginfo("1.18.0", pod="shop/cart", address="10.244.1.70")
    verdicts = []
    for enabled in ("both", "none"):
        told["endpoint-list"][0]["status"]["policy"] = {"realized": {"policy-enabled": enabled}}
        folder = Bugtool("real-1.18-a", debuginfo=told).write(tmp_path / enabled)
        verdicts.append(json.loads(run("ct", "risk", "--json", "--from-dump", folder).stdout))
    assert verdicts[0] != verdicts[1]


def test_a_time_that_no_file_tells_must_be_given(tmp_path: Path) -> None:
    folder = Bugtool("real-1.18-a").write(tmp_path / "node")
    result = run("ct", "list", "-o", "cilium", "--time-diff", "--from-dump", folder)
    assert isinstance(result.exception, UsageError)
    assert "give it with --now" in str(result.exception)


def test_services_are_named_as_each_node_names_them(tmp_path: Path) -> None:
    for name, service in (("a", "prod/web"), ("b", "prod/other")):
        told = debuginfo("1.18.0", pod=f"shop/{name}", address="10.244.1.40")
        told["service-list"][0]["spec"]["flags"] |= {"name": service.partition("/")[2]}
        Bugtool("real-1.18-svc", debuginfo=told).write(tmp_path / name)
    assert "prod/web" in run("ct", "list", "--names", "--from-dump", tmp_path / "a").stdout
    both = run("ct", "list", "--names", "--from-dump", tmp_path).stdout
    assert both.index("a: cilium_ct4_global") < both.index("prod/web") < both.index("b: cilium_ct4")
    assert both.index("b: cilium_ct4") < both.index("prod/other")


def as_nobody() -> list[str]:
    """What runs a command as a user of no rights.

    Where the checkout lies in a folder only root may walk (/root), one right is left: to read.
    """
    if os.getuid() != 0:
        return []
    argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    folders = [*Path(sys.executable).parents, *Path(__file__).parents]
    if all(folder.stat().st_mode & 0o005 == 0o005 for folder in folders):
        return argv
    return [*argv, "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]


def test_a_sysdump_is_read_without_any_privilege() -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        top.chmod(0o755)
        packed(node(top), "tar.gz")
        archive = sysdump(top / "cilium-sysdump-1")
        archive.chmod(0o644)
        results = [
            subprocess.run(
                [*as_nobody(), sys.executable, "-m", "ctconsole", *verb, "--from-dump", archive],
                cwd="/",
                env={**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            for verb in (
                ("map", "list"),
                ("ct", "list", "--names"),
                ("ct", "list", "--filter", "dport:8080", "-o", "json"),
                ("ct", "stats"),
                ("ct", "risk", "--json"),
            )
        ]
    assert [(one.returncode, "Traceback" in one.stderr) for one in results] == [(0, False)] * 5
    assert "shop/cart" in results[1].stdout
    assert len(json.loads(results[2].stdout)) == 8
    assert "cilium_ct4_global" in {one["map"] for one in json.loads(results[4].stdout)}


@pytest.mark.parametrize("verb", ["ipcache", "endpoint", "metrics"])
@pytest.mark.parametrize("output", ["cilium", "cilium-json", "json"])
def test_a_map_of_unknown_sizes_is_no_other_list_and_no_success(
    tmp_path: Path, verb: str, output: str
) -> None:
    name = {"ipcache": "cilium_ipcache", "endpoint": "cilium_lxc", "metrics": "cilium_metrics"}
    path = tmp_path / f"{name[verb]}.json"
    path.write_text(json.dumps([{"key": ["0x00"] * 23, "value": ["0x00"] * 17}]))
    command = [verb, "list", "-o", output, "--layout", "1.18", "--from-dump", str(path)]
    result = CliRunner().invoke(cli, command, standalone_mode=False)
    assert result.return_value == 1
    assert result.stdout.split() in ([], ["[", "]"], ["[]"])
    assert "no layout known" in result.stderr


def test_translations_in_yaml_are_those_of_the_json(tmp_path: Path) -> None:
    entries = json.loads((CAPTURES / "1.18.3" / "tool" / "nat.json").read_text())
    file = tmp_path / "nat.yaml"
    file.write_text("".join(_yaml(entry) for entry in entries))
    result = run("nat", "list", "-o", "json", "--now", "4429", "--from-dump", file)
    other = CAPTURES / "1.18.3" / "tool" / "nat.json"
    assert result.exit_code == 0, result.stderr
    expected = run("nat", "list", "-o", "json", "--now", "4429", "--from-dump", other)
    assert json.loads(result.stdout) == json.loads(expected.stdout)
    # What begins alike is no conntrack listing.
    assert "use ctconsole nat list" in run("ct", "list", "--from-dump", file).stderr


def _yaml(entry: dict[str, dict[str, object]]) -> str:
    """An entry of a list as the tool prints it: members in order, addresses as lists of bytes."""
    text, before = "", "- "
    for part, members in sorted(entry.items()):
        text += f"{before}{part}:\n"
        before = "  "
        for name, value in sorted(members.items()):
            if isinstance(value, list):
                text += f"    {name}:\n" + "".join(f"    - {byte}\n" for byte in value)
            else:
                text += f"    {name}: {value}\n"
    return text
