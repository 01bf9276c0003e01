"""``ctconsole map resize`` on maps that no program uses, and its undo."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.agent.state import StateDir, default_state_dir
from ctconsole.cli.main import root as cli
from ctconsole.errors import UsageError
from ctconsole.history import History
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.resize import pace
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows
from tests.support.terminals import interrupted

if TYPE_CHECKING:
    from click.testing import Result

    from ctconsole.kernel.gate import Gate

LIVING = 1500


@pytest.fixture
def path(gate: Gate, bpffs: Path) -> Path:
    path = bpffs / GLOBALS / CT4.name
    pins.make_folder(gate, path.parent)
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(LIVING, lifetime=ktime() + 1000))
    return path


@pytest.fixture(autouse=True)
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path))
    return tmp_path


def resize(bpffs: Path, *arguments: object) -> Result:
    words = ("map", "resize", CT4.name, *arguments, "--bpf-root", bpffs)
    done = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done


def size(path: Path) -> tuple[int, int]:
    with BpfMap.open(path) as live:
        return live.info.max_entries, live.count()


def test_a_resize_can_be_undone_and_says_so(path: Path, bpffs: Path) -> None:
    done = resize(bpffs, 2 * CT4.max_entries, "--yes")
    assert f"ctconsole map resize {CT4.name} --undo" in done.stderr
    assert size(path) == (2 * CT4.max_entries, LIVING)
    planned = resize(bpffs, "--undo", "--plan")
    assert planned.return_value == 0
    assert planned.stdout.startswith(f"Undo the resize of {CT4.name}: ")
    assert resize(bpffs, "--undo").return_value == 1
    assert size(path) == (2 * CT4.max_entries, LIVING)
    told = json.loads(resize(bpffs, "--undo", "--yes", "--json").stdout)
    assert told["ok"]
    assert told["undo_until"] > 0
    assert size(path) == (CT4.max_entries, LIVING)


@pytest.mark.usefixtures("path")
def test_a_resize_that_no_agent_looks_after_is_in_the_history(bpffs: Path) -> None:
    resize(bpffs, 2 * CT4.max_entries, "--yes")
    with History(StateDir(default_state_dir()).history) as history:
        told = [(event.message, Path(event.subject).name) for _, event in history.read()]
    assert told == [("Resized BPF map", CT4.name)]


@pytest.mark.usefixtures("path")
def test_a_map_that_is_not_there_is_looked_for_somewhere(bpffs: Path) -> None:
    with pytest.raises(UsageError, match=f"No map cilium_x is pinned below {bpffs}"):
        CliRunner().invoke(
            cli,
            ["map", "show", "cilium_x", "--bpf-root", str(bpffs)],
            standalone_mode=False,
            catch_exceptions=False,
        )


def test_without_a_resize_there_is_nothing_to_undo(path: Path, bpffs: Path) -> None:
    with pytest.raises(UsageError, match="not resized of late"):
        resize(bpffs, "--undo", "--yes")
    assert size(path)[0] == CT4.max_entries


@pytest.mark.parametrize("words", [(), ("4096", "--undo"), ("--undo", "--lru", "common")])
def test_a_size_or_undo_and_not_both(path: Path, bpffs: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--undo"):
        resize(bpffs, *words)
    assert size(path)[0] == CT4.max_entries


def test_an_undo_for_which_there_is_no_room_any_more_drops_nothing_unasked(
    gate: Gate, path: Path, bpffs: Path
) -> None:
    resize(bpffs, 4 * CT4.max_entries, "--yes")
    with BpfMap.open(path) as live:
        more = ct4_rows(CT4.max_entries, lifetime=ktime() + 1000, first=9000)
        mapwrite.update_batch(gate, live, *more)
    with pytest.raises(UsageError, match="living entries do not fit"):
        resize(bpffs, "--undo", "--yes")
    assert size(path)[0] == 4 * CT4.max_entries


def test_a_plan_has_a_row_for_each_way_and_lists_whom_it_affects(path: Path, bpffs: Path) -> None:
    assert path.exists()
    told = resize(bpffs, 1024, "--plan", "--affected", "resize").stdout
    lines = [line.split() for line in told.splitlines()]
    assert ["ways", "untouched", "comes-back", "at-risk", "breaks", "dead"] in lines
    dropped = next(int(line[1]) for line in lines if line and line[0] == "dropped")
    assert ["recreate", "0", "0", "1,500", "0", "0"] in lines
    assert any(line[:2] == [f"{CT4.name}:", "resize:"] for line in lines)
    assert told.count("10.0.0.1:") == dropped


def test_a_plan_as_json_has_the_ways_and_the_entries(path: Path, bpffs: Path) -> None:
    assert path.exists()
    words = ("1024", "--plan", "--affected", "resize", "--affected", "recreate", "--json")
    told = json.loads(resize(bpffs, *words).stdout)
    [dropped] = [one["dropped"]["alive"] for one in told["maps"]]
    assert told["ways"]["resize"]["untouched"] == LIVING - dropped
    assert told["ways"]["recreate"]["at_risk"] == LIVING
    ways = [one["way"] for one in told["affected"]]
    assert (ways.count("resize"), ways.count("recreate")) == (dropped, LIVING)
    assert told["affected"][0]["because"]
    assert told["memory_free"] > 0
    assert "8,192 entries" not in told["advice"]


def test_a_plan_goes_by_how_long_a_resize_before_took(
    path: Path, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_FEW", LIVING)
    told = resize(bpffs, 8192, "--plan").stdout
    assert "by how fast entries are read here, and the programs' owner's" in told
    resize(bpffs, 8192, "--yes")
    told = resize(bpffs, 4096, "--plan").stdout
    assert "as the resize before on this node took, and the programs' owner's" in told
    assert json.loads(resize(bpffs, "--undo", "--plan", "--json").stdout)["past_resizes"] == 1
    assert size(path) == (8192, LIVING)


def test_ctrl_c_leads_back_and_says_so(gate: Gate, bpffs: Path) -> None:
    many = 1_000_000
    path = bpffs / GLOBALS / CT4.name
    pins.make_folder(gate, path.parent)
    with open_or_create_map(gate, path, replace(CT4, max_entries=1 << 21)).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(many, lifetime=ktime() + 1000))
        number = live.info.id
    words = ("map", "resize", CT4.name, str(1 << 22), "--yes", "--bpf-root", str(bpffs))
    code, shown = interrupted("gets every entry", *words)
    assert code == 128 + signal.SIGINT, shown
    assert "The resize was cancelled before anything was changed" in shown
    assert "Traceback" not in shown
    with BpfMap.open(path) as live:
        assert (live.info.id, live.count()) == (number, many)
