from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.kernel import mapwrite, pins
from ctconsole.lab.foreign_agent import ANY_MAP, TCP_MAP, TCP_MAX
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe import splitwatch, tail, watcher
from ctconsole.observe.moves import Moves
from ctconsole.observe.watcher import Watcher
from ctconsole.paths import GLOBALS
from ctconsole.recorder import Recorder
from tests.support.foreign import FAST, foreign_node, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pytest

    from ctconsole.kernel.gate import Gate

WINDOW = 4.0


class Seen:
    """Every event so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def of(self, kind: EventKind) -> list[Event]:
        return [event for event in list(self.events) if event.kind is kind]

    def story(self) -> Event:
        assert until(lambda: bool(self.of(EventKind.STORY)))
        (story,) = self.of(EventKind.STORY)
        return story


@contextmanager
def watching(
    root: Path,
    log: Callable[[Callable[[], bool]], Iterator[str]] | None = None,
    window: float = WINDOW,
) -> Iterator[Seen]:
    seen = Seen()
    with Watcher(root, seen.events.extend, window=window, log=log):
        yield seen


def test_a_resize_is_one_story_with_true_numbers(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        agent = node.agent
        agent.configure("bpf-ct-global-any-max", 8192)
        window = node.started()
        node.datagrams(range(5000, 5100))
        assert until(lambda: node.entries(ANY_MAP) >= 100)
        old = node.map_info(ANY_MAP)
        kept = node.map_info(TCP_MAP)
        first_pid = agent.pid
        with watching(bpffs, lambda stopped: tail.follow_file(agent.log, stopped), window) as seen:
            agent.configure("bpf-ct-global-any-max", 4096)
            lost = node.entries(ANY_MAP)
            agent.restart()
            new = node.map_info(ANY_MAP)
            node.datagrams(range(5000, 5060))
            node.datagrams(range(6000, 6010))
            story = seen.story()
        fields = story.fields
        assert re.fullmatch(
            r"agent restarted \d\d:\d\d:\d\d-\d\d:\d\d:\d\d, bpf-ct-global-any-max 8192 -> 4096, "
            rf"cilium_ct_any4_global re-created at \d\d:\d\d:\d\d\.\d\d\d "
            rf"\({old.id} -> {new.id}\), \d+ entries lost, "
            r"programs moved after \d+\.\d s, \d+ entries came back within \d+ s",
            story.message,
        ), story.message
        assert (fields["old_pid"], fields["new_pid"]) == (first_pid, agent.pid)
        assert fields["lost"] == lost
        # The hosts' own neighbour and router packets may come back as well.
        returned = fields["returned"]
        assert isinstance(returned, int)
        assert 60 <= returned <= lost - 40
        assert fields["regenerated"] == 2
        assert fields["maps"] == ANY_MAP
        moved = fields[f"{ANY_MAP}.moved_after"]
        assert isinstance(moved, float)
        assert moved >= FAST["program_delay"]
        assert node.map_info(TCP_MAP).id == kept.id
        seen_by_us = [e.subject for e in seen.of(EventKind.AGENT_OPTION) if e.source == "observe"]
        assert seen_by_us == ["bpf-ct-global-any-max"]


def test_a_restart_that_changes_nothing_keeps_every_map(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        window = node.started()
        with watching(bpffs, window=window) as seen:
            node.agent.restart()
            story = seen.story()
        assert story.message.endswith("no map was re-created")
        assert seen.of(EventKind.MAP_RECREATED) == []
        assert len(seen.of(EventKind.AGENT_STOP)) == len(seen.of(EventKind.AGENT_START)) == 1


def test_programs_that_stay_behind_are_an_alarm(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        old = node.map_info()
        with watching(bpffs) as seen:
            pins.unpin(gate, bpffs / GLOBALS / TCP_MAP)
            spec = MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 1024)
            with mapwrite.create(gate, spec) as live:
                pins.pin(gate, live, bpffs / GLOBALS / TCP_MAP)
            story = seen.story()
        assert "2 programs still use the old map" in story.message
        alarm, *_ = seen.of(EventKind.SPLIT_BRAIN)
        assert (alarm.fields["old_id"], alarm.fields["left"]) == (old.id, 2)


def test_a_brain_split_before_anybody_watched_is_an_alarm_until_it_is_healed(
    gate: Gate, bpffs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitwatch, "EVERY_SECONDS", 0.2)
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        old = node.map_info()
        pins.unpin(gate, bpffs / GLOBALS / TCP_MAP)
        with mapwrite.create(gate, MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 32768)) as live:
            pins.pin(gate, live, bpffs / GLOBALS / TCP_MAP)
        with watching(bpffs) as seen:
            assert until(lambda: bool(seen.of(EventKind.SPLIT_BRAIN)))
            # The map is as configured, so that this time the agent opens it.
            node.agent.restart()
            assert until(lambda: len(seen.of(EventKind.SPLIT_BRAIN)) == 2)
        alarm, healed = seen.of(EventKind.SPLIT_BRAIN)
        assert (alarm.level, healed.level) == (Level.ERROR, Level.INFO)
        assert (alarm.fields["used_id"], alarm.fields["left"]) == (old.id, 2)
        assert f"--map-id {old.id}" in alarm.message


def test_pins_that_come_and_go_are_events(gate: Gate, bpffs: Path) -> None:
    path = bpffs / GLOBALS / TCP_MAP
    with (
        watching(bpffs) as seen,
        mapwrite.create(gate, MapSpec("x", MapType.HASH, 4, 4, 8)) as live,
    ):
        pins.pin(gate, live, path)
        assert until(lambda: bool(seen.of(EventKind.MAP_PINNED)))
        mapwrite.update(gate, live, b"abcd", b"efgh")
        pins.unpin(gate, path)
        assert until(lambda: bool(seen.of(EventKind.MAP_UNPINNED)))
    (pinned,), (gone,) = seen.of(EventKind.MAP_PINNED), seen.of(EventKind.MAP_UNPINNED)
    assert (pinned.subject, pinned.fields["id"]) == (str(path), live.info.id)
    assert (gone.fields["id"], gone.fields["entries"]) == (live.info.id, 1)
    assert seen.of(EventKind.STORY) == []


def test_a_node_whose_bpffs_comes_later_is_watched(gate: Gate, tmp_path: Path) -> None:
    root = tmp_path / "later"
    with watching(root) as seen:
        pins.mount_bpffs(gate, root)
        try:
            with mapwrite.create(gate, MapSpec("x", MapType.HASH, 4, 4, 8)) as live:
                pins.pin(gate, live, root / "tc" / "globals" / "x")
                assert until(lambda: bool(seen.of(EventKind.MAP_PINNED)))
        finally:
            pins.unmount_bpffs(gate, root)


def test_an_agent_of_the_older_generation_tells_the_same(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    with foreign_node(gate, bpffs, tmp_path, "1.9") as node:
        agent = node.agent
        window = node.started()
        with watching(bpffs, lambda stopped: tail.follow_file(agent.log, stopped), window) as seen:
            agent.configure(TCP_MAX, 8192)
            agent.restart()
            story = seen.story()
        assert f"{TCP_MAX} 32768 -> 8192" in story.message
        (mismatch,) = seen.of(EventKind.MAP_MISMATCH)
        assert (mismatch.fields["old"], mismatch.fields["new"]) == (32768, 8192)
        assert mismatch.source == "agent-log"


def test_a_watcher_outlives_faults_and_a_history_that_cannot_be_written(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen()
    failures = iter([CtconsoleError("disk is full"), MemoryError()])
    faults = iter([KeyError("x")])

    def store(events: Iterable[Event]) -> None:
        for error in failures:
            raise error
        seen.events.extend(events)

    moves_step = Moves.step

    def step(moves: Moves) -> list[Event]:
        for error in faults:
            raise error
        return moves_step(moves)

    monkeypatch.setattr(Moves, "step", step)
    path = bpffs / GLOBALS / TCP_MAP
    record = Recorder(store, source="observe", subject="/h")
    with (
        Watcher(bpffs, record, window=WINDOW),
        mapwrite.create(gate, MapSpec("x", MapType.HASH, 4, 4, 8)) as live,
    ):
        # The fault and the pin are the two events that are lost.
        pins.pin(gate, live, path)
        assert until(lambda: record.missed == 2)
        pins.unpin(gate, path)
        assert until(lambda: bool(seen.of(EventKind.MAP_UNPINNED)))
    assert any("were lost" in event.message for event in seen.of(EventKind.WARNING))


def test_a_log_that_ends_is_told(bpffs: Path) -> None:
    with watching(bpffs, lambda _: iter(())) as seen:
        assert until(lambda: bool(seen.of(EventKind.WARNING)))
    assert "log has ended" in seen.of(EventKind.WARNING)[0].message


def test_stop_does_not_wait_for_a_look_under_way(
    bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> list[Event]:
        begun.set()
        go_on.wait(5)
        return [Event(1.0, EventKind.WARNING, "test", "", "too late")]

    monkeypatch.setattr(watcher, "PATIENCE", 0.01)
    monkeypatch.setattr(splitwatch.SplitWatch, "step", slow)
    seen = Seen()
    one = Watcher(bpffs, seen.events.extend, window=WINDOW)
    one.start(patience=0)
    assert begun.wait(30)
    one.close()
    assert any(loop.alive for loop in one._loops)
    go_on.set()
    assert until(lambda: not any(loop.alive for loop in one._loops))
    assert seen.events == []
