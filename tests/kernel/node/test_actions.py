"""What the console's dialogues do, on an agent and on maps of the real kernel."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from ctconsole.agent import control
from ctconsole.agent.state import AgentSettings
from ctconsole.config import write_option
from ctconsole.errors import AgentError, ConfigError, CtconsoleError
from ctconsole.history import History
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look
from ctconsole.manager.recreate import guarded
from ctconsole.manager.restart import RestartPlan
from ctconsole.model.ct.query import Query
from ctconsole.model.event import EventKind
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.node.actions import NodeActions
from ctconsole.node.flush_plan import FlushReport
from ctconsole.node.reading import reading_of_node
from ctconsole.observe import discovery, facts
from ctconsole.observe.live import LiveSource
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

SMALL = {"bpf-ct-global-tcp-max": "2048", "bpf-ct-global-any-max": "1024", "enable-ipv6": "false"}


@pytest.fixture
def agent(bpffs: Path, tmp_path: Path) -> Iterator[AgentSettings]:
    """A running agent without endpoints."""
    for name, value in SMALL.items():
        write_option(tmp_path / "config", name, value)
    settings = AgentSettings(tmp_path / "state", tmp_path / "config", bpffs)
    control.start(settings)
    yield settings
    control.stop(settings)


@pytest.fixture
def actions(gate: Gate, bpffs: Path, tmp_path: Path) -> NodeActions:
    return NodeActions(gate, tmp_path / "state", partial(reading_of_node, bpffs))


def test_restart_writes_the_sizes_and_names_the_maps_made_anew(
    actions: NodeActions, agent: AgentSettings, bpffs: Path
) -> None:
    assert actions.agent_sizes() == {"bpf-ct-global-tcp-max": 2048, "bpf-ct-global-any-max": 1024}
    plan = actions.plan_restart({"bpf-ct-global-tcp-max": "4096"})
    assert plan.confirm_name == "cilium_ct4_global"
    said = actions.carry_out(plan).sentence
    assert "cilium_ct4_global (map" in said
    assert "cilium_ct_any4_global" not in said
    assert agent.config_dir is not None
    assert (agent.config_dir / "bpf-ct-global-tcp-max").read_text().strip() == "4096"
    with BpfMap.open(bpffs / GLOBALS / "cilium_ct4_global") as live:
        assert live.info.max_entries == 4096


def test_where_the_guard_is_on_no_plan_and_no_report_speaks_of_a_loss(
    actions: NodeActions, gate: Gate, agent: AgentSettings, bpffs: Path
) -> None:
    pin = agent.bpf_root / GLOBALS / "cilium_ct4_global"
    with BpfMap.open(pin) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(300, lifetime=ktime() + 1000))
    with closing(actions):
        unguarded = actions.plan_recreate(pin, 1024)
        assert unguarded.warnings[0].startswith("All 300 entries will be lost")
        actions.guard(bpffs / GLOBALS, on=True)
        plan = actions.plan_restart({"bpf-ct-global-tcp-max": "4096"})
        assert plan.guarded == ("cilium_ct4_global",)
        assert not [text for text in plan.warnings if "lost" in text]
        assert "the guard carries over what was in cilium_ct4_global" in (
            actions.carry_out(plan).sentence
        )
        assert look.until(lambda: "1 carried over" in actions.guarding)
        again = actions.plan_recreate(pin, 2048)
        assert "The guard is on: it carries the 300 entries over" in again.warnings[0]
        assert "which the guard carries over" in actions.carry_out(again).sentence
        assert look.until(lambda: "2 carried over" in actions.guarding)
        with BpfMap.open(pin) as live:
            assert live.count() == 300


def test_what_is_as_true_afterwards_is_told_also_where_the_guard_is_on(
    actions: NodeActions, agent: AgentSettings
) -> None:
    plan = actions.plan_recreate(agent.bpf_root / GLOBALS / "cilium_ct4_global", 2048)
    lasting = ("the setting stays",)
    told = guarded(replace(plan, warnings=(*plan.warnings, *lasting), lasting=lasting)).warnings
    assert told == (*plan.warnings, *lasting)


def test_a_refused_size_leaves_agent_and_folder_alone(
    actions: NodeActions, agent: AgentSettings
) -> None:
    pid = control.status(agent).pid
    changes = {"bpf-ct-global-tcp-max": "8192", "bpf-ct-global-any-max": "12"}
    with pytest.raises(ConfigError):
        actions.plan_restart(changes)
    with pytest.raises(ConfigError):
        actions.restart(RestartPlan(agent.state_dir, changes, ()))
    assert control.status(agent).pid == pid
    assert actions.agent_sizes()["bpf-ct-global-tcp-max"] == 2048


def test_recreate_of_an_agents_map_goes_through_the_agent(
    actions: NodeActions, agent: AgentSettings, bpffs: Path
) -> None:
    path = bpffs / GLOBALS / "cilium_ct_any4_global"
    report = actions.recreate(actions.plan_recreate(path, 2048))
    assert report.old_id != report.new_id
    assert actions.agent_sizes()["bpf-ct-global-any-max"] == 2048
    assert control.status(agent).ready


def test_without_an_agent_maps_are_recreated_and_the_history_knows(
    actions: NodeActions, gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    path = bpffs / "cilium_ct4_global"
    with mapwrite.create(gate, MapSpec(path.name, MapType.LRU_HASH, 14, 56, 1024)) as made:
        pins.pin(gate, made, path)
    report = actions.recreate(actions.plan_recreate(path, 2048))
    with BpfMap.open(path) as live:
        assert (live.info.id, live.info.max_entries) == (report.new_id, 2048)
    with History(tmp_path / "state" / "history.db") as history:
        assert EventKind.MAP_RECREATED in {event.kind for _, event in history.read()}
    with pytest.raises(AgentError, match="No agent of ours"):
        actions.agent_sizes()


def test_flush_is_journaled_by_the_agent_that_looks_after_the_map(
    actions: NodeActions, agent: AgentSettings, gate: Gate, bpffs: Path
) -> None:
    path = bpffs / GLOBALS / "cilium_ct4_global"
    with BpfMap.open(path) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(3, lifetime=ktime() + 100))
        # Alive as well: the agent's collector takes expired entries whenever it likes.
        mapwrite.update_batch(gate, live, *ct4_rows(2, lifetime=ktime() + 1000, first=50))
        plan = actions.plan_flush(path, Query.parse("left<500s"), None)
        assert (plan.entries, plan.chosen) == (5, 3)
        assert isinstance(report := actions.carry_out(plan), FlushReport)
        assert report.deleted == 3
        assert live.count() == 2
    with History(agent.state_dir / "history.db") as history:
        told = [event for _, event in history.read(kinds=[EventKind.ENTRIES_DELETED])]
    assert [event.fields["filter"] for event in told] == ["left<500s"]


def test_a_cancelled_flush_is_told_and_journaled(
    actions: NodeActions, agent: AgentSettings, gate: Gate, bpffs: Path
) -> None:
    path = bpffs / GLOBALS / "cilium_ct4_global"
    heard: list[str] = []
    with BpfMap.open(path) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(300, lifetime=ktime() + 100))
        plan = actions.plan_flush(path, Query.parse(""), None)
        with pytest.raises(CtconsoleError, match="64 of 300 entries deleted; the other 236 stay"):
            actions.carry_out(plan, heard.append, lambda: bool(heard))
        assert live.count() == 236
    assert heard == ["cilium_ct4_global: 64 of 300 entries done"]
    with History(agent.state_dir / "history.db") as history:
        [event] = [event for _, event in history.read(kinds=[EventKind.ENTRIES_DELETED])]
    assert (event.fields["deleted"], event.fields["left"]) == (64, 236)
    assert event.message == f"Flushed 64 of 300 entries from {path}: it was cancelled"


def table(gate: Gate, path: Path) -> Path:
    """A conntrack table with two entries, pinned."""
    with mapwrite.create(gate, MapSpec(path.name, MapType.LRU_HASH, 14, 56, 1024)) as made:
        mapwrite.update_batch(gate, made, *ct4_rows(2, lifetime=ktime() + 100))
        pins.pin(gate, made, path)
    return path


def test_plans_go_by_what_the_console_knows_and_ask_nobody_again(
    gate: Gate, bpffs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Mock(wraps=discovery.discover)
    for module in (facts, discovery):
        monkeypatch.setattr(module, "discover", asked)
    path = table(gate, bpffs / "cilium_ct4_global")
    with closing(LiveSource(bpffs)) as source:
        actions = NodeActions(gate, tmp_path / "state", source.reading)
        for size in (2048, 4096, 8192):
            assert actions.plan_recreate(path, size).alive == 2
        assert actions.plan_flush(path, Query.parse(""), None).chosen == 2
    asked.assert_called_once()


def test_what_is_done_is_told_where_it_cannot_be_recorded(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    (state / "history.db").mkdir(parents=True)
    actions = NodeActions(gate, state, partial(reading_of_node, bpffs))
    path = table(gate, bpffs / "cilium_ct4_global")
    flushed = actions.carry_out(actions.plan_flush(path, Query.parse(""), None))
    remade = actions.carry_out(actions.plan_recreate(path, 2048))
    for report in (flushed, remade):
        assert not report.failure
        (row,) = report.rows
        assert row.label == "history"
        assert row.text.startswith("What was done is not in the history: ")
    with BpfMap.open(path) as live:
        assert (live.info.max_entries, live.count()) == (2048, 0)
