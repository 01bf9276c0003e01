from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent.state import StateDir
from ctconsole.cli.map.verbs import command
from ctconsole.errors import AgentError
from ctconsole.history import History
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.foreign import foreign_node

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

ROWS = [
    "Name                    Num entries   Num errors   Cache enabled",
    "cilium_ct4_global       0             0            false",
    "cilium_ct_any4_global   0             0            false",
]


def run(*arguments: str) -> None:
    command.main(["list", *arguments], standalone_mode=False)


def test_the_agents_own_list(
    gate: Gate, bpffs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        run("-o", "cilium", "--bpf-root", str(bpffs))
        assert capsys.readouterr().out.splitlines() == ROWS
        run("-o", "cilium", "--verbose", "--bpf-root", str(bpffs))
        assert "## Map: cilium_ct4_global\nCache is disabled\n" in capsys.readouterr().out
        run("-o", "cilium-json", "--bpf-root", str(bpffs))
        [first, _] = json.loads(capsys.readouterr().out)["maps"]
        assert first == {"cache": None, "path": str(bpffs / GLOBALS / "cilium_ct4_global")}


def test_without_an_agent_it_is_said_what_to_do(bpffs: Path) -> None:
    with pytest.raises(AgentError, match=r"No cilium-agent that uses .*Without --output cilium"):
        run("-o", "cilium", "--bpf-root", str(bpffs))


def test_a_full_table_is_full_and_since_when_as_far_as_was_counted(
    gate: Gate, bpffs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 4096)
    pin = bpffs / GLOBALS / spec.name
    with open_or_create_map(gate, pin, spec).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(5000, lifetime=ktime() + 1000))
        entries, now = live.count(), time.time()
        assert entries < 4096
    with History(StateDir(tmp_path).history) as history:
        for ago, counted in ((180, 3000), (120, entries), (60, entries)):
            history.append_fills(now - ago, {str(pin): counted})
    run("--bpf-root", str(bpffs), "--state-dir", str(tmp_path))
    [line] = [x for x in capsys.readouterr().out.splitlines() if x.startswith(spec.name)]
    since = time.strftime("%H:%M", time.localtime(now - 120))
    assert f"FULL: evicts, live ones too, since {since}" in line
    assert line.split().count("FULL") == 1
    run("--bpf-root", str(bpffs), "--state-dir", str(tmp_path), "--json")
    [row] = json.loads(capsys.readouterr().out)
    assert row["full"] is True
    assert row["full_since"] == pytest.approx(now - 120)
