"""``ct stats`` and ``--filter`` on dump files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from ctconsole.cli.main import root as cli
from ctconsole.errors import UsageError
from ctconsole.lab.foreign_api import endpoint
from tests.support.captures import CAPTURES
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

REAL = CAPTURES / "real-1.18-svc"


def ctconsole(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments], standalone_mode=False)


def test_statistics_of_a_dump() -> None:
    done = ctconsole("ct", "stats", "--from-dump", REAL, "--json")
    found = {one["map"]: one for one in json.loads(done.stdout)}
    services = found["cilium_ct4_global"]["services"]
    assert [(one["address"], one["port"]) for one in services] == [("10.96.0.10", 80)]
    # A listing beside the dumps tells how long its entries live.
    assert found["cilium_ct4_global"]["clock"]


def test_statistics_for_people() -> None:
    done = ctconsole("ct", "stats", "--from-dump", REAL, "--now", "1")
    assert done.return_value == 0
    assert "TCP 10.96.0.10:80" in done.stdout
    assert "alive" in done.stdout


def test_a_filter_cuts_every_output() -> None:
    for output in ("json", "csv", "table", "cilium"):
        listed = ctconsole("ct", "list", "--from-dump", REAL, "-o", output, "--filter", "dir:svc")
        assert "10.96.0.10" in listed.stdout
        assert "8472" not in listed.stdout
    bad = ctconsole("ct", "list", "--from-dump", REAL, "--filter", "colour:red")
    assert isinstance(bad.exception, UsageError)


def test_those_who_fill_a_table_are_named_where_the_files_tell(tmp_path: Path) -> None:
    keys, values = ct4_rows(2, lifetime=1000)
    rows = [
        {"key": [f"{byte:#04x}" for byte in key], "value": [f"{byte:#04x}" for byte in value]}
        for key, value in zip(keys.tolist(), values.tolist(), strict=True)
    ]
    (tmp_path / "cilium_ct4_global.json").write_text(json.dumps(rows), "ascii")
    told = {"endpoint-list": [endpoint(7, "shop/web-1", "10.0.0.1", 4711)]}
    (tmp_path / "cilium-debuginfo-1.json").write_text(json.dumps(told), "ascii")
    done = ctconsole("ct", "stats", "--names", "--from-dump", tmp_path)
    assert "TCP 10.0.0.1:80" in done.stdout
    assert done.stdout.split("most entries by destination")[1].split()[2:] == ["2", "shop/web-1"]
    done = ctconsole("ct", "stats", "--names", "--json", "--from-dump", tmp_path)
    [found] = json.loads(done.stdout)
    assert [one["name"] for one in found["destinations"]] == ["shop/web-1"]
