from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import clock, mapwrite, netns, pins
from ctconsole.lab.foreign_agent import ANY_MAP
from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.ct.layout import Layout
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe import discovery, facts
from ctconsole.observe.discovery import Fact, NodeFacts
from ctconsole.observe.live import LiveSource
from ctconsole.observe.reading import reading_of
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.foreign import foreign_node, until
from tests.support.namespaces import connected_pair

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


def table_layout(source: LiveSource, root: Path) -> Layout:
    return source.table(root / GLOBALS / ANY_MAP).layout


@pytest.mark.parametrize("generation", ["1.9", "1.18"])
def test_entries_are_read_as_the_nodes_agent_writes_them(
    gate: Gate, bpffs: Path, tmp_path: Path, generation: str
) -> None:
    with foreign_node(gate, bpffs, tmp_path, generation) as node:
        node.agent.start()
        source = LiveSource(bpffs)
        try:
            # An empty table tells nothing, so this is what the agent told.
            assert until(lambda: table_layout(source, bpffs) is Layout(generation), 5)
        finally:
            source.close()


def test_the_title_names_the_agent_once_it_is_known(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        source = LiveSource(bpffs)
        assert "Cilium" not in source.title
        node.agent.start()
        try:
            source.maps()
            assert until(lambda: "Cilium 1.18.0 (pid " in source.title, 5)
        finally:
            source.close()
    assert str(bpffs) in source.title


def test_the_agent_tells_where_policy_is_enforced(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        assert not reading_of(discovery.discover(bpffs)).knowledge.policy.open_ingress
        node.agent.start()
        policy = reading_of(discovery.discover(bpffs)).knowledge.policy
    assert policy.open_ingress == policy.open_egress == {bytes([10, 77, 0, 2])}


def test_a_node_that_counts_jiffies_is_read_in_jiffies(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = NodeFacts(bpffs, bpffs / GLOBALS, clock=Fact(ClockSource("jiffies", 250), "a test"))
    monkeypatch.setattr(facts, "discover", lambda *_, **__: known)
    began = clock.ktime()
    lifetime = (clock.jiffies() >> 8) + (100 * 250 >> 8)
    with mapwrite.create(gate, MapSpec(ANY_MAP, MapType.LRU_HASH, 14, 56, 64)) as live:
        pins.pin(gate, live, bpffs / GLOBALS / ANY_MAP)
        mapwrite.update_batch(gate, live, *ct4_rows(3, lifetime=lifetime))
    source = LiveSource(bpffs)
    try:
        table = source.table(bpffs / GLOBALS / ANY_MAP)
    finally:
        source.close()
    assert table.alive.all()
    passed = clock.ktime() - began
    assert all(95 - passed <= seconds <= 101 for seconds in table.remaining.tolist())


@pytest.mark.parametrize("mode", ["ktime", "jiffies"])
def test_without_an_agent_the_lifetimes_tell_the_clock(gate: Gate, bpffs: Path, mode: str) -> None:
    now = clock.ktime() if mode == "ktime" else clock.jiffies() >> 8
    with mapwrite.create(gate, MapSpec(ANY_MAP, MapType.LRU_HASH, 14, 56, 64)) as live:
        pins.pin(gate, live, bpffs / GLOBALS / ANY_MAP)
        mapwrite.update_batch(gate, live, *ct4_rows(3, lifetime=now + 100))
    found = discovery.discover(bpffs).clock
    assert found.value.mode == mode
    assert not found.certain
    assert "guessed" in found.origin
    if mode == "jiffies":
        assert found.value.hertz in clock.USUAL_HERTZ


def test_an_agent_that_hangs_delays_nobody(bpffs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, answered = threading.Event(), []

    def hang(*_: object, **__: object) -> NodeFacts:
        answered.append(answer.wait(30))
        return NodeFacts(bpffs, bpffs)

    monkeypatch.setattr(facts, "discover", hang)
    keeper = facts.FactsKeeper(bpffs)
    assert keeper.start()
    assert not keeper.start()
    assert keeper.latest is None
    keeper.stop()
    assert answered == []
    answer.set()
    assert keeper.wait(10)
    assert answered == [True]


def test_an_agent_in_a_container_is_found_and_asked_through_its_root(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    """Its folder for state exists for it alone, and it sees the bpffs under another path."""
    state, config = tmp_path / "state", tmp_path / "config"
    inside = tmp_path / "inside-bpf"
    for folder in (state, config, inside):
        folder.mkdir()
    (config / "bpf-ct-global-tcp-max").write_text("2048\n")
    agent = (
        f"{sys.executable} -m ctconsole.lab.foreign_agent --bpf-root={inside} "
        f"--config-dir={config} --state-dir={state} --interface=left0 "
        "--map-delay=0 --program-delay=0"
    )
    script = (
        f"mount -t tmpfs none {state} && mount --bind {bpffs} {inside} && "
        f"mount -t tmpfs none {config} && echo 4096 > {config}/bpf-ct-global-tcp-max && "
        f"exec {agent}"
    )
    with (
        connected_pair(gate) as (left, _),
        netns.popen(left, ["unshare", "--mount", "sh", "-c", script]) as process,
    ):
        try:
            assert until(lambda: discovery.discover(bpffs).version is not None, 20)
            found = discovery.discover(bpffs)
        finally:
            process.kill()
    assert found.agent
    assert found.agent.contained
    assert found.agent.process.pid == process.pid
    assert str(found.agent.socket).startswith(f"/proc/{process.pid}/root/")
    assert not (state / "cilium.sock").exists()
    assert found.version
    assert found.version.value == "1.18.0"
    assert found.options["bpf-ct-global-tcp-max"] == "4096"
