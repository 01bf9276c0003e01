"""What an agent uses, seen on a process that is there: this one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ctconsole.kernel import procs
from ctconsole.kernel.procstat import own_threads, process_use
from ctconsole.model.ct.clock import KTIME
from ctconsole.observe.agents import AgentProcess
from ctconsole.observe.discovery import Fact, NodeFacts, OwnAgent, discover, nobodys
from ctconsole.observe.nodecard import AgentMeter, CostMeter, facts_told

FACTS = NodeFacts(Path("/bpf"), Path("/bpf/tc/globals"), notes=("No agent runs",))
OWN = OwnAgent(os.getpid(), Path("/state"))


def test_an_agent_of_ours_is_measured_between_two_looks() -> None:
    now = [100.0]
    meter = AgentMeter(lambda _: OWN, lambda: now[0])
    assert meter.look(None) is None
    first = meter.look(FACTS)
    assert first
    assert (first.what, first.pid, first.cpu, first.why) == ("ctconsole", os.getpid(), None, "")
    spent = process_use(os.getpid())
    assert spent
    while (use := process_use(os.getpid())) and use.cpu_seconds < spent.cpu_seconds + 0.05:
        sum(range(10_000))
    now[0] += 2
    second = meter.look(FACTS)
    assert second
    assert second.cpu is not None
    assert second.cpu > 0.05 / 2 - 0.001
    assert second.memory
    assert second.memory > 1 << 20
    assert second.started == pytest.approx(procs.own().started)


def test_an_agent_that_has_ended_or_never_ran_is_said_to_be_that() -> None:
    none = AgentMeter(nobodys).look(FACTS)
    assert none
    assert none.why == "no agent that uses these maps runs"
    process = procs.own()
    gone = procs.Process(process.pid, "cilium-agent", (), process.ticks - 5, 0.0)
    agent = AgentProcess(gone, Path("/"), False, {}, Path("/run"), Path("/run/s"))  # noqa: FBT003 - not contained
    facts = NodeFacts(Path("/bpf"), Path("/bpf"), agent=agent, version=Fact("1.18.4", "its API"))
    found = AgentMeter(nobodys).look(facts)
    assert found
    assert (found.release, found.why) == ("1.18.4", f"its process {process.pid} has ended")


def test_every_fact_says_how_it_is_known_or_why_not() -> None:
    told = {one.name: one for one in facts_told(FACTS)}
    assert told["release"].value == "not known"
    assert told["release"].origin == "no agent runs that tells it"
    assert told["clock"].value == ("jiffies" if KTIME.uses_jiffies else "seconds")
    assert told["note"].value == "No agent runs"
    assert facts_told(None) == ()


def test_an_agent_of_ours_tells_its_release_its_layout_and_its_clock(tmp_path: Path) -> None:
    facts = discover(tmp_path, own=lambda _: OWN)
    told = {one.name: one for one in facts_told(facts)}
    assert told["agent"].value == f"ctconsole's own, process {OWN.pid}"
    assert told["release"].value == "ctconsole's own"
    assert (told["layout"].value, told["layout"].origin) == (
        "1.9",
        "what ctconsole's own agent writes",
    )
    assert facts.clock.certain
    assert not any("No cilium-agent" in one.value for one in facts_told(facts))
    assert any("No cilium-agent" in one.value for one in facts_told(discover(tmp_path)))


def test_our_own_cost_is_told_thread_by_thread() -> None:
    meter = CostMeter()
    assert meter.look().cpu is None
    time.sleep(0)
    cost = meter.look()
    assert cost.pid == os.getpid()
    assert cost.cpu is not None
    assert cost.memory > 1 << 20
    assert len(cost.threads) == len(own_threads()) >= 1
