"""The table of keys: that it is whole, that it holds, and what is made of it."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual import events
from textual.command import CommandPalette
from textual.keys import Keys
from textual.widgets import OptionList

from ctconsole.keytable import BY_ID, KEYS, NEEDS, SCENES, VIEW_NAMES, Key, scene_keys
from ctconsole.settings.keymap import for_textual, keymap
from ctconsole.settings.read import UserSettings, settings_of
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.choices import Choices
from ctconsole.ui.screens.affected import AffectedScreen
from ctconsole.ui.screens.ask import AskScreen
from ctconsole.ui.screens.details import Details
from ctconsole.ui.screens.forecast import ForecastScreen
from ctconsole.ui.screens.help import HelpScreen
from ctconsole.ui.screens.pick import PickScreen
from ctconsole.ui.widgets.chrome import StatusBar
from ctconsole.ui.widgets.key_footer import KeyFooter, Shown, fitting
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fakes import EPOCH, FakeSource
from tests.support.pilots import first_sample, open_entries, screen_text, settle, status, until
from tests.support.pressed import claimed
from tests.support.scenes import shown

if TYPE_CHECKING:
    from textual.screen import Screen

    from tests.support.fake_actions import FakeActions


def test_every_key_has_a_test() -> None:
    """A new key needs a test marked with ``pytest.mark.key("its.id")`` that presses it."""
    assert sorted(BY_ID.keys() - claimed().keys()) == []


def test_no_test_claims_a_key_that_is_not_there() -> None:
    assert {key: test for key, test in claimed().items() if key not in BY_ID} == {}


def test_an_id_names_one_key() -> None:
    assert len(BY_ID) == len(KEYS)


@pytest.mark.parametrize("scene", SCENES)
def test_a_key_means_one_thing_wherever_it_is_in_force(scene: str) -> None:
    held = [(pressed, key) for key in scene_keys(scene) for pressed in key.each]
    for (one, first), (other, second) in itertools.combinations(held, 2):
        assert one != other or first.action == second.action, (one, first.id, second.id)


def test_every_place_is_in_a_scene_and_every_need_is_known() -> None:
    places = {place for key in KEYS for place in key.places}
    assert places <= {place for scene in SCENES.values() for place in scene}
    assert {key.needs for key in KEYS} - {""} <= NEEDS


def test_keys_are_called_as_textual_calls_them() -> None:
    named = {key.value for key in Keys}
    for key in KEYS:
        for pressed in key.each:
            assert len(pressed) == 1 or pressed in named or pressed in NAMES_OF_SIGNS, key.id


NAMES_OF_SIGNS = {
    "question_mark", "left_square_bracket", "right_square_bracket", "left_curly_bracket",
    "right_curly_bracket", "plus", "minus", "less_than_sign", "greater_than_sign", "comma",
    "full_stop", "slash", "colon", "space",
}  # fmt: skip


def ranked(*ranks: int) -> list[Shown]:
    """Keys of these ranks, each eight cells wide."""
    return [
        Shown(Key(f"x.{rank}", "x", "x", "words.", "", (), rank=rank), "x", "x") for rank in ranks
    ]


def test_the_footer_leaves_out_what_is_least_needed() -> None:
    left, right = fitting(ranked(30, 1, 20, 2, 10), 44)
    assert [one.key.rank for one in left] == [10, 20]
    assert [one.key.rank for one in right] == [2, 1]
    left, right = fitting(ranked(30, 1, 20, 2, 10), 19)
    assert [one.key.rank for one in right] == [1]


@pytest.mark.key("view.overview", "view.entries", "view.top", "view.events", "view.datapath")
async def test_the_footer_is_never_cut(console: ConsoleApp) -> None:
    words = {key.word for key in KEYS}
    async with console.run_test(size=(60, 24)) as pilot:
        await first_sample(pilot)
        for width, view in itertools.product((60, 80, 100, 200), VIEW_NAMES):
            await pilot.resize_terminal(width, 24)
            await pilot.press(BY_ID[f"view.{view}"].keys)
            await settle(pilot)
            assert console.current_mode == view
            line = screen_text(pilot).splitlines()[-1]
            assert line.rstrip().endswith("q Quit  ? Help"), (view, width)
            pieces = [
                piece.strip().partition(" ")[2] for piece in line.split("  ") if piece.strip()
            ]
            assert set(pieces) <= words, "a word is cut"


async def test_a_click_in_the_footer_does_as_the_key_does(console: ConsoleApp) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        await first_sample(pilot)
        line = screen_text(pilot).splitlines()[-1]
        await pilot.click(KeyFooter, offset=(line.index("? Help") + 2, 0))
        await pilot.pause()
        assert isinstance(console.screen, HelpScreen)


async def test_while_a_filter_is_typed_the_footer_names_what_works_there(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        await open_entries(pilot)
        await pilot.press("slash")
        await pilot.pause()
        line = screen_text(pilot).splitlines()[-1]
        assert "tab Complete" in line
        assert "\N{UPWARDS ARROW} Before" in line
        # These are typed.
        for sign in ("slash", "plus", "minus"):
            assert sign not in console.screen.active_bindings
        assert "/ Filter" not in line
        assert "f1 Help" in line
        assert "Recreate" not in line


async def test_what_may_not_be_done_is_quiet_in_the_footer(
    console: ConsoleApp, read_only: ConsoleApp
) -> None:
    styles = []
    for app in (console, read_only):
        async with app.run_test(size=(120, 24)) as pilot:
            await first_sample(pilot)
            footer = app.screen.query_one(KeyFooter)
            text = footer.render()
            place = text.plain.index("Recreate")
            quiet = footer.get_component_rich_style("key-footer--off")
            styles.append(any(s.start <= place < s.end and s.style == quiet for s in text.spans))
    assert styles == [False, True]


@pytest.mark.key("app.quit")
async def test_one_key_leaves_the_console(console: ConsoleApp) -> None:
    async with console.run_test() as pilot:
        await first_sample(pilot)
        await pilot.press("q")
        await until(pilot, lambda: console._exit)


@pytest.mark.key("app.palette")
async def test_the_palette_opens(console: ConsoleApp) -> None:
    async with console.run_test() as pilot:
        await first_sample(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(console.screen, CommandPalette))


@pytest.mark.key("table.up", "table.down", "table.page-up", "table.page-down")
@pytest.mark.key("table.first", "table.last", "table.select")
async def test_every_key_of_a_table_moves_the_cursor(console: ConsoleApp) -> None:
    last = 19
    expected = {
        "table.last": last, "table.up": last - 1, "table.first": 0, "table.down": 1,
        "table.page-down": last, "table.page-up": 0,
    }  # fmt: skip
    async with console.run_test(size=(100, 40)) as pilot:
        await first_sample(pilot)
        table = console.screen.query_one("#maps", LineTable)
        for alias in (0, 1):
            for key, place in expected.items():
                await pilot.press(BY_ID[key].each[alias])
                assert table.cursor == place, BY_ID[key].each[alias]
        await pilot.press("enter")
        await until(pilot, lambda: console.current_mode == "entries")


@pytest.mark.key("table.half-up", "table.half-down")
async def test_half_pages_have_keys_in_the_preset_of_vim(console: ConsoleApp) -> None:
    async with console.run_test(size=(100, 24)) as pilot:
        await first_sample(pilot)
        console.set_keymap(for_textual(keymap("vim", {})[0]))
        table = console.screen.query_one("#maps", LineTable)
        await pilot.press("ctrl+d")
        assert 1 < table.cursor < table.size.height - 1
        await pilot.press("ctrl+u")
        assert table.cursor == 0


@pytest.mark.key("map.sort-right", "pick.down", "pick.close")
async def test_the_menu_of_columns_follows_j_and_closes(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        rows = console.screen.query_one("#maps", LineTable).rows
        assert rows is not None
        await pilot.press("greater_than_sign")
        rows = console.screen.query_one("#maps", LineTable).rows
        assert rows is not None
        assert rows.sort[0] == "type"
        await pilot.press("s", "j", "enter")
        rows = console.screen.query_one("#maps", LineTable).rows
        assert rows is not None
        assert rows.sort[0] == "id"
        await pilot.press("s", "q")
        await until(pilot, lambda: not isinstance(console.screen, PickScreen))


@pytest.mark.key("map.previous", "map.next")
@pytest.mark.parametrize("view", ["2", "3"])
async def test_comma_and_full_stop_go_to_the_neighbouring_map(
    console: ConsoleApp, view: str
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press(view)
        await settle(pilot)
        first = console.ct_map
        await pilot.press(".")
        await until(pilot, lambda: console.ct_map != first)
        await pilot.press(",")
        await until(pilot, lambda: console.ct_map == first)


@pytest.mark.key("map.unfold")
async def test_all_events_unfold_and_fold(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("4", "x")
        await until(pilot, lambda: "old_id: 549" in screen_text(pilot))
        await pilot.press("x")
        await until(pilot, lambda: "old_id: 549" not in screen_text(pilot))


@pytest.mark.key("time.event-on")
async def test_the_event_after_is_told_to_be_missing(console: ConsoleApp) -> None:
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("}")
        await until(pilot, lambda: status(pilot).flash)


@pytest.mark.parametrize(
    ("keys", "dialogue", "close"),
    [
        pytest.param(("i",), Details, "i", marks=pytest.mark.key("details.close")),
        pytest.param(("2", "f"), ForecastScreen, "f", marks=pytest.mark.key("forecast.close")),
        pytest.param(("t",), AskScreen, "escape", marks=pytest.mark.key("ask.close")),
    ],
)
async def test_what_opened_a_box_closes_it(
    console: ConsoleApp, keys: tuple[str, ...], dialogue: type[Screen[object]], close: str
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("1", *keys)
        await until(pilot, lambda: isinstance(console.screen, dialogue))
        await pilot.press(close)
        await until(pilot, lambda: not isinstance(console.screen, dialogue))


@pytest.mark.key("affected.way-before", "affected.next", "affected.before")
async def test_the_list_of_a_plan_goes_both_ways(console: ConsoleApp) -> None:
    async with console.run_test(size=(140, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("z")
        await settle(pilot)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(console.screen, AffectedScreen))
        await settle(pilot)
        before = screen_text(pilot)
        await pilot.press("right", "left", "[", "]")
        await settle(pilot)
        assert screen_text(pilot) == before


HINTS = {
    "resize": ("l", "ctrl+r", "esc"),
    "resize-list": ("←", "→", "tab", "enter", "esc"),
    "recreate": ("ctrl+r", "esc"),
    "forecast": ("l", "esc"),
    "entry": ("esc",),
    "map": ("esc",),
    "help": ("esc",),
    "sort": ("esc",),
    "columns": ("space", "J", "K", "+", "-", "d", "esc"),
    "jump": ("esc",),
}
"""The keys that each of these scenes names below its box."""

NOT_MOVED = {"view", "app", "table", "map", "entries", "time"}
"""Whose keys open those scenes."""


def below(console: ConsoleApp) -> list[str]:
    """The keys named below the box on screen."""
    line = console.screen.query_one(".dialogue").border_subtitle
    return [word for word in str(line).split() if word in OURS or not word.isalpha()]


OURS = {
    "ctrl+r",
    "l",
    "esc",
    "tab",
    "enter",
    "space",
    "J",
    "K",
    "d",
    *(f"f{n}" for n in range(1, 25)),
}


@pytest.mark.parametrize("scene", HINTS)
async def test_a_dialogue_names_the_keys_that_it_has(scene: str, console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await shown(pilot, scene)
        assert [key for key in below(console) if key in HINTS[scene]] == list(HINTS[scene])


@pytest.mark.parametrize("scene", HINTS)
async def test_a_dialogue_names_the_keys_that_somebody_gave_it(
    scene: str, source: FakeSource, actions: FakeActions
) -> None:
    moved = [key.id for key in KEYS if key.id.partition(".")[0] not in NOT_MOVED]
    keys = {key_id: (f"f{place + 2}",) for place, key_id in enumerate(moved)}
    if scene == "resize-list":
        keys["resize.list"] = ("l",)
    settings = replace(UserSettings(), keys=keys)
    console = ConsoleApp(
        source, actions, interval=3600, clock=lambda: EPOCH, choices=Choices(settings)
    )
    async with console.run_test(size=(120, 40)) as pilot:
        await shown(pilot, scene)
        line = str(console.screen.query_one(".dialogue").border_subtitle)
        named = [word for word in line.split() if word in HINTS[scene]]
        assert named == (["enter"] if scene == "resize-list" else [])
        assert re.findall(r"\bf\d+", line)


async def test_tabs_name_the_keys_of_the_views(source: FakeSource) -> None:
    settings = settings_of('[keys]\n"view.maps" = "M"\n"view.node" = []\n', Path("config.toml"))
    console = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, choices=Choices(settings))
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        title = screen_text(pilot).splitlines()[0]
        assert "5 Datapath" in title
        assert "M Maps" in title
        assert "7 Node" not in title
        assert "Node" in title


async def test_the_help_names_the_keys_that_are_in_force(source: FakeSource) -> None:
    settings = settings_of('[keys]\n"app.freeze" = "f9"\n', Path("config.toml"))
    console = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, choices=Choices(settings))
    async with console.run_test(size=(160, 100)) as pilot:
        await first_sample(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: "before; f9 " in screen_text(pilot))


async def test_a_key_that_does_nothing_says_so(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("Z")
        assert status(pilot).flash == "Z does nothing here; ? for the keys"
        await pilot.press("ü")
        assert status(pilot).flash == "ü does nothing here; ? for the keys"
        await pilot.press("f12")
        assert status(pilot).flash == "f12 does nothing here; ? for the keys"
        console.flash("")
        for bound in ("down", "g", "1"):
            await pilot.press(bound)
            assert status(pilot).flash == ""
        await pilot.press("i", "Z")
        assert status(pilot).flash == "Z does nothing here"


async def test_nobody_who_types_is_told_of_keys(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("slash", "Z", "f12", "f9")
        assert status(pilot).flash == ""


SIGNS = {"slash": "/", "colon": ":", "space": " ", "question_mark": "?"}


def typed_ahead(console: ConsoleApp, *keys: str) -> None:
    """Keys that all come before the first of them has been dealt with."""
    for key in keys:
        console.post_message(events.Key(key, SIGNS.get(key, key if len(key) == 1 else None)))


async def test_what_is_typed_ahead_reaches_the_field_that_its_first_key_opens(
    console: ConsoleApp,
) -> None:
    """Else ``d`` and ``r`` of a filter would be commands of the table."""
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        typed_ahead(console, "slash", *"proto", "colon", *"tcp", "enter", "j")
        await until(pilot, lambda: console.filter_text == "proto:tcp")
        table = console.screen.query_one(LineTable)
        await until(pilot, lambda: table.cursor == 1)
        assert console.focused is table
        typed_ahead(console, "colon", *"go", "space", *"any4", "enter")
        await until(pilot, lambda: console.ct_map and "any4" in console.ct_map.info.label)


async def test_a_key_behind_one_that_closes_its_own_dialogue_is_the_next_screens(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        typed_ahead(console, "question_mark", "escape", "3")
        await until(pilot, lambda: console.current_mode == "top")
        assert len(console.screen_stack) == 1


async def test_a_menu_is_as_wide_as_its_box_and_what_is_said_is_not_cut(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        await first_sample(pilot)
        console.flash(f"nothing was done: {'because ' * 15}; here is what to do")
        await pilot.pause()
        assert "here is what to do" in " ".join(screen_text(pilot).split())
        console.flash("short")
        await pilot.pause()
        assert console.screen.query_one(StatusBar).size.height == 1
        await pilot.press("s")
        await until(pilot, lambda: isinstance(console.screen, PickScreen))
        box = console.screen.query_one("#pick")
        assert console.screen.query_one(OptionList).outer_size.width == box.content_size.width
