"""Lists made from files alone."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

from click import UsageError
from click.testing import CliRunner, Result

from ctconsole.cli.main import root as cli
from ctconsole.errors import FormatError
from tests.support.captures import CAPTURES, printed

if TYPE_CHECKING:
    from pathlib import Path


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args], standalone_mode=False)


def test_a_folder_is_listed_as_cilium_lists_the_node() -> None:
    result = run("ct", "list", "-o", "cilium", "--from-dump", CAPTURES / "handmade-1.18")
    assert result.stdout_bytes == printed("handmade-1.18", "ct-list.txt")


def test_text_of_cilium_is_listed_as_json() -> None:
    path = CAPTURES / "handmade-1.9" / "ct-list.txt"
    result = run("ct", "list", "-o", "json", "--from-dump", path)
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
    result = run("ct", "list", "-o", "cilium", "--from-dump", tmp_path)
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
