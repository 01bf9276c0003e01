"""``check``: one line and an exit code for monitoring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from ctconsole.cli import check
from ctconsole.cli.check import CheckState
from ctconsole.cli.main import root
from ctconsole.errors import GoneError
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

CT4 = CAPTURES / "real-1.18-svc" / "cilium_ct4_global.bpftool.json"


def table(name: str, entries: int | None, *, full: bool = False, group: str = "") -> dict[str, Any]:
    return {
        "name": f"cilium_{name}",
        "path": f"/sys/fs/bpf/tc/globals/cilium_{name}",
        "id": 7,
        "entries": entries,
        "max_entries": 1000,
        "fill": None if entries is None else entries / 1000,
        "full": full,
        "group": group or "connection tracking",
    }


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[..., Result]]:
    """A node with these maps, and `check` on it."""

    def made(*rows: dict[str, Any]) -> Callable[..., Result]:
        monkeypatch.setattr(check, "_of_node", lambda *_: list(rows))
        argv = ["check", "--bpf-root", "/nowhere"]
        return lambda *more: CliRunner().invoke(root, [*argv, *more], standalone_mode=False)

    return made


def test_a_line_names_every_map_with_its_fill_and_figures(
    node: Callable[..., Callable[..., Result]],
) -> None:
    done = node(table("ct4_global", 500), table("lxc", 990, group="endpoints"))()
    assert done.return_value == CheckState.OK
    assert done.stdout == (
        "OK: cilium_ct4_global 50.0% (500 of 1,000) | cilium_ct4_global=500;800;950;0;1000\n"
    )


@pytest.mark.parametrize(
    ("entries", "full", "state"),
    [
        (799, False, CheckState.OK),
        (800, False, CheckState.WARNING),
        (950, False, CheckState.CRITICAL),
        (940, True, CheckState.CRITICAL),
        (None, False, CheckState.UNKNOWN),
    ],
)
def test_the_exit_code_is_what_monitoring_knows(
    node: Callable[..., Callable[..., Result]],
    entries: int | None,
    state: CheckState,
    *,
    full: bool,
) -> None:
    done = node(table("ct4_global", entries, full=full))()
    assert done.return_value == state
    assert done.stdout.startswith(f"{state.name}: cilium_ct4_global ")
    assert ("FULL" in done.stdout) is full


def test_the_worst_map_comes_first_and_decides(
    node: Callable[..., Callable[..., Result]],
) -> None:
    run = node(table("ct4_global", 10), table("ct_any4_global", 960), table("ct6_global", None))
    done = run()
    assert done.return_value == CheckState.CRITICAL
    assert done.stdout.startswith("CRITICAL: cilium_ct_any4_global 96.0%")
    assert run("ct4", "ct6").return_value == CheckState.UNKNOWN
    told = json.loads(run("--json", "any4", "--critical", "97").stdout)
    assert (told["state"], told["maps"][0]["state"]) == ("WARNING", "WARNING")


def test_what_cannot_be_read_is_unknown(
    node: Callable[..., Callable[..., Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = node(table("ct4_global", 10))
    missing = run("ct5")
    assert (missing.return_value, missing.stdout[:9]) == (CheckState.UNKNOWN, "UNKNOWN: ")
    assert node()().return_value == CheckState.UNKNOWN

    def gone(*_: object) -> list[dict[str, Any]]:
        raise GoneError(2, "open", "/nowhere")

    monkeypatch.setattr(check, "_of_node", gone)
    assert run().return_value == CheckState.UNKNOWN
    assert json.loads(run("-o", "json").stdout)["state"] == "UNKNOWN"


def test_bounds_that_make_no_sense_are_refused(node: Callable[..., Callable[..., Result]]) -> None:
    run = node(table("ct4_global", 10))
    assert "--critical is below --full" in str(run("--full", "99%").exception)
    assert "is not between" in str(run("--full", "0").exception)
    assert "no number of percent" in str(run("--full", "much").exception)


def test_a_dump_is_checked_too() -> None:
    done = CliRunner().invoke(root, ["check", "--from-dump", str(CT4)], standalone_mode=False)
    assert done.return_value == CheckState.UNKNOWN
    assert done.stdout == "UNKNOWN: cilium_ct4_global not known\n", "a dump tells no maximum"


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What a person has settled."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "ctconsole" / "config.toml"
    path.parent.mkdir()
    return lambda text: void(path.write_text(text))


def void(_: object) -> None:
    """Nothing."""


def test_a_map_is_held_against_its_own_thresholds(
    node: Callable[..., Callable[..., Result]], settled: Callable[[str], None]
) -> None:
    settled("[thresholds.ct4]\nwarn = 30\ncrit = 40\n")
    checked = node(table("ct4_global", 450), table("ct_any4_global", 450))
    done = checked()
    assert done.return_value == CheckState.CRITICAL
    assert "cilium_ct4_global=450;300;400;0;1000" in done.stdout
    assert "cilium_ct_any4_global=450;800;950;0;1000" in done.stdout
    assert checked("--full", "50%", "--critical", "60%").return_value == CheckState.OK
    assert "ct4_global=450;500;500;" in checked("--full", "50%").stdout


def test_what_is_settled_of_all_maps_counts_where_nothing_is_asked_for(
    node: Callable[..., Callable[..., Result]], settled: Callable[[str], None]
) -> None:
    settled("[thresholds]\nwarn = 40\n")
    checked = node(table("ct4_global", 450))
    assert checked().return_value == CheckState.WARNING
    assert checked("--full", "50%").return_value == CheckState.OK


def test_bad_thresholds_are_told_and_do_not_count(
    node: Callable[..., Callable[..., Result]], settled: Callable[[str], None]
) -> None:
    settled("[thresholds.ct4]\nfull = 30\n")
    done = node(table("ct4_global", 450))()
    assert done.return_value == CheckState.OK
    assert "config.toml:2: thresholds.ct4.full is no field. A map has warn and crit." in done.stderr
