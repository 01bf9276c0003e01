"""Stepping back on a live node, and playing a recording."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input

from ctconsole.node.explaining_past import known_at
from ctconsole.node.recording import NodeRecorder
from ctconsole.observe.recording.moment import VERSION, Head
from ctconsole.observe.recording.reader import Recording
from ctconsole.observe.recording.replay import ReplaySource
from ctconsole.observe.recording.taking import Taker
from ctconsole.observe.recording.writer import RecordingWriter
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.screens.ask import AskScreen
from ctconsole.ui.widgets.time_bar import TimeBar
from tests.support.fakes import CT4, EPOCH, FakeSource, random_table, story
from tests.support.pilots import (
    first_sample,
    open_entries,
    resample,
    screen_text,
    settle,
    status,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from ctconsole.model.explain.facts import Known


class Node(FakeSource):
    """A node whose CT table grows by ten entries a second, and that tells of it every second."""

    def __init__(self) -> None:
        self.time = EPOCH
        super().__init__(clock=lambda: self.time)
        self.log = []
        self.pass_on(0)

    def pass_on(self, seconds: float = 1.0) -> None:
        self.time += seconds
        entries = 100 + 10 * round(self.time - EPOCH)
        row = self.rows[CT4]
        self.rows[CT4] = replace(row, entries=entries)
        whole = random_table(row.info, 400)
        self.tables[CT4] = replace(whole.take(slice(entries)), taken_at=self.time)


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def console(node: Node) -> ConsoleApp:
    return ConsoleApp(node, interval=3600, clock=lambda: node.time)


async def pass_on(pilot: Pilot[None], node: Node, seconds: int) -> None:
    for _ in range(seconds):
        node.pass_on()
        await resample(pilot)


async def shows(pilot: Pilot[None], console: ConsoleApp, number: int) -> None:
    await until(pilot, lambda: entries(console) == number)


def entries(console: ConsoleApp) -> int | None:
    row = console.sample.node.row(str(CT4)) if console.sample.node else None
    return row.entries if row else None


@pytest.mark.key("time.back", "time.on")
async def test_one_steps_back_and_forth_and_returns(console: ConsoleApp, node: Node) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pass_on(pilot, node, 4)
        assert entries(console) == 140
        await pilot.press("[")
        await shows(pilot, console, 130)
        table = console.sample.table
        assert table is not None
        assert len(table) == 130
        assert status(pilot).mode.endswith(", 1s ago")
        assert "◀" in screen_text(pilot)
        await pilot.press("[", "[")
        await shows(pilot, console, 110)
        await pilot.press("]")
        await shows(pilot, console, 120)
        # What comes meanwhile is kept, and not shown.
        await pass_on(pilot, node, 1)
        assert entries(console) == 120
        # But one gets to it.
        await pilot.press("]", "]", "]")
        await shows(pilot, console, 150)
        await pilot.press("]")
        await pilot.pause()
        assert status(pilot).flash == "nothing newer is kept yet; space goes back to now"
        await pilot.press(*"[[[[[[[[")
        await shows(pilot, console, 100)
        assert status(pilot).flash == "nothing older is kept"
        console.past.jump("3s ago")
        await shows(pilot, console, 120)
        await pilot.press("space")
        await settle(pilot)
        assert entries(console) == 150
        assert not status(pilot).mode
        assert status(pilot).flash == "in the 3s held: 30 new, 0 gone"


async def test_how_long_an_agent_runs_is_told_as_of_the_moment_that_is_shown(
    console: ConsoleApp, node: Node
) -> None:
    assert node.card is not None
    node.title = "node-1 · up 1m 1s"
    node.card = replace(node.card, started=EPOCH - 61.0)
    async with console.run_test(size=(130, 40)) as pilot:
        await first_sample(pilot)
        await pass_on(pilot, node, 120)
        assert "up 3m 1s" in screen_text(pilot)
        node.title = "node-1 · up 3m 1s"
        console.refresh_status()
        await pilot.press("[", "[", "[", "[")
        await shows(pilot, console, 100 + 10 * 116)
        assert "up 2m 57s" in screen_text(pilot)
        assert "node-1 · up 1m 1s" in screen_text(pilot)
        assert status(pilot).mode.endswith(", 4s ago")
        await pilot.press("space")
        await settle(pilot)
        assert "up 3m 1s" in screen_text(pilot)


async def test_a_held_picture_says_what_has_changed_when_it_goes_on(
    console: ConsoleApp, node: Node
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pass_on(pilot, node, 1)
        await pilot.press("space")
        assert status(pilot).frozen
        node.log = [(5, replace(story()[0][1], time=node.time))]
        await pass_on(pilot, node, 2)
        await pilot.press("space")
        await settle(pilot)
        assert status(pilot).flash == "in the 2s held: 20 new, 0 gone, 1 event"


@pytest.mark.key("time.jump")
async def test_one_jumps_to_a_moment_and_is_told_how_far_back_it_goes(
    console: ConsoleApp, node: Node
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pass_on(pilot, node, 9)
        for asked, found in (("4s ago", 150), ("now", 190), ("1h ago", 100)):
            await pilot.press("t")
            await until(pilot, lambda: isinstance(console.screen, AskScreen))
            console.screen.query_one(Input).value = asked
            await pilot.press("enter")
            await shows(pilot, console, found)
            assert ("nothing older is kept than 9s ago" in status(pilot).flash) == (found == 100)
        await pilot.press("t", "s", "o", "o", "n", "enter")
        await settle(pilot)
        assert "'soon' names no moment. Write 3m ago" in status(pilot).flash


@pytest.mark.key("time.event-back")
async def test_events_are_those_there_were_by_then(console: ConsoleApp, node: Node) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pass_on(pilot, node, 2)
        node.log = [(1, replace(story()[0][1], time=node.time))]
        await pass_on(pilot, node, 3)
        assert len(console.sample.events) == 1
        await pilot.press("{")
        await shows(pilot, console, 120)
        assert len(console.sample.events) == 1
        await pilot.press("[")
        await shows(pilot, console, 110)
        assert not console.sample.events


async def test_a_map_that_was_not_looked_at_then_is_said_to_be_so(
    console: ConsoleApp, node: Node
) -> None:
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        await pass_on(pilot, node, 2)
        await open_entries(pilot)
        await pass_on(pilot, node, 1)
        await pilot.press("[", "[", "[")
        await shows(pilot, console, 110)
        assert console.sample.table is None
        assert console.sample.error == "the entries of this map were not looked at then"


async def test_files_have_one_moment(source: FakeSource) -> None:
    source.live = False
    console = ConsoleApp(source, interval=3600, clock=lambda: EPOCH)
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("[")
        assert status(pilot).flash == "no other moment is kept"


@pytest.mark.key("time.faster", "time.slower")
async def test_samples_come_as_often_as_asked_for(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        console.sampler.interval = 2.0
        await pilot.press("+")
        assert status(pilot).flash == "a sample every 1 s"
        await pilot.press("-", "-")
        assert status(pilot).flash == "a sample every 4 s"
        assert console.sampler.interval == 4.0


@pytest.fixture
def replay(tmp_path: Path, node: Node) -> Iterator[ReplaySource]:
    """Ten seconds of the node, with an event in the fourth."""
    head = Head(VERSION, "node-1 · Cilium 1.18", "0.1.0", EPOCH, 1.0)
    with RecordingWriter(tmp_path / "node.ctrec", head, 1 << 24) as writer:
        taker = Taker(node, writer, clock=lambda: node.time)
        assert taker.take()
        for second in range(10):
            node.pass_on()
            if second == 3:
                node.log = [(1, replace(story()[0][1], time=node.time))]
            assert taker.take()
    source = ReplaySource(Recording(tmp_path / "node.ctrec"))
    source.player.play(on=False)
    source.player.seek(EPOCH)
    yield source
    source.close()


@pytest.fixture
def player(replay: ReplaySource) -> ConsoleApp:
    return ConsoleApp(
        replay, interval=3600, clock=lambda: replay.player.position.time, replay=replay
    )


async def test_a_recording_is_stepped_through(player: ConsoleApp, replay: ReplaySource) -> None:
    async with player.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        assert entries(player) == 100
        assert "node-1" in screen_text(pilot)
        for key, found in (("]", 110), ("]", 120), ("[", 110), ("}", 140), ("]", 150), ("{", 140)):
            await pilot.press(key)
            await shows(pilot, player, found)
        assert status(pilot).mode.startswith("‖ ")
        assert status(pilot).read_only
        bar = screen_text(pilot)
        assert "▲" in bar or "●" in bar
        await pilot.press("space")
        assert replay.player.position.playing
        await pilot.press("+", "+")
        assert replay.player.position.speed == 4.0
        await pilot.press("space")
        assert not replay.player.position.playing


async def test_a_recording_shows_entries_and_only_the_events_there_were(
    player: ConsoleApp, replay: ReplaySource
) -> None:
    async with player.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        replay.player.seek(EPOCH + 9)
        await resample(pilot)
        table = player.sample.table
        assert table is not None
        assert len(table) == 190
        assert len(player.sample.events) == 1
        await pilot.press("t")
        await until(pilot, lambda: isinstance(player.screen, AskScreen))
        player.screen.query_one(Input).value = "8s ago"
        await pilot.press("enter")
        await shows(pilot, player, 120)
        await until(pilot, lambda: not player.sample.events)


async def test_a_click_on_the_bar_goes_there(player: ConsoleApp) -> None:
    async with player.run_test(size=(121, 40)) as pilot:
        await first_sample(pilot)
        await pilot.click(TimeBar, offset=(60, 0))
        await shows(pilot, player, 150)


@pytest.mark.key("app.record")
async def test_the_console_records_what_it_shows(node: Node, tmp_path: Path) -> None:
    recorders = []

    def begin(path: Path) -> NodeRecorder:
        recorders.append(NodeRecorder(path, Node(), interval=0.05))
        return recorders[-1]

    console = ConsoleApp(node, interval=3600, clock=lambda: node.time, record=begin)
    path = tmp_path / "it.ctrec"
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        for name in (path, tmp_path / "other.ctrec"):
            begun = len(recorders)
            await pilot.press("o")
            await until(pilot, lambda: isinstance(console.screen, AskScreen))
            console.screen.query_one(Input).value = str(name)
            await pilot.press("enter")
            await until(pilot, lambda: len(recorders) > begun)  # noqa: B023 - called in this round
            await until(pilot, lambda: recorders[-1].progress.moments > 1)
            console.refresh_status()
            assert "◉ REC" in screen_text(pilot)
            if name == path:
                await pilot.press("o")
                await settle(pilot)
                assert f"{path}: " in status(pilot).flash
                assert "◉ REC" not in screen_text(pilot)
    # The second is ended with the console.
    assert "it was ended" in console.recorded
    for name in (path, tmp_path / "other.ctrec"):
        with Recording(name) as found:
            assert len(found.moments) > 1
            assert not found.told


async def test_a_file_that_is_there_is_not_recorded_over(node: Node, tmp_path: Path) -> None:
    console = ConsoleApp(
        node,
        interval=3600,
        clock=lambda: node.time,
        record=lambda path: NodeRecorder(path, Node(), interval=1.0),
    )
    (tmp_path / "it.ctrec").write_text("mine")
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(console.screen, AskScreen))
        console.screen.query_one(Input).value = str(tmp_path / "it.ctrec")
        await pilot.press("enter")
        await settle(pilot)
        assert "never written over another file" in status(pilot).flash
        assert (tmp_path / "it.ctrec").read_text() == "mine"


async def test_why_is_answered_of_the_moment_that_is_shown(replay: ReplaySource) -> None:
    recording, asked = replay.recording, []

    def known() -> Known:
        asked.append(replay.player.position.time)
        return known_at(recording, asked[-1])

    console = ConsoleApp(
        replay,
        interval=3600,
        clock=lambda: replay.player.position.time,
        replay=replay,
        explain=known,
    )
    async with console.run_test(size=(120, 60)) as pilot:
        await first_sample(pilot)
        replay.player.seek(EPOCH + 5)
        await resample(pilot)
        await pilot.press("w")
        await until(pilot, lambda: "Who fills them?" in screen_text(pilot))
        assert asked == [EPOCH + 5]
        assert "150" in screen_text(pilot)
