"""A screen is shown by whatever can answer it; the console is one such app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

from ctconsole import loops
from ctconsole.keytable import VIEW_NAMES
from ctconsole.loops import LoopState
from ctconsole.observe.sampler import Sample
from ctconsole.ui.app import SCREENS, ConsoleApp
from ctconsole.ui.screens.events import EventsScreen
from ctconsole.ui.widgets.chrome import StatusBar
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fakes import EPOCH, story
from tests.support.pilots import text_of, until

if TYPE_CHECKING:
    import pytest

    from ctconsole.keytable import Key
    from ctconsole.ui.console import Console


class Timeline(App[None]):
    """No source, no sampler, no actions: a sample, a clock and a name."""

    looked_at = "node-1"
    sample = Sample(number=1, events=tuple(story()))

    def now(self) -> float:
        return EPOCH

    def why_not(self, key: Key) -> str:
        del key
        return ""

    def columns(self, view: str) -> tuple[str, ...]:
        del view
        return ()

    def keyed(self, text: str) -> str:
        return text

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
    assert list(VIEW_NAMES) == [screen.VIEW for screen in SCREENS]
    assert list(VIEW_NAMES) == list(ConsoleApp.MODES)


async def test_a_loop_in_trouble_is_shown_in_the_status_line(
    console: ConsoleApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = LoopState("log", running=False, failures=1, error="no descriptors", since=1.0)
    async with console.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: console.sample.number)
        bar = console.screen.query_one(StatusBar)
        assert bar.status.error == ""
        monkeypatch.setattr(loops, "troubles", lambda: (state,))
        console.refresh_status()
        assert bar.status.error == "The log loop has ended: no descriptors"
