"""Re-creating a map of a running agent: its programs move over, its config keeps the size."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control
from ctconsole.agent.state import StateDir, save_endpoint
from ctconsole.config import write_option
from ctconsole.errors import AgentError, ConfigError, CtconsoleError
from ctconsole.history import History
from ctconsole.kernel import iproute, mapwrite
from ctconsole.kernel.clock import boot_id, ktime
from ctconsole.kernel.maps import BpfMap, all_programs
from ctconsole.manager.recreate import plan_recreate
from ctconsole.manager.resize.journal import Entry, Moving, Stage, journal_of
from ctconsole.manager.resize.plan import MapWish
from ctconsole.model.ct.reading import PLAIN
from ctconsole.model.event import EventKind
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.node.acts import (
    agent_warnings,
    plan_begin,
    plan_restart,
    recreate_map,
    restart_agent,
)
from ctconsole.node.resizing import plan_resizing
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.namespaces import connected_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.agent.control import AgentSettings
    from ctconsole.kernel.gate import Gate


PROGRAMS = ["handle_ipv4", "ipv4_policy"]


def users(map_id: int) -> list[str]:
    """Names of the programs that use a map, once replaced ones are gone for good."""
    end = time.monotonic() + 20
    while True:
        names = sorted(one.name for one in all_programs() if map_id in one.map_ids)
        if len(names) <= len(PROGRAMS) or time.monotonic() > end:
            return names
        time.sleep(0.01)


@pytest.fixture
def running(settings: AgentSettings, gate: Gate) -> Iterator[AgentSettings]:
    """An agent with one endpoint in a namespace of its own."""
    with connected_pair(gate) as (node, _):
        link = iproute.get("left0", netns=node)
        pod = Endpoint(10, "pod", "left0", link.index, "02:00:00:00:00:01", link.mac, "10.77.0.2")
        save_endpoint(settings.state_dir, pod)
        made = replace(settings, netns=node)
        control.start(made)
        yield made
        control.stop(made)


def pin(settings: AgentSettings) -> Path:
    return settings.bpf_root / GLOBALS / "cilium_ct4_global"


def size_in_folder(settings: AgentSettings) -> str:
    assert settings.config_dir
    return (settings.config_dir / "bpf-ct-global-tcp-max").read_text().strip()


def test_programs_move_to_the_new_map_and_the_next_start_keeps_it(
    running: AgentSettings, gate: Gate
) -> None:
    with BpfMap.open(pin(running)) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 100))
    plan = plan_recreate(pin(running), 4096)
    assert len(plan.users) == 2
    report = recreate_map(gate, plan, running, running.state_dir)
    report.check()
    assert (report.lost, report.old_users) == (50, ())
    assert users(report.new_id) == PROGRAMS
    assert size_in_folder(running) == "4096"
    assert control.status(running).maps["cilium_ct4_global"] == report.new_id
    assert control.restart(running).maps["cilium_ct4_global"] == report.new_id
    with History(StateDir(running.state_dir).history) as history:
        kinds = [event.kind for _, event in history.read()]
    assert EventKind.MAP_RECREATED in kinds
    assert EventKind.PROGRAM_REPLACED in kinds


def test_programs_stay_when_the_agent_leaves_and_are_replaced_when_it_returns(
    running: AgentSettings,
) -> None:
    map_id = control.status(running).maps["cilium_ct4_global"]
    control.stop(running)
    assert users(map_id) == PROGRAMS
    assert control.start(running).endpoints == (10,)
    assert users(map_id) == PROGRAMS


def test_agent_that_cannot_regenerate_means_roll_back(running: AgentSettings, gate: Gate) -> None:
    plan = plan_recreate(pin(running), 4096)
    (running.state_dir / "endpoints" / "10.json").write_text("{")
    report = recreate_map(gate, plan, running, running.state_dir)
    assert report.pinned_id == plan.info.id
    assert size_in_folder(running) == "2048"
    assert users(plan.info.id) == PROGRAMS
    with pytest.raises(CtconsoleError, match=r"10\.json cannot be restored.* pinned again"):
        report.check()


def test_size_the_agent_s_configuration_cannot_take_changes_nothing(
    running: AgentSettings, gate: Gate
) -> None:
    assert running.config_dir
    write_option(running.config_dir, "bpf-nat-global-max", "3000")
    plan = plan_recreate(pin(running), 1024)
    with pytest.raises(ConfigError, match="bpf-nat-global-max=3000 is larger"):
        recreate_map(gate, plan, running, running.state_dir)
    assert size_in_folder(running) == "2048"
    with BpfMap.open(pin(running)) as live:
        assert live.info.id == plan.info.id


def test_agent_that_vanished_since_the_plan_changes_nothing(
    running: AgentSettings, gate: Gate
) -> None:
    plan = plan_recreate(pin(running), 4096)
    control.stop(running)
    with pytest.raises(AgentError, match="No agent answers"):
        recreate_map(gate, plan, running, running.state_dir)
    assert size_in_folder(running) == "2048"
    with BpfMap.open(pin(running)) as live:
        assert live.info.id == plan.info.id


def test_option_given_as_a_flag_follows_the_new_size(settings: AgentSettings, gate: Gate) -> None:
    made = replace(settings, options={"bpf-ct-global-tcp-max": "1024"})
    control.start(made)
    recreate_map(gate, plan_recreate(pin(made), 4096), made, made.state_dir).check()
    kept = StateDir(made.state_dir).load_settings()
    assert kept
    assert kept.options["bpf-ct-global-tcp-max"] == "4096"
    assert control.restart(kept).config["bpf-ct-global-tcp-max"] == "4096"


def test_warnings_say_what_no_plan_of_one_map_can_know(settings: AgentSettings) -> None:
    dual = replace(settings, options={"enable-ipv6": "true"})
    control.start(dual)
    twin = agent_warnings(plan_recreate(pin(dual), 4096), dual)
    assert "bpf-ct-global-tcp-max sizes cilium_ct6_global as well" in twin[0]
    lxc = agent_warnings(plan_recreate(pin(dual).with_name("cilium_lxc"), 4096), dual)
    assert "No option sizes cilium_lxc" in lxc[0]
    assert agent_warnings(plan_recreate(pin(dual), 4096), None) == ()


def test_a_restart_with_another_size_watches_the_programs_of_the_new_map(
    running: AgentSettings, gate: Gate
) -> None:
    report, after = restart_agent(gate, running, {"bpf-ct-global-tcp-max": "4096"})
    assert report.renewed["cilium_ct4_global"] == after.maps["cilium_ct4_global"]
    assert after.pid == report.pid
    assert not report.failure
    # The pod's namespace has no name here, so that its hooks are not seen; that is told, too.
    assert [row.text for row in report.rows if row.label == "hooks"] == [report.running.sentence]
    assert report.running.sentence
    same, _ = restart_agent(gate, running, {})
    assert "cilium_ct4_global" not in same.renewed
    assert same.rows == ()


def test_a_restart_plan_names_the_resizes_that_would_lose_nothing(
    settings: AgentSettings, gate: Gate
) -> None:
    with connected_pair(gate) as (node, _):
        options = {"enable-ipv6": "true", "enable-ipv4-masquerade": "true", "devices": "left0"}
        dual = replace(settings, netns=node, options=options)
        control.start(dual)
        with BpfMap.open(pin(dual)) as live:
            mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 100))
        plan = plan_restart(dual, {"bpf-ct-global-tcp-max": "4096"}, lambda: PLAIN)
        [one] = plan.lossless
        assert one.command == "ctconsole map resize cilium_ct4_global 4096"
        # The translations follow the size of the conntrack tables.
        assert set(one.names) == {one.path.name for one in plan.maps}
        assert {"cilium_ct6_global", "cilium_snat_v4_external"} <= set(one.names)
        wish = MapWish(one.max_entries)
        named = plan_resizing(pin(dual), wish, PLAIN, dual)
        assert {one.path.name for one in named.maps} == set(one.names)
        smaller = plan_restart(dual, {"bpf-ct-global-any-max": "4096"}, lambda: PLAIN)
        assert (smaller.maps != (), smaller.lossless) == (True, ())
        control.stop(dual)
        # The uplink's programs use the maps, so that an agent has to be there first.
        [first] = plan_begin(dual, {"bpf-ct-global-tcp-max": "4096"}, lambda: PLAIN).lossless
        assert first == replace(one, start=("bpf-ct-global-tcp-max=2048",))


def test_a_start_plan_names_how_an_agent_has_to_be_started_to_lose_nothing(
    running: AgentSettings, gate: Gate
) -> None:
    with BpfMap.open(pin(running)) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 100))
    control.stop(running)
    changes = {"bpf-ct-global-tcp-max": "4096", "bpf-ct-global-any-max": "4096"}
    plan = plan_begin(replace(running, options=changes), changes, lambda: PLAIN)
    assert (plan.data_loss, plan.confirm_name) == (50, "cilium_ct4_global")
    # Programs use both tables, so that nobody but an agent can move them.
    [one] = plan.lossless
    assert one.start == ("bpf-ct-global-tcp-max=2048", "bpf-ct-global-any-max=1024")
    assert one.command == (
        "ctconsole agent start --option bpf-ct-global-tcp-max=2048 "
        "--option bpf-ct-global-any-max=1024 && ctconsole map resize cilium_ct4_global 4096"
    )
    # That start loses nothing indeed, and the resize is what an agent on these sizes would do.
    kept = replace(running, options=dict(option.split("=") for option in one.start))
    assert plan_begin(kept, {}, lambda: PLAIN).maps == ()
    control.start(kept)
    named = plan_resizing(pin(kept), MapWish(one.max_entries), PLAIN, kept)
    assert tuple(one.path.name for one in named.maps) == one.names


def test_what_a_killed_resize_left_is_the_start_s_own_to_end(
    settings: AgentSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path / "run"))
    control.start(settings)
    with BpfMap.open(pin(settings)) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 100))
        number = live.info.id
    control.stop(settings)
    changes = {"bpf-ct-global-tcp-max": "4096"}
    # A resize died before it changed anything but the options.
    larger = replace(settings, options=changes)
    moving = Moving(str(pin(settings)), number, 0)
    journal_of(settings.bpf_root).write(
        Entry(Stage.SWITCH, boot_id(), 1, (moving,), before={"bpf-ct-global-tcp-max": "2048"})
    )
    assert plan_begin(larger, changes, lambda: PLAIN).maps == ()
    control.start(larger)
    with BpfMap.open(pin(settings)) as live:
        assert (live.info.id, live.count()) == (number, 50)


def test_a_restart_tells_what_had_been_forecast_and_what_is_back(
    running: AgentSettings, gate: Gate
) -> None:
    with BpfMap.open(pin(running)) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 100))
    changes = {"bpf-ct-global-tcp-max": "4096"}
    plan = plan_restart(running, changes, lambda: PLAIN)
    report, _ = restart_agent(gate, running, changes, plan)
    assert (report.lost, report.back, report.verdicts) == (50, 0, plan.verdicts)
    assert "50 entries lost" in report.sentence
    rows = {row.label: row.text for row in report.rows}
    assert rows["outcome"].startswith("0 of 50 entries are back by now")
    assert report.facts["forecast"] == [
        {"risk": risk.name.lower(), "reason": reason.name.lower(), "entries": number}
        for risk, reason, number in plan.verdicts
    ]
    # What a plan spoke of and was not lost is not told as lost.
    again, _ = restart_agent(gate, running, {}, replace(plan, maps=()))
    assert (again.lost, again.verdicts, again.back) == (0, (), None)
