"""Advice for the tables of a node: what is counted, kept, and said of Cilium's own rule."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control
from ctconsole.agent.state import StateDir
from ctconsole.errors import UsageError
from ctconsole.history import History
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.counting import Counting, count_tables
from ctconsole.kernel.procs import memory
from ctconsole.lab.foreign_agent import TCP_MAX
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.model.advice import AdviceVerdict
from ctconsole.model.event import EventKind, Level
from ctconsole.model.sizing import SizingRule
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.node.advising import advise_node
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.foreign import foreign_node, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.agent.control import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.event import Event

NAME = "cilium_ct4_global"
SPEC = MapSpec(NAME, MapType.LRU_HASH, 14, 56, 4096)


@pytest.fixture
def full(gate: Gate, bpffs: Path) -> Iterator[BpfMap]:
    """A table with 3,000 entries for 4,096, a third of them expired."""
    with open_or_create_map(gate, bpffs / GLOBALS / NAME, SPEC).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(2000, lifetime=ktime() + 1000))
        mapwrite.update_batch(gate, live, *ct4_rows(1000, lifetime=1, first=5000))
        yield live


def test_a_table_is_sized_by_its_past(full: BpfMap, bpffs: Path, tmp_path: Path) -> None:
    pin, now = bpffs / GLOBALS / NAME, time.time()
    with History(tmp_path / "history.db") as history:
        for minute, entries in enumerate((3400, 1000, 2000)):
            history.append_fills(now - 180 + 60 * minute, {str(pin): entries})
    [found] = advise_node(bpffs, state_dir=tmp_path)
    advice = found.advice
    assert (advice.watched.entries, advice.watched.expired) == (3000, 1000)
    assert advice.peak[1] == 3400
    # 2,000 came in the two minutes since the drop; as many again, at 70 %.
    assert advice.grown is not None
    assert advice.grown.rate == pytest.approx(2000 / 120, rel=0.05)
    assert (advice.verdict, advice.wanted) == (AdviceVerdict.ENLARGE, 8192)
    assert advice.memory_now == full.info.memlock
    assert not advice.unknown


def test_two_looks_tell_growth_and_evictions(gate: Gate, full: BpfMap, bpffs: Path) -> None:
    mapwrite.update_batch(gate, full, *ct4_rows(2000, lifetime=ktime() + 1000, first=9000))
    [found] = advise_node(bpffs, [NAME], over=0.1)
    assert found.advice.full
    assert found.advice.watched.evicted == 0
    assert found.advice.watched.came == 0
    assert found.advice.grown == pytest.approx((0.0, 0.1), abs=5)


def test_a_name_that_is_not_there_is_refused(full: BpfMap, bpffs: Path) -> None:
    assert full.count()
    with pytest.raises(UsageError, match="no map cilium_ct4_globl whose entries can be counted"):
        advise_node(bpffs, ["cilium_ct4_globl"])


def test_only_what_is_pinned_is_counted(full: BpfMap, bpffs: Path) -> None:
    [(info, entries)] = count_tables(bpffs / GLOBALS)
    assert (info.pin, entries) == (bpffs / GLOBALS / NAME, full.count())


def test_a_table_that_is_full_and_then_is_not_is_told_within_seconds(
    gate: Gate, full: BpfMap, bpffs: Path
) -> None:
    mapwrite.update_batch(gate, full, *ct4_rows(2000, lifetime=ktime() + 1000, first=9000))
    told: list[Event] = []
    stored: list[Mapping[str, int]] = []
    counting = Counting(
        bpffs / GLOBALS, lambda _, counts: stored.append(counts), told.extend, lambda _: None
    )
    counting.start()
    try:
        assert until(lambda: len(told) == 1)
        assert (told[0].kind, told[0].level) == (EventKind.MAP_FULL, Level.ERROR)
        assert f"{NAME} is full, " in told[0].message
        mapwrite.delete_batch(gate, full, full.read().keys[:2000])
        assert until(lambda: len(told) == 2)
        assert told[1].fields["full"] is False
    finally:
        counting.stop()
    # What is looked at every few seconds is stored every minute.
    assert len(stored) == 1


def test_our_agent_keeps_counts_and_is_not_said_to_follow_the_memory(
    settings: AgentSettings,
) -> None:
    control.start(settings)
    file = StateDir(settings.state_dir).history
    with History(file, create=False) as history:
        assert until(lambda: bool(history.fills()), 10)
    [found] = advise_node(settings.bpf_root, [NAME], state_dir=settings.state_dir)
    assert found.sizing is not None
    assert "own agent sizes by its options alone" in found.sizing.text
    assert not found.sizing.warning
    assert len(found.advice.watched.trend) > 1


def test_a_foreign_agents_next_start_is_foretold(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.configure(TCP_MAX, 32_768)
        node.agent.start()
        [found] = advise_node(bpffs, [NAME])
        assert found.sizing is not None
        assert "bpf-ct-global-tcp-max is set to 32,768" in found.sizing.text
        assert not found.sizing.warning
        node.agent.configure(TCP_MAX, 8192)
        [found] = advise_node(bpffs, [NAME])
        assert found.sizing is not None
        assert found.sizing.warning.startswith(
            f"The agent's next start re-creates {NAME} with 8,192 entries instead of 32,768"
        )
        node.agent.configure(TCP_MAX, 0)
        [found] = advise_node(bpffs, [NAME])
        assert found.sizing is not None
        assert found.sizing.gives == SizingRule(memory().total).sizes()[TCP_MAX]
        assert "bpf-map-dynamic-size-ratio 0.0025 of" in found.sizing.text
        assert "every entry in it is lost" in found.sizing.warning
