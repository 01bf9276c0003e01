from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest

from ctconsole.cli.map.verbs import command
from ctconsole.errors import UsageError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

NAME = "cilium_ct4_global"


@pytest.fixture
def root(gate: Gate, bpffs: Path) -> Path:
    """A bpffs with a table of which 3,500 of 4,096 places are taken."""
    spec = MapSpec(NAME, MapType.LRU_HASH, 14, 56, 4096)
    with open_or_create_map(gate, bpffs / GLOBALS / NAME, spec).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(3500, lifetime=ktime() + 1000))
    return bpffs


def run(*arguments: str) -> None:
    command.main(["advise", *arguments], standalone_mode=False)


def test_the_advice_for_people(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--bpf-root", str(root))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == f"{NAME}: 3,500 of 4,096 entries, 85.4% full"
    assert lines[1].split(maxsplit=1) == ["size", "8,192 (enlarge)"]
    assert "3,500 entries at its worst should fill no more than 70%" in lines[3]
    assert any("no agent runs that could tell its ratio" in line for line in lines)
    assert any("How it grows is not known" in line for line in lines)


def test_the_advice_for_programs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(NAME, "--over", "0.1", "-o", "json", "--bpf-root", str(root))
    [found] = json.loads(capsys.readouterr().out)
    assert (found["entries"], found["advised"], found["verdict"]) == (3500, 8192, "enlarge")
    assert found["growth_per_second"] == 0
    assert found["fits"] is True
    assert found["cilium"]["option"] == "bpf-ct-global-tcp-max"
    assert found["cilium"]["warning"] is None


def test_a_dump_tells_what_it_can(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, values = ct4_rows(3, lifetime=1000)
    dump = [
        {"key": [f"{byte:#04x}" for byte in key], "value": [f"{byte:#04x}" for byte in value]}
        for key, value in zip(keys.tolist(), values.tolist(), strict=True)
    ]
    file = tmp_path / f"{NAME}.json"
    file.write_text(json.dumps(dump), encoding="ascii")
    run("--from-dump", str(file), "--memory", "28G")
    shown = capsys.readouterr().out
    assert f"{NAME}: 3 entries, its maximum is not known" in shown
    assert "0.0025 of 28.0 GiB would give 263,726 entries" in shown
    assert "the files have its entries, not its size" in shown


@pytest.mark.parametrize("wrong", [("--memory", "1G"), ("--now", "5")])
def test_what_belongs_to_dumps_is_refused_on_a_live_node(
    root: Path, wrong: tuple[str, ...]
) -> None:
    with pytest.raises((UsageError, click.UsageError), match="--from-dump"):
        run(*wrong, "--bpf-root", str(root))
