"""The thresholds that somebody has settled count in the agent's history, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.agent.state import StateDir
from ctconsole.history import History
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.event import EventKind
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.foreign import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.gate import Gate


def test_a_table_that_reaches_its_own_threshold_is_told(
    gate: Gate, settings: AgentSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config = tmp_path / "ctconsole" / "config.toml"
    config.parent.mkdir()
    config.write_text("[thresholds.ct4]\nwarn = 20\ncrit = 40\n")
    control.start(settings)
    with BpfMap.open(settings.bpf_root / GLOBALS / "cilium_ct4_global") as live:
        mapwrite.update_batch(gate, live, *ct4_rows(live.info.max_entries // 2, lifetime=2**31))

    def told() -> list[str]:
        with History(StateDir(settings.state_dir).history) as history:
            found = history.read(kinds=frozenset({EventKind.MAP_FULL}))
        return [event.message for _, event in found]

    until(lambda: bool(told()))
    assert told() == ["cilium_ct4_global reached the 40% settled for it, 50% full"]
