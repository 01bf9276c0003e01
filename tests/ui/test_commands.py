"""What is typed behind ``:`` and found with ctrl+p."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.filterbook import FilterBook
from ctconsole.keytable import BY_ID
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.commands import COMMANDS
from ctconsole.ui.screens.command import CommandScreen
from ctconsole.ui.screens.flush import FlushScreen
from ctconsole.ui.screens.forecast import ForecastScreen
from ctconsole.ui.screens.recreate import RecreateScreen
from ctconsole.ui.screens.resize import ResizeScreen
from ctconsole.ui.screens.restart import RestartScreen
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fakes import CT4, EPOCH, FakeSource
from tests.support.pilots import (
    console_of,
    first_sample,
    open_entries,
    screen_text,
    settle,
    status,
    text_of,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot
    from textual.screen import Screen

    from tests.support.fake_actions import FakeActions

SIZE = (120, 40)


async def command(pilot: Pilot[None], text: str) -> None:
    """Type a command and do it."""
    await pilot.press("colon")
    await until(pilot, lambda: isinstance(pilot.app.screen, CommandScreen))
    await pilot.press(*text, "enter")
    await settle(pilot)


def top(pilot: Pilot[None]) -> Screen[object]:
    """What is on screen now."""
    return pilot.app.screen


async def back(pilot: Pilot[None]) -> None:
    await pilot.press("escape")
    await settle(pilot)


def value(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector).value)  # type: ignore[attr-defined] # an Input


def line(pilot: Pilot[None]) -> str:
    return value(pilot, "#command")


@pytest.mark.key("app.command", "command.close")
async def test_changes_are_asked_for_in_words(console: ConsoleApp) -> None:
    async with console.run_test(size=SIZE) as pilot:
        await first_sample(pilot)
        await command(pilot, "resize ct4 256k")
        assert isinstance(top(pilot), ResizeScreen)
        assert value(pilot, "#size") == "256k"
        await back(pilot)
        await command(pilot, "recreate ct_any4")
        assert isinstance(top(pilot), RecreateScreen)
        await back(pilot)
        await command(pilot, "restart")
        assert isinstance(top(pilot), RestartScreen)
        await back(pilot)
        await command(pilot, "delete proto:tcp dport:443")
        assert isinstance(top(pilot), FlushScreen)
        await back(pilot)
        await pilot.press("colon", "escape")
        await until(pilot, lambda: not isinstance(console.screen, CommandScreen))


async def test_one_goes_to_maps_and_views_and_sets_what_is_shown(console: ConsoleApp) -> None:
    async with console.run_test(size=SIZE) as pilot:
        await first_sample(pilot)
        await command(pilot, "go any4")
        assert console.current_mode == "entries"
        assert console.ct_map is not None
        assert console.ct_map.info.label == "cilium_ct_any4_global"
        await command(pilot, "filter proto:udp")
        assert console.filter_text == "proto:udp"
        await command(pilot, "sort -packets")
        rows = console.screen.query_one(LineTable).rows
        assert rows is not None
        assert rows.sort == ("packets", True)
        await command(pilot, "forecast")
        assert isinstance(top(pilot), ForecastScreen)
        await back(pilot)
        await command(pilot, "go lb4_backends")
        assert console.current_mode == "overview"
        table = console.screen.query_one("#maps", LineTable)
        assert "lb4_backends" in str(table.cursor_key)
        await command(pilot, "view events")
        assert console.current_mode == "events"
        await command(pilot, "theme paper")
        assert console.theme == "paper"
        await command(pilot, "rate 5s")
        assert console.sampler.interval == 5.0
        await command(pilot, "guard off")
        assert status(pilot).flash == "the guard is off already"


async def test_what_cannot_be_meant_is_told(console: ConsoleApp) -> None:
    async with console.run_test(size=SIZE) as pilot:
        await first_sample(pilot)
        for text, told in MISTAKES.items():
            console.commands.run(text)
            assert status(pilot).flash.startswith(told), text
        console.commands.run("resize ct4 12")
        await settle(pilot)
        await until(pilot, lambda: "524,288 -> 12 entries" in screen_text(pilot))


MISTAKES = {
    "resise ct4": "resise: there is no such command here. Did you mean resize?",
    "go ct44": "go: there is no map ct44. Did you mean ct4?",
    "go lb4_": "go: that may be cilium_lb4_backends, cilium_lb4_maglev",
    "view evnts": "view: there is no view evnts. Did you mean events?",
    "sort bites": "sort: there is no column bites to sort by; give name, ",
    "theme papper": "theme: there is no theme papper. Did you mean paper?",
    "rate never": "rate: must be seconds from 0.1 to 3600",
    "delete dprt:1": "delete: ",
    "flush lb4_maglev": "flush: lb4_maglev is no conntrack table",
    "guard maybe": "guard: say on or off",
}


@pytest.mark.key("command.complete", "command.complete-back")
@pytest.mark.key("command.earlier", "command.later")
async def test_commands_are_completed_and_recalled(tmp_path: Path) -> None:
    book = FilterBook(tmp_path / "config", tmp_path / "state")
    console = ConsoleApp(FakeSource(), interval=3600, clock=lambda: EPOCH, book=book)
    async with console.run_test(size=SIZE) as pilot:
        await first_sample(pilot)
        await command(pilot, "view events")
        await command(pilot, "view top")
        await pilot.press("colon", *"vie", "tab")
        await until(pilot, lambda: line(pilot) == "view ")
        await pilot.press("d", "tab")
        await until(pilot, lambda: line(pilot) == "view datapath")
        await pilot.press("ctrl+u", *"view e", "tab")
        first = line(pilot)
        await pilot.press("tab")
        second = line(pilot)
        await pilot.press("shift+tab")
        assert line(pilot) == first != second
        await pilot.press("up", "up")
        assert line(pilot) == "view events"
        await pilot.press("down", "down")
        assert line(pilot) == first
        await pilot.press("escape")
    assert book.typed("commands") == ["view events", "view top"]


async def test_what_may_not_be_done_is_quiet_and_says_why(read_only: ConsoleApp) -> None:
    async with read_only.run_test(size=SIZE) as pilot:
        await first_sample(pilot)
        await pilot.press("colon", *"resize")
        await until(pilot, lambda: "read-only" in text_of(pilot, "#command-hint"))
        assert pilot.app.screen.query_one("#command-hint").has_class("-off")
        await pilot.press(*" ct4", "enter")
        await settle(pilot)
        assert status(pilot).flash.startswith("resize: read-only")
        offers = {one.title: one for one in read_only.commands.offers()}
        assert offers["Resize"].why_not
        assert not offers["Freeze"].why_not
        abouts = {one.title: one.help for one in read_only.get_system_commands(read_only.screen)}
        assert abouts["Resize"].startswith("not here: read-only")


async def test_the_palette_offers_verbs_maps_views_and_themes(
    console: ConsoleApp, actions: FakeActions
) -> None:
    del actions
    async with console.run_test(size=SIZE) as pilot:
        await first_sample(pilot)
        titles = {one.title for one in console.commands.offers()}
        assert titles >= {
            "Resize", "Recreate", "Restart", f"Go to {CT4.name}", "View: events",
            "Theme: paper", "Record", "Quit", "Remember",
        }  # fmt: skip
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"go to cilium_ct_any4")
        await until(pilot, lambda: "Go to cilium_ct_any4_global" in screen_text(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: console_of(pilot).current_mode == "entries")


async def test_maps_views_and_columns_complete(console: ConsoleApp) -> None:
    async with console.run_test(size=SIZE) as pilot:
        await open_entries(pilot)
        commands = console.commands
        assert commands.completions("go cilium_ct4") == ["go cilium_ct4_global"]
        assert commands.completions("guard o") == ["guard on", "guard off"]
        assert "theme paper" in commands.completions("theme ")
        assert commands.completions("resize x y") == []
        assert commands.hint("")[0]


def test_every_command_that_has_a_key_names_one_that_is_there() -> None:
    assert {one.key for one in COMMANDS} - {""} <= BY_ID.keys()
