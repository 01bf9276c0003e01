"""``ct risk`` on dump files, where everything it knows is in the files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from ctconsole.cli.main import root as cli
from ctconsole.errors import UsageError
from tests.support import captures
from tests.support.captures import CAPTURES, FOLDERS

if TYPE_CHECKING:
    from pathlib import Path

SVC = CAPTURES / "real-1.18-svc"
CT4 = "cilium_ct4_global"


def ctconsole(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments], standalone_mode=False)


def told(*arguments: object) -> dict[str, Any]:
    """What is said of the IPv4 TCP table: for each change its reasons, and how many."""
    [found] = json.loads(ctconsole("ct", "risk", CT4, "--json", *arguments).stdout)
    return {
        change["change"]: {
            (one["risk"], one["reason"]): one["entries"] for one in change["reasons"]
        }
        for change in found["changes"]
    }


def write_dump(path: Path, *rows: tuple[bytes, bytes]) -> None:
    """A file as ``bpftool -j map dump`` writes it."""
    items = [
        {"key": [f"0x{byte:02x}" for byte in key], "value": [f"0x{byte:02x}" for byte in value]}
        for key, value in rows
    ]
    path.write_text(json.dumps(items))


def copy_of_ct4(folder: Path) -> None:
    """The hand-made table: among others a client's connection through service 3."""
    name = f"{CT4}.bpftool.json"
    (folder / name).write_bytes((CAPTURES / "handmade-1.18" / name).read_bytes())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_entry_of_a_dump_is_judged(folder: str) -> None:
    done = ctconsole("ct", "risk", "--from-dump", CAPTURES / folder, "--json")
    assert done.return_value == 0
    for found, table in zip(json.loads(done.stdout), captures.tables(folder), strict=True):
        assert found["entries"] == len(table)
        for change in found["changes"]:
            assert sum(one["entries"] for one in change["reasons"]) == len(table)


def test_services_beside_the_table_say_who_breaks(tmp_path: Path) -> None:
    copy_of_ct4(tmp_path)
    assert told("--from-dump", tmp_path)["recreate"]["at_risk", "unknown_service"] == 1
    front = bytes([10, 96, 0, 1, 200, 0, 0, 0, 6, 0, 0, 0])
    two_backends_of_service_3 = bytes([0, 0, 0, 0, 2, 0, 0, 3, 0, 0, 0, 0])
    write_dump(tmp_path / "cilium_lb4_services_v2.json", (front, two_backends_of_service_3))
    assert told("--from-dump", tmp_path)["recreate"]["breaks", "random_backend"] == 1
    write_dump(tmp_path / "cilium_lb4_maglev.json", (bytes([0, 3]), bytes(4)))
    assert told("--from-dump", tmp_path)["recreate"]["comes_back", "one_backend"] == 1


def test_translations_beside_the_table_go_with_a_flush(tmp_path: Path) -> None:
    table = captures.tables("handmade-1.18")[0]
    [out] = [key for key in table.keys if key["flags"] == 0]
    copy_of_ct4(tmp_path)
    packet = out.copy()
    packet["daddr"], packet["saddr"] = out["saddr"].copy(), out["daddr"].copy()
    write_dump(tmp_path / "cilium_snat_v4_external.json", (packet.tobytes(), bytes(40)))
    found = told("--from-dump", tmp_path)
    assert ("breaks", "snat") in found["flush"]
    assert ("breaks", "snat") not in found["recreate"]


def test_for_people_and_entry_by_entry() -> None:
    done = ctconsole("ct", "risk", CT4, "--from-dump", CAPTURES / "handmade-1.18", "--entries")
    assert done.return_value == 0
    assert "1 breaks   direct server return" in done.stdout
    assert done.stdout.count("NodePort DSRInternal") == 1
    filtered = ctconsole(
        "ct", "list", "--from-dump", CAPTURES / "handmade-1.18", "--filter", "risk:breaks"
    )
    assert filtered.stdout.count("DSRInternal") == 1


def test_a_map_that_is_not_there_is_named() -> None:
    done = ctconsole("ct", "risk", "cilium_ct5", "--from-dump", SVC)
    assert isinstance(done.exception, UsageError)
    assert "cilium_ct5" in str(done.exception)
