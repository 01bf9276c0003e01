"""Tables that each endpoint has of its own are resized by name, and each alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.agent import control
from ctconsole.agent.state import save_endpoint
from ctconsole.cli.main import root as cli
from ctconsole.errors import CtconsoleError
from ctconsole.kernel import iproute, mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.resize.plan import MapWish
from ctconsole.model.ct.reading import PLAIN
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.node.resizing import plan_resizing, plan_undoing, resize_maps
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.namespaces import connected_pair
from tests.support.resized import used_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.agent.control import AgentSettings
    from ctconsole.kernel.gate import Gate

ENTRIES = 700
LOCAL = 64_000
"""Entries of a table of one endpoint; no option sizes it."""


@pytest.fixture
def running(settings: AgentSettings, gate: Gate) -> Iterator[AgentSettings]:
    """An agent with one endpoint whose table is its own, and has entries with counts."""
    with connected_pair(gate) as (node, _):
        link = iproute.get("left0", netns=node)
        pod = Endpoint(10, "pod", "left0", link.index, "02:00:00:00:00:01", link.mac, "10.77.0.2")
        save_endpoint(settings.state_dir, pod)
        made = replace(settings, netns=node, options={"conntrack-local": "true"})
        control.start(made)
        with BpfMap.open(pin_of(made)) as live:
            mapwrite.update_batch(gate, live, *ct4_rows(ENTRIES, lifetime=ktime() + 1000))
        yield made
        control.stop(made)


def pin_of(settings: AgentSettings, name: str = "cilium_ct4_00010") -> Path:
    return settings.bpf_root / GLOBALS / name


def table_of(settings: AgentSettings) -> tuple[int, dict[bytes, bytes]]:
    """How many entries the endpoint's table takes, and those in it."""
    with BpfMap.open(pin_of(settings)) as live:
        dump = live.read()
        found = {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)}
        return live.info.max_entries, found


def id_of(path: Path) -> int:
    with BpfMap.open(path) as live:
        return live.info.id


def test_one_endpoint_s_table_is_resized_alone_and_back(running: AgentSettings, gate: Gate) -> None:
    _, before = table_of(running)
    others = [pin_of(running, name) for name in ("cilium_ct_any4_00010", "cilium_ct4_global")]
    ids = [id_of(path) for path in others]
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)
    assert [one.path.name for one in plan.maps] == ["cilium_ct4_00010"]
    assert any("No option sizes cilium_ct4_00010" in warning for warning in plan.warnings)
    report = resize_maps(gate, plan, running)
    report.check()
    assert table_of(running) == (4096, before)
    # Both programs of the endpoint, and no other.
    assert used_by(report.maps[0].new_id, 2)
    assert [id_of(path) for path in others] == ids
    undone = resize_maps(gate, plan_undoing(pin_of(running), PLAIN), running)
    undone.check()
    assert table_of(running) == (LOCAL, before)


def test_an_agent_that_cannot_load_the_endpoint_leads_its_table_back(
    running: AgentSettings, gate: Gate
) -> None:
    before = table_of(running)
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)
    (running.state_dir / "endpoints" / "10.json").write_text("{")
    report = resize_maps(gate, plan, running)
    assert "was not resized" in report.failure
    assert table_of(running) == before
    with pytest.raises(CtconsoleError, match="was not resized"):
        report.check()


def test_the_next_start_makes_the_table_as_it_was_as_the_plan_had_warned(
    running: AgentSettings, gate: Gate
) -> None:
    plan = plan_resizing(pin_of(running), MapWish(4096), PLAIN, running)
    assert any("makes it as it was, empty" in warning for warning in plan.warnings)
    resize_maps(gate, plan, running).check()
    control.restart(running)
    assert table_of(running) == (LOCAL, {})


def test_the_shell_names_the_table_by_its_pin(running: AgentSettings) -> None:
    _, before = table_of(running)
    words = ["map", "resize", "cilium_ct4_00010", "4096", "--yes", "--json"]
    where = ["--bpf-root", str(running.bpf_root), "--state-dir", str(running.state_dir)]
    done = CliRunner().invoke(cli, [*words, *where], standalone_mode=False, catch_exceptions=False)
    told = json.loads(done.stdout)
    assert told["ok"]
    assert [one["path"] for one in told["maps"]] == [str(pin_of(running))]
    assert table_of(running) == (4096, before)
