"""The console's title never names a process that has ended."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.kernel.procs import find
from ctconsole.observe.discovery import AgentProcess, Fact, NodeFacts
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
