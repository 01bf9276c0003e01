"""A screen is shown by whatever can answer it; the console is one such app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

from ctconsole.observe.sampler import Sample
from ctconsole.ui.app import SCREENS, ConsoleApp
from ctconsole.ui.screens.events import EventsScreen
from ctconsole.ui.widgets.chrome import VIEWS
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fakes import EPOCH, story
from tests.support.pilots import text_of

if TYPE_CHECKING:
    from ctconsole.ui.console import Console


class Timeline(App[None]):
    """No source, no sampler, no actions: a sample, a clock and a name."""

    looked_at = "node-1"
    sample = Sample(number=1, events=tuple(story()))

    def now(self) -> float:
        return EPOCH

    def refresh_status(self) -> None:
        return

    def on_mount(self) -> None:
        self.push_screen(EventsScreen())


async def test_a_screen_needs_no_more_than_it_asks_for() -> None:
    async with Timeline().run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert text_of(pilot, "#source") == "node-1"
        rows = pilot.app.screen.query_one(LineTable).rows
        assert rows is not None
        assert len(rows) == len(story())


def test_the_app_answers_all_that_a_screen_may_ask(console: ConsoleApp) -> None:
    asked: Console = console
    assert asked.ct_maps == []


def test_each_view_has_a_key_a_tab_and_a_screen() -> None:
    assert [tab.view for tab in VIEWS] == [screen.VIEW for screen in SCREENS]
    assert [tab.view for tab in VIEWS] == list(ConsoleApp.MODES)
