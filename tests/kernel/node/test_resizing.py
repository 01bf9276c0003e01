"""Resizing maps of a running agent: nothing is lost, and what a killed resize left is ended."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control, wire
from ctconsole.agent.state import StateDir, save_endpoint
from ctconsole.config import write_option
from ctconsole.errors import BusyError, ConfigError, CtconsoleError
from ctconsole.kernel import iproute, mapwrite
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.changing import changing
from ctconsole.manager.resize.journal import Stage
from ctconsole.manager.resize.plan import MapWish
from ctconsole.model.ct.reading import PLAIN
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.node.flushing import flush, plan_flush
from ctconsole.node.resizing import plan_resizing, plan_undoing, resize_maps
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.foreign import until
from tests.support.namespaces import connected_pair
from tests.support.resized import used_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.agent.control import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.watching import ResizeProgress

ENTRIES = 700


@pytest.fixture
def running(settings: AgentSettings, gate: Gate) -> Iterator[AgentSettings]:
    """An agent with one endpoint, and a table with entries that have counts."""
    with connected_pair(gate) as (node, _):
        link = iproute.get("left0", netns=node)
        pod = Endpoint(10, "pod", "left0", link.index, "02:00:00:00:00:01", link.mac, "10.77.0.2")
        save_endpoint(settings.state_dir, pod)
        made = replace(settings, netns=node)
        control.start(made)
        with BpfMap.open(pin_of(made)) as live:
            mapwrite.update_batch(gate, live, *ct4_rows(ENTRIES, lifetime=ktime() + 1000))
        yield made
        control.stop(made)


def pin_of(settings: AgentSettings) -> Path:
    return settings.bpf_root / GLOBALS / "cilium_ct4_global"


def entries_of(settings: AgentSettings) -> dict[bytes, bytes]:
    with BpfMap.open(pin_of(settings)) as live:
        dump = live.read()
    return {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)}


def size_in_folder(settings: AgentSettings) -> str:
    assert settings.config_dir
    return (settings.config_dir / "bpf-ct-global-tcp-max").read_text().strip()


def test_entries_counts_and_option_are_there_and_stay(running: AgentSettings, gate: Gate) -> None:
    before = entries_of(running)
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)
    report = resize_maps(gate, plan, running)
    report.check()
    assert entries_of(running) == before
    assert used_by(report.maps[0].new_id, 2)
    assert size_in_folder(running) == "4096"
    after = control.restart(running)
    assert after.maps["cilium_ct4_global"] == report.maps[0].new_id
    assert entries_of(running) == before


def test_an_agent_that_cannot_load_leads_back(running: AgentSettings, gate: Gate) -> None:
    before = entries_of(running)
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)
    (running.state_dir / "endpoints" / "10.json").write_text("{")
    report = resize_maps(gate, plan, running)
    assert "was not resized" in report.failure
    assert "10.json cannot be restored" in report.failure
    assert entries_of(running) == before
    assert size_in_folder(running) == "2048"
    assert used_by(plan.maps[0].info.id, 2)


@pytest.mark.parametrize("stage", [Stage.STAGE, Stage.SWITCH, Stage.SETTLE])
def test_the_next_start_of_the_agent_ends_a_killed_resize(
    running: AgentSettings, gate: Gate, stage: Stage
) -> None:
    before = entries_of(running)
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)

    def die(progress: ResizeProgress) -> None:
        if progress.stage is stage:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            resize_maps(gate, plan, running, die)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    control.restart(running)
    assert entries_of(running) == before
    with BpfMap.open(pin_of(running)) as live:
        assert str(live.info.max_entries) == size_in_folder(running)
        assert used_by(live.info.id, 2)
    assert not [path for path in pinned_maps(running.bpf_root) if ":" in path.name]


def test_the_next_resize_says_how_a_killed_one_ended(running: AgentSettings, gate: Gate) -> None:
    before = entries_of(running)
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)

    def die(progress: ResizeProgress) -> None:
        if progress.stage is Stage.SETTLE:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            resize_maps(gate, plan, running, die)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    again = plan_resizing(pin_of(running), MapWish(8192), PLAIN, running)
    assert "A resize was cut off here" in again.warnings[0]
    told: list[str] = []
    report = resize_maps(gate, again, running, lambda progress: told.append(progress.text))
    report.check()
    assert "was cut off and has been ended: every program uses the new map" in told[0]
    assert told[0] in report.events[0].message
    assert entries_of(running) == before
    assert size_in_folder(running) == "8192"


def test_an_undo_restores_size_option_and_everything_that_has_come_since(
    running: AgentSettings, gate: Gate
) -> None:
    before = entries_of(running)
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)
    done = resize_maps(gate, plan, running)
    assert any("--undo" in row.text for row in done.rows)
    with BpfMap.open(pin_of(running)) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(9, lifetime=ktime() + 1000, first=9000))
    undone = resize_maps(gate, plan_undoing(pin_of(running), PLAIN), running)
    undone.check()
    after = entries_of(running)
    assert after.items() >= before.items()
    assert len(after) == len(before) + 9
    assert size_in_folder(running) == "2048"
    with BpfMap.open(pin_of(running)) as live:
        assert live.info.max_entries == 2048
        assert used_by(live.info.id, 2)


def test_what_a_killed_resize_leaves_to_the_agent_can_be_undone_as_well(
    running: AgentSettings, gate: Gate
) -> None:
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)

    def die(progress: ResizeProgress) -> None:
        if progress.stage is Stage.SETTLE:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            resize_maps(gate, plan, running, die)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    control.restart(running)
    plan = plan_undoing(pin_of(running), PLAIN)
    assert plan.maps[0].wish.max_entries == 2048
    assert plan.title == "Undo the resize of cilium_ct4_global"


def test_nobody_else_may_change_maps_meanwhile(running: AgentSettings, gate: Gate) -> None:
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)
    with (
        changing(running.bpf_root, "sweeps the floor"),
        pytest.raises(BusyError, match="sweeps the floor"),
    ):
        resize_maps(gate, plan, running)


def test_a_size_the_agent_cannot_have_is_refused(running: AgentSettings) -> None:
    with pytest.raises(ConfigError, match="bpf-ct-global-tcp-max"):
        plan_resizing(pin_of(running), MapWish(5), PLAIN, running)


def test_translations_that_follow_the_tables_are_resized_with_them(
    running: AgentSettings,
) -> None:
    """Otherwise the agent's next start would re-create them, empty."""
    plan = plan_resizing(pin_of(running), MapWish(262_144), PLAIN, running)
    pinned = {path.name for path in pinned_maps(running.bpf_root / GLOBALS)}
    named = {one.path.name for one in plan.maps}
    assert named >= {"cilium_ct4_global"} | (pinned & {"cilium_snat_v4_external"})


@pytest.fixture
def often(settings: AgentSettings) -> None:
    """Garbage is collected every second."""
    assert settings.config_dir
    write_option(settings.config_dir, "conntrack-gc-interval", "1s")


@pytest.mark.usefixtures("often")
def test_collector_and_flush_stand_still_meanwhile(running: AgentSettings, gate: Gate) -> None:
    pin = pin_of(running)
    dead = ct4_rows(50, lifetime=1, first=9000)
    refused = []

    def stand_still(progress: ResizeProgress) -> None:
        if progress.stage is not Stage.STAGE:
            return
        with BpfMap.open(pin) as live:
            mapwrite.update_batch(gate, live, *dead)
        last = control.status(running).gc["time"]
        assert until(lambda: time.time() > last + 2.5)
        for ask in (
            lambda: control.collect(running),
            lambda: wire.request(StateDir(running.state_dir).socket, "endpoint-delete", id=10),
            lambda: flush(gate, plan_flush(pin)),
        ):
            with pytest.raises(CtconsoleError) as caught:
                ask()
            refused.append(str(caught.value))
        assert control.status(running).gc["time"] == last
        with BpfMap.open(pin) as live:
            assert live.count() == ENTRIES + 50

    plan = plan_resizing(pin, MapWish(4096), PLAIN, running)
    resize_maps(gate, plan, running, stand_still).check()
    assert len(refused) == 3
    for words in refused:
        assert f"are being changed: process {os.getpid()} resizes cilium_ct4_global" in words
        assert "Try again when that is over" in words
    assert until(lambda: len(entries_of(running)) == ENTRIES)


@pytest.fixture
def pausing(running: AgentSettings) -> AgentSettings:
    """Before the agent's endpoint comes another one, and the agent waits between the two."""
    link = iproute.get("lo", netns=running.netns)
    mac = "02:00:00:00:00:01"
    save_endpoint(running.state_dir, Endpoint(9, "other", "lo", link.index, mac, mac, "10.77.0.9"))
    control.restart(running)
    assert running.config_dir
    write_option(running.config_dir, "endpoint-regeneration-delay", "5s")
    return running


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        # Its policy program is in a call map yet, and nobody moves that one.
        (Stage.STAGE, "2 programs still use the old map after the switch"),
        (Stage.SWITCH, "Endpoint 10 (left0) takes no programs"),
    ],
)
def test_an_interface_that_vanishes_costs_nothing(
    pausing: AgentSettings, gate: Gate, moment: Stage, reason: str
) -> None:
    """Before the programs are moved, and when those of another endpoint have moved."""
    running, before = pausing, entries_of(pausing)
    gone: list[bool] = []

    def vanish(progress: ResizeProgress) -> None:
        has_begun = progress.moved is not None and progress.moved.done == 1
        if progress.stage is moment and not gone and (moment is Stage.STAGE or has_begun):
            gone.append(iproute.delete(gate, "left0", netns=running.netns))

    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)
    report = resize_maps(gate, plan, running, vanish)
    assert gone == [True]
    assert f"was not resized: {reason}" in report.failure
    assert report.failure.endswith("which is pinned again with all its entries")
    assert entries_of(running) == before
    with BpfMap.open(pin_of(running)) as live:
        assert str(live.info.max_entries) == size_in_folder(running)
    assert not [path for path in pinned_maps(running.bpf_root) if ":" in path.name]
