"""The console's answers to what operators ask."""

from __future__ import annotations

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.model.explain.facts import Known
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.screens.explain import ExplainScreen
from tests.support.fakes import EPOCH, FakeSource
from tests.support.pilots import first_sample, screen_text, until


@pytest.mark.key("app.explain", "explain.again", "explain.close")
async def test_a_key_answers_every_question(source: FakeSource) -> None:
    asked = []

    def read() -> Known:
        asked.append(1)
        return Known(live=True, accounting=False, pressure={"ct4_global": 0.973})

    console = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, explain=read)
    async with console.run_test(size=(120, 60)) as pilot:
        await first_sample(pilot)
        await pilot.press("w")
        await until(pilot, lambda: "Who fills them?" in screen_text(pilot))
        shown = screen_text(pilot)
        assert "The agent's own metric says that ct4_global is 97.3% full." in shown
        assert "not known: who fills them" in shown
        await pilot.press("ctrl+r")
        await until(pilot, lambda: len(asked) == 2)
        await pilot.press("w")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, ExplainScreen)


async def test_what_cannot_be_read_is_said(source: FakeSource) -> None:
    def read() -> Known:
        raise CtconsoleError("The node is gone")

    console = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, explain=read)
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        await pilot.press("w")
        await until(pilot, lambda: "The node is gone" in screen_text(pilot))


async def test_a_console_that_knows_nothing_says_so(console: ConsoleApp) -> None:
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        await pilot.press("w")
        await until(pilot, lambda: "nobody here can answer" in screen_text(pilot))
