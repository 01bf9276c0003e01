"""The timeline: chosen by keys, never flooded, and with the fill behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.event import Event, EventKind, Level
from ctconsole.ui.screens.pick import PickScreen
from ctconsole.ui.widgets.fill_graph import FillGraph
from tests.support.fakes import CT4, CT_ANY4, EPOCH, FakeSource, story
from tests.support.pilots import first_sample, line_with, resample, screen_text, settle, status

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from ctconsole.ui.app import ConsoleApp

WIDE = (140, 40)


def chatter(number: int) -> tuple[int, Event]:
    fields = {"count": 100 + number}
    when = EPOCH - 50 + number / 20
    return number, Event(
        when, EventKind.CONNECTIONS, "datapath", "datapath", "New connections", Level.DEBUG, fields
    )


@pytest.fixture
def flooded(source: FakeSource) -> FakeSource:
    """After the restart new connections were heard of 600 times."""
    source.log = [*story(), *(chatter(number) for number in range(100, 700))]
    return source


async def opened(pilot: Pilot[None]) -> None:
    await first_sample(pilot)
    await pilot.press("4")
    await settle(pilot)


async def test_what_is_heard_all_the_time_does_not_hide_the_restart(
    console: ConsoleApp, flooded: FakeSource
) -> None:
    assert len(flooded.log) == 610
    async with console.run_test(size=WIDE) as pilot:
        await first_sample(pilot)
        assert "Agent is ready" in screen_text(pilot)
        assert "New connections" not in screen_text(pilot)
        await pilot.press("4")
        await settle(pilot)
        line = line_with(pilot, "connections", "New connections")
        total = sum(100 + number for number in range(100, 700))
        assert f"New connections, {total:,} in all: 600 times in 30s" in line
        assert "Agent starts" in screen_text(pilot)
        assert status(pilot).shown == "610 events in 11 lines"


@pytest.mark.key("events.level")
async def test_a_key_leaves_out_what_is_quieter(console: ConsoleApp, flooded: FakeSource) -> None:
    assert flooded.log
    async with console.run_test(size=WIDE) as pilot:
        await opened(pilot)
        shown = []
        for _ in range(4):
            await pilot.press("l")
            await settle(pilot)
            shown.append(status(pilot).shown)
        assert shown == [
            "10 of 610 events",
            "2 of 610 events",
            "0 of 610 events",
            "610 events in 11 lines",
        ]


@pytest.mark.key("events.kind", "events.map")
async def test_keys_choose_a_kind_and_a_map_beside_what_was_typed(
    console: ConsoleApp, source: FakeSource
) -> None:
    assert source.log
    async with console.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("K")
        await settle(pilot)
        assert isinstance(console.screen, PickScreen)
        assert "agent-start" in screen_text(pilot)
        await pilot.press("j", "enter")
        await settle(pilot)
        assert status(pilot).shown == "2 of 10 events"
        await pilot.press("K", "k", "k", "k")
        await pilot.press("escape", "l", "l", "m", "j", "enter")
        await settle(pilot)
        screen = console.screen
        assert getattr(screen, "filter_text", "") == (
            "kind:agent-start level>=warning map:cilium_ct4_global"
        )
        await pilot.press("K", "home", "enter")
        await settle(pilot)
        assert status(pilot).shown == "2 of 10 events"
        assert "Max entries mismatch" in screen_text(pilot)


async def test_the_fill_of_the_map_an_event_is_about_stands_behind(
    console: ConsoleApp, source: FakeSource
) -> None:
    minutes = tuple((EPOCH - 60.0 * n, 400_000 - 1000 * n) for n in range(60, 0, -1))
    source.past = {str(CT4): minutes}
    about = replace(story()[5][1], subject=str(CT_ANY4), time=EPOCH - 5)
    source.log = [*story(), (11, about)]
    async with console.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await resample(pilot)
        graph = console.screen.query_one(FillGraph)
        assert graph.border_title == "cilium_ct_any4_global"
        await pilot.press("end")
        await settle(pilot)
        assert graph.border_title == "cilium_ct4_global"
        shown = screen_text(pilot)
        assert "◆" in shown
        assert "▲" in shown.rpartition("peak")[2]
        assert graph.span == 3600
