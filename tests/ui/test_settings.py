"""What is settled in the configuration file, as the console takes it, and what it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.settings.read import settings_of
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.choices import Choices
from ctconsole.ui.screens.resize import ResizeScreen
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fake_actions import FakeActions
from tests.support.fakes import EPOCH, FakeSource
from tests.support.pilots import first_sample, screen_text, settle, status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.settings.fields import Setting
    from ctconsole.settings.read import UserSettings

FILE = Path("/home/one/config.toml")


class Written:
    """Takes what is written in the place of the file."""

    def __init__(self) -> None:
        self.fields: dict[str, Setting] = {}

    def __call__(self, settings: UserSettings, chosen: Mapping[str, Setting]) -> Path:
        del settings
        self.fields |= chosen
        return FILE


def opened(text: str, written: Written | None = None) -> ConsoleApp:
    source = FakeSource()
    settings = settings_of(text, FILE)
    return ConsoleApp(
        source,
        FakeActions(source),
        interval=3600,
        clock=lambda: EPOCH,
        theme=settings.value("theme"),
        choices=Choices(settings, written),
    )


async def test_theme_order_and_keys_are_those_that_are_settled() -> None:
    console = opened('theme = "paper"\n[sort]\noverview = "-memory"\n[keys]\n"map.resize" = "f7"\n')
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        assert console.theme == "paper"
        rows = console.screen.query_one("#maps", LineTable).rows
        assert rows is not None
        assert rows.sort == ("memory", True)
        assert "f7 Resize" in screen_text(pilot).splitlines()[-1]
        await pilot.press("z")
        await settle(pilot)
        assert not isinstance(console.screen, ResizeScreen)
        await pilot.press("f7")
        await settle(pilot)
        assert isinstance(console.screen, ResizeScreen)


async def test_a_bad_file_is_told_and_keeps_nobody_out() -> None:
    console = opened('theme = 1\ncolor = "true"\n[keys]\n"map.resize" = "r"\n')
    async with console.run_test(size=(160, 30)) as pilot:
        await first_sample(pilot)
        assert status(pilot).flash == f"{FILE}:1: theme must be a text in quotes; 1 more"
        assert console.theme == "night"
        assert "z Resize" in screen_text(pilot).splitlines()[-1]


async def test_what_was_chosen_is_remembered_when_it_is_said() -> None:
    written = Written()
    console = opened("", written)
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        console.theme = "clear"
        await pilot.press("greater_than_sign")
        console.choose_columns("entries", ("source", "bytes:12"))
        assert written.fields == {}
        assert console.remember("theme") == f"theme written into {FILE}"
        assert written.fields == {"theme": "clear"}
        console.remember()
    assert written.fields == {
        "theme": "clear",
        "sort.overview": "type",
        "columns.entries": ("source", "bytes:12"),
    }


async def test_where_that_is_settled_it_is_remembered_on_leaving() -> None:
    written = Written()
    console = opened("remember = true\n", written)
    async with console.run_test() as pilot:
        await first_sample(pilot)
        console.theme = "clear"
        assert written.fields == {}
    assert written.fields == {"theme": "clear"}


def test_without_a_file_nothing_is_claimed_to_be_remembered() -> None:
    choices = Choices(settings_of("", FILE))
    assert "nothing else was chosen" in choices.remember()
    choices.choose("theme", "clear")
    assert choices.remember() == "there is no configuration file here"


def test_what_cannot_be_written_is_said() -> None:
    def refuse(*_: object) -> Path:
        raise CtconsoleError("no room")

    choices = Choices(settings_of("", FILE), refuse)
    choices.choose("theme", "clear")
    with pytest.raises(CtconsoleError, match="no room"):
        choices.remember()
