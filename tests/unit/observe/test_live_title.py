"""The console's title never names a process that has ended."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.kernel.procs import find
from ctconsole.observe.agents import AgentProcess
from ctconsole.observe.discovery import Fact, NodeFacts, OwnAgent
from ctconsole.observe.facts import FactsKeeper
from ctconsole.observe.live import LiveSource

if TYPE_CHECKING:
    import pytest


def test_the_title_shows_an_agent_only_while_its_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as running:
        agent = find(running.pid)
        assert agent is not None
        place = Path("/")
        known = AgentProcess(agent, place, False, MappingProxyType({}), place, place)  # noqa: FBT003 - in the order of its fields
        facts = NodeFacts(tmp_path, tmp_path, known, Fact("1.18.3", "the test"))
        monkeypatch.setattr(FactsKeeper, "latest", property(lambda _: facts))
        monkeypatch.setattr(FactsKeeper, "hurry", lambda _: asked.append(True))
        source = LiveSource(tmp_path)
        assert f"Cilium 1.18.3 (pid {running.pid}, up " in source.title
        assert not asked
        running.kill()
        running.wait()
        for _ in range(3):
            assert "Cilium 1.18.3 (its agent has ended)" in source.title
            assert str(running.pid) not in source.title.replace(str(tmp_path), "")
    assert len(asked) == 1
    source.close()


def test_the_title_names_an_agent_of_ours_or_says_that_none_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FactsKeeper, "start", lambda _: True)
    monkeypatch.setattr(FactsKeeper, "hurry", lambda _: None)
    known: list[NodeFacts | None] = [None]
    monkeypatch.setattr(FactsKeeper, "latest", property(lambda _: known[0]))
    there: list[OwnAgent | None] = [None]
    source = LiveSource(tmp_path, own_agent=lambda _: there[0])
    assert f" · agent not known yet · {tmp_path}" in source.title
    known[0] = NodeFacts(tmp_path, tmp_path)
    assert source.agent()
    assert f" · no agent · {tmp_path}" in source.title
    source.close()
    there[0] = OwnAgent(os.getpid(), tmp_path)
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path))
    source = LiveSource(tmp_path / "labs" / "mine" / "bpf", own_agent=lambda _: there[0])
    source.agent()
    assert f" · own agent (pid {os.getpid()}, up " in source.title
    assert source.title.endswith(" · lab mine")
    source.close()
