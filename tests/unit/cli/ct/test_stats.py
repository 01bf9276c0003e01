"""``ct stats`` and ``--filter`` on dump files."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from ctconsole.cli.main import root as cli
from ctconsole.errors import UsageError
from tests.support.captures import CAPTURES

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
