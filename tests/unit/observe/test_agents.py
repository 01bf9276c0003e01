from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel import procs
from ctconsole.observe import agents
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    import pytest


def test_a_bpffs_that_only_an_agents_container_has_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "container"
    (root / "run" / "cilium" / "bpffs" / GLOBALS).mkdir(parents=True)
    me = procs.own()
    agent = agents.AgentProcess(me, root, contained=True, flags={}, state_dir=root, socket=root)
    monkeypatch.setattr(procs, "named", lambda *_: [me])
    monkeypatch.setattr(agents, "describe", lambda _: agent)
    monkeypatch.setattr(agents, "find_bpffs", list)
    monkeypatch.setattr(agents, "DEFAULT_BPF_ROOT", Path("/nowhere/bpf"))
    assert agents.find_root() == root / "run" / "cilium" / "bpffs"
    assert agents.find_agent(agents.find_root() / GLOBALS) is agent


def test_links_of_another_root_are_followed_inside_it(tmp_path: Path) -> None:
    (tmp_path / "run" / "cilium").mkdir(parents=True)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "run").symlink_to("/run")
    found = agents._below(tmp_path, Path("/var/run/cilium"))
    assert found == tmp_path / "run" / "cilium"
