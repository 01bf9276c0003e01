from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ctconsole.cli.map.verbs import command
from ctconsole.errors import AgentError
from ctconsole.paths import GLOBALS
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
