"""Tables of an agent that is not ours get another size before it restarts, and nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import UsageError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab.foreign_agent import ANY_MAP, NAT_MAP, TCP6_MAP, TCP_MAP, TCP_MAX, VALUE_SIZE
from ctconsole.manager.resize.journal import journal_of
from ctconsole.manager.resize.plan import MapWish
from ctconsole.model.ct.layout import Layout, value_dtype
from ctconsole.node.actions import NodeActions
from ctconsole.node.prestage import run
from ctconsole.node.prestage.plan import PrestagePlan, plan_for_agent, plan_prestage
from ctconsole.node.resizing import end_cut_off, plan_undoing, resize_foreign
from ctconsole.observe.discovery import discover
from ctconsole.observe.live import LiveSource
from ctconsole.observe.reading import reading_of
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.foreign import ForeignNode, foreign_node, until
from tests.support.resized import used_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.report import ResizeReport

ENTRIES = 1000
OLD, NEW = 32768, 65536


@pytest.fixture(autouse=True)
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path / "run"))
    return tmp_path


@dataclass
class Running:
    """An agent with entries in its TCP table, and a command that restarts it."""

    gate: Gate
    node: ForeignNode
    command: str
    ready_after: float
    """Seconds that its first start took."""

    @property
    def pin(self) -> Path:
        return self.node.agent.bpf_root / GLOBALS / TCP_MAP

    @property
    def file(self) -> Path:
        return self.node.agent.config_dir / TCP_MAX

    def plan(self, entries: int = NEW, command: str | None = None) -> PrestagePlan:
        facts = discover(self.node.agent.bpf_root)
        chosen = self.command if command is None else command
        return plan_prestage(self.pin, MapWish(entries), reading_of(facts), facts, chosen)

    def entries(self) -> dict[bytes, bytes]:
        with BpfMap.open(self.pin) as live:
            dump = live.read()
        return {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)}

    def is_clean(self) -> bool:
        """Nothing is kept beside the pins, and nothing is under way."""
        beside = [path for path in pinned_maps(self.pin.parent) if ":" in path.name]
        return not beside and journal_of(self.pin.parent).read() is None

    def add(self, count: int, first: int) -> None:
        with BpfMap.open(self.pin) as live:
            rows = ct4_rows(count, lifetime=ktime() + 1000, first=first)
            mapwrite.update_batch(self.gate, live, *rows)


@pytest.fixture
def running(gate: Gate, bpffs: Path, tmp_path: Path) -> Iterator[Running]:
    with (
        foreign_node(gate, bpffs, tmp_path) as node,
        node.agent.restarted_by_command() as command,
    ):
        node.agent.configure(TCP_MAX, OLD)
        begun = time.monotonic()
        node.agent.start()
        made = Running(gate, node, command, time.monotonic() - begun)
        made.add(ENTRIES, first=0)
        yield made


def rolled_back(running: Running, report: ResizeReport, before: dict[bytes, bytes]) -> bool:
    info = running.node.map_info()
    return (
        info.id == report.maps[0].old_id
        and running.entries() == before
        and running.file.read_text() == f"{OLD}\n"
        and running.is_clean()
    )


def test_the_agent_takes_over_what_was_made_for_it(running: Running) -> None:
    before = running.entries()
    plan = running.plan()
    report = resize_foreign(running.gate, plan)
    report.check()
    info = running.node.map_info()
    assert (info.id, info.max_entries) == (report.maps[0].new_id, NEW)
    assert running.entries() == before
    assert report.maps[0].carried == ENTRIES
    assert report.gap > 0
    assert used_by(info.id, 2)
    assert used_by(report.maps[0].old_id, 0)
    assert running.file.read_text() == f"{NEW}\n"
    assert running.is_clean()
    assert "Unpinning map" not in running.node.agent.log.read_text()
    told = {row.label: row.text for row in report.rows}
    assert told["layout"] == "1.18: packets and bytes are counters"
    assert told["taken over"] == f"{TCP_MAP} as it was made: map {info.id}"


def test_the_plan_names_settings_command_and_what_cannot_be_undone(running: Running) -> None:
    rows = {row.label: row.text for row in running.plan().rows}
    assert rows["sizes"] == "32,768 -> 65,536 entries"
    assert rows["setting"] == f"{running.file}: {OLD} -> {NEW}"
    assert rows["restart"] == f"by running: {running.command}"
    assert rows["layout"] == "1.18: packets and bytes are counters"
    assert rows["agent"].startswith("cilium-agent 1.18.0, process ")
    assert "nobody can call it back" in rows["no way back"]
    by_hand = {row.label: row.text for row in running.plan(command="").rows}
    assert by_hand["restart"].startswith("yours to do when it is asked for: restart cilium-agent")
    assert running.file.read_text() == f"{OLD}\n"


def test_what_old_programs_make_and_count_meanwhile_is_in_the_new_map(running: Running) -> None:
    """Datagrams all the time: one entry for each port, whichever program sees it."""
    node = running.node
    sent = 0
    stop = threading.Event()

    def talk() -> None:
        nonlocal sent
        while not stop.is_set():
            node.datagrams(range(5000 + sent, 5010 + sent))
            sent += 10
            stop.wait(0.05)

    facts = discover(node.agent.bpf_root)
    pin = running.pin.with_name(ANY_MAP)
    plan = plan_prestage(pin, MapWish(NEW), reading_of(facts), facts, running.command)
    thread = threading.Thread(target=talk)
    thread.start()
    try:
        resize_foreign(running.gate, plan).check()
    finally:
        stop.set()
        thread.join()
    assert until(lambda: node.entries(ANY_MAP) >= sent)
    assert sent > 20
    assert node.map_info(ANY_MAP).max_entries == NEW


def test_what_both_maps_count_is_added_up(running: Running) -> None:
    """An entry that the old programs and the new ones write, in the words that 1.18 counts in."""
    fields = value_dtype(Layout.V1_18)
    keys, values = ct4_rows(1, lifetime=ktime() + 1000, first=9000)
    rows = values.view(fields).reshape(-1)
    rows["packets"], rows["bytes"], rows["backend_id"] = 5, 500, 7
    with BpfMap.open(running.pin) as old:
        mapwrite.update_batch(running.gate, old, keys, values)
    wrote: list[str] = []

    def write(text: str) -> None:
        if "programs use the old one" in text and not wrote:
            wrote.append(text)
            rows["packets"], rows["bytes"] = 2, 200
            with BpfMap.open(running.pin) as new:
                mapwrite.update_batch(running.gate, new, keys, values)

    resize_foreign(running.gate, running.plan(), write).check()
    assert wrote
    row = np.frombuffer(running.entries()[keys[0].tobytes()], fields)[0]
    assert (row["packets"], row["bytes"], row["backend_id"]) == (7, 700, 7)


def test_both_families_and_translations_that_follow_are_resized_together(
    running: Running,
) -> None:
    agent = running.node.agent
    agent.configure("enable-ipv6", "true")
    agent.configure("enable-bpf-masquerade", "true")
    agent.restart()
    with BpfMap.open(running.pin.with_name(TCP6_MAP)) as live:
        keys, values = ct4_rows(10, lifetime=ktime() + 1000)
        mapwrite.update_batch(running.gate, live, keys.repeat(4, axis=1)[:, :38].copy(), values)
        entries6 = live.count()
    plan = running.plan()
    assert {one.path.name: one.wish.max_entries for one in plan.resize.maps} == {
        TCP_MAP: NEW,
        TCP6_MAP: NEW,
        NAT_MAP: (NEW + 16384) * 2 // 3,
    }
    resize_foreign(running.gate, plan).check()
    assert running.node.map_info(TCP6_MAP).max_entries == NEW
    assert running.node.entries(TCP6_MAP) == entries6 > 0
    assert "Unpinning map" not in agent.log.read_text()


def test_a_size_with_which_the_agent_would_not_start_is_refused(running: Running) -> None:
    running.node.agent.configure("enable-bpf-masquerade", "true")
    running.node.agent.configure("bpf-nat-global-max", 40000)
    running.node.agent.restart()
    with pytest.raises(UsageError, match="would refuse to start: its tables of translations"):
        running.plan(2048)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo no such unit >&2; exit 3", "The restart command ended with 3: no such unit"),
        ("true", "The agent has not been restarted for 1s"),
        ("kill -9 {pid}", "The agent has not come back for 1s"),
    ],
)
def test_an_agent_that_does_not_come_back_leads_back(
    running: Running, command: str, why: str
) -> None:
    before = running.entries()
    plan = running.plan(command=command.format(pid=running.node.agent.pid))
    report = resize_foreign(running.gate, plan, patience=1.0)
    assert f"{TCP_MAP} was not resized: {why}" in report.failure
    assert "the settings are as they were" in report.failure
    assert rolled_back(running, report, before)
    # Whenever it comes back, it takes its old map as it is.
    running.node.agent.restart()
    assert running.node.map_info().id == report.maps[0].old_id
    assert running.entries() == before


@pytest.mark.parametrize("size", [4096, OLD])
def test_an_agent_that_takes_another_size_gets_every_entry_carried_over(
    running: Running, size: int
) -> None:
    before = running.entries()
    command = f"echo {size} > {running.file}; {running.command}"
    report = resize_foreign(running.gate, running.plan(command=command))
    assert f"the agent made a map of its own with {size:,} entries instead of 65,536" in (
        report.failure
    )
    assert "Nothing is lost by that" in report.failure
    assert running.node.map_info().max_entries == size
    assert running.entries() == before
    assert running.file.read_text() == f"{size}\n"
    assert running.is_clean()


def test_other_values_are_told_and_nothing_is_touched(running: Running) -> None:
    other = running.node.agent.config_dir / VALUE_SIZE
    command = f"echo 64 > {other}; {running.command}"
    report = resize_foreign(running.gate, running.plan(command=command))
    assert "keys and values had (14, 56) bytes and have (14, 64) now" in report.failure
    assert "nothing was carried over" in report.failure
    assert running.node.entries() == 0
    assert running.is_clean()


@pytest.mark.parametrize(
    ("late", "why"),
    [
        ("--map-delay", "The agent has come back and not opened the new map for "),
        ("--program-delay", "The agent has the new map and has moved no program for "),
    ],
)
def test_an_agent_that_waits_keeps_both_maps_for_the_next_start(
    running: Running, late: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the new settings: given its old map again, it would drop that one."""
    monkeypatch.setattr(run, "_YOUNG", 5.0)
    before, agent = running.entries(), running.node.agent
    quick = list(agent._argv)
    agent._argv = [f"{late}=600" if word.startswith(f"{late}=") else word for word in quick]
    # Its interpreter has to be up by then, on a machine under load too.
    patience = max(8.0, 4 * running.ready_after)
    report = resize_foreign(running.gate, running.plan(), patience=patience)
    assert why in report.failure
    assert "both maps stay, nothing is lost yet" in report.failure
    assert running.node.map_info().max_entries == NEW
    assert not running.is_clean()
    agent._argv = quick
    agent.restart(wait=False)
    told = end_cut_off(running.gate, running.pin.parent, lambda _: None, 20.0)
    assert "every program uses the new map" in told
    assert running.entries() == before
    assert running.is_clean()


def test_without_a_command_somebody_is_asked_and_waited_for(running: Running) -> None:
    said: list[str] = []
    before = running.entries()

    def tell(text: str) -> None:
        if "now restart cilium-agent" in text and text not in said:
            running.node.agent.restart(wait=False)
        said.append(text)

    resize_foreign(running.gate, running.plan(command=""), tell).check()
    assert running.entries() == before
    assert running.node.map_info().max_entries == NEW
    assert any("programs use the old one" in text for text in said)


def test_it_can_be_cancelled_until_the_restart_and_not_after(running: Running) -> None:
    before = running.entries()
    asked: list[str] = []
    report = resize_foreign(
        running.gate, running.plan(command=""), asked.append, lambda: len(asked) > 1
    )
    assert "It was cancelled before the agent was restarted" in report.failure
    assert rolled_back(running, report, before)
    late: list[str] = []
    resize_foreign(
        running.gate,
        running.plan(),
        late.append,
        lambda: any("come back" in one or "process" in one for one in late),
    ).check()
    assert any("a restart cannot be cancelled" in text for text in late)
    assert running.node.map_info().max_entries == NEW


def test_an_undo_restores_the_size_before_the_same_way(running: Running) -> None:
    resize_foreign(running.gate, running.plan()).check()
    running.add(10, first=9000)
    before = running.entries()
    facts = discover(running.node.agent.bpf_root)
    undo = plan_undoing(running.pin, reading_of(facts))
    resize_foreign(running.gate, plan_for_agent(undo, facts, running.command)).check()
    assert running.entries() == before
    assert running.node.map_info().max_entries == OLD
    assert running.file.read_text() == f"{OLD}\n"


def test_the_console_does_the_same_and_knows_a_restarted_agent(
    running: Running, tmp_path: Path
) -> None:
    before = running.entries()
    root = running.node.agent.bpf_root
    with (
        closing(LiveSource(root)) as source,
        NodeActions(
            running.gate, tmp_path / "state", source.reading, source.facts, running.command
        ) as actions,
    ):
        assert until(lambda: source.facts() is not None)
        planned = actions.plan_resize(running.pin, NEW)
        assert isinstance(planned, PrestagePlan)
        assert planned.command == running.command
        running.node.agent.restart()
        with pytest.raises(UsageError, match="was restarted since this was planned"):
            actions.carry_out(planned)
        again = actions.plan_resize(running.pin, NEW)
        assert isinstance(again, PrestagePlan)
        assert again.agent
        assert again.agent.pid == running.node.agent.pid
        assert not actions.carry_out(again).failure
        assert running.node.map_info().max_entries == NEW
        undo = actions.plan_undo(running.pin)
        assert isinstance(undo, PrestagePlan)
        assert undo.title == f"Undo the resize of {TCP_MAP}"
    assert running.entries() == before
    assert running.is_clean()


def killed_at(running: Running, words: str, command: str | None = None) -> None:
    """Do it in a process that dies when it says these words."""
    plan = running.plan(command=command)

    def die(text: str) -> None:
        if words in text:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            resize_foreign(running.gate, plan, die)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("words", ["stage: ", "now restart cilium-agent"])
def test_killed_before_the_restart_the_next_start_undoes_it(running: Running, words: str) -> None:
    before, old = running.entries(), running.node.map_info()
    killed_at(running, words, command="")
    told = end_cut_off(running.gate, running.pin.parent, lambda _: None, 5.0)
    assert "was cut off before" in told
    assert running.node.map_info().id == old.id
    assert running.entries() == before
    assert running.file.read_text() == f"{OLD}\n"
    assert running.is_clean()
    assert end_cut_off(running.gate, running.pin.parent, lambda _: None, 5.0) == ""


@pytest.mark.parametrize("words", ["programs use the old one", "settle: "])
def test_killed_after_the_restart_the_next_start_goes_on(running: Running, words: str) -> None:
    before = running.entries()
    killed_at(running, words)
    told = end_cut_off(running.gate, running.pin.parent, lambda _: None, 20.0)
    assert "every program uses the new map, which has everything" in told
    assert running.node.map_info().max_entries == NEW
    assert running.entries() == before
    assert running.file.read_text() == f"{NEW}\n"
    assert running.is_clean()


def test_killed_while_the_agent_is_down_it_says_what_to_do(running: Running) -> None:
    before = running.entries()
    killed_at(running, "now restart cilium-agent", command="")
    running.node.agent.stop()
    told = end_cut_off(running.gate, running.pin.parent, lambda _: None, 0.5)
    assert "have it started" in told
    assert not running.is_clean()
    running.node.agent.start()
    told = end_cut_off(running.gate, running.pin.parent, lambda _: None, 20.0)
    assert "every program uses the new map" in told
    assert running.node.map_info().max_entries == NEW
    assert running.entries() == before
    assert running.is_clean()


def test_killed_and_the_agent_made_its_own_map_all_is_carried_there(running: Running) -> None:
    before = running.entries()
    killed_at(running, "now restart cilium-agent", command="")
    running.file.write_text("4096\n")
    running.node.agent.restart()
    told = end_cut_off(running.gate, running.pin.parent, lambda _: None, 20.0)
    assert "the agent made maps of its own" in told
    assert "1,000 entries carried over" in told
    assert running.node.map_info().max_entries == 4096
    assert running.entries() == before
    assert running.is_clean()
