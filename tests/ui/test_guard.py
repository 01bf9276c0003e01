"""The guard as a switch: a key, the palette, the status line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError
from tests.support.fakes import CT4
from tests.support.pilots import first_sample, screen_text, status, until

if TYPE_CHECKING:
    from ctconsole.ui.app import ConsoleApp
    from tests.support.fake_actions import FakeActions


@pytest.mark.key("maps.guard")
async def test_a_key_switches_it_and_the_status_line_says_that_it_is_on(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 30)) as pilot:
        await first_sample(pilot)
        assert not status(pilot).guard
        await pilot.press("ctrl+g")
        await until(pilot, lambda: status(pilot).guard == "guard on")
        assert "guard on" in screen_text(pilot)
        assert "the guard is on" in status(pilot).flash
        await pilot.press("ctrl+g")
        await until(pilot, lambda: not status(pilot).guard)
        assert actions.done == [("guard", CT4.parent, True), ("guard", CT4.parent, False)]


async def test_the_palette_and_the_help_know_it(console: ConsoleApp, actions: FakeActions) -> None:
    async with console.run_test(size=(120, 60)) as pilot:
        await first_sample(pilot)
        titles = {one.title for one in console.get_system_commands(console.screen)}
        assert "Guard on" in titles
        actions.guarding = "guard on"
        titles = {one.title for one in console.get_system_commands(console.screen)}
        assert "Guard off" in titles
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Guard on or off" in screen_text(pilot)


async def test_what_keeps_it_from_beginning_is_said(
    console: ConsoleApp, read_only: ConsoleApp, actions: FakeActions
) -> None:
    actions.error = BpfError(1, "BPF_OBJ_GET", "cilium_ct4_global")
    async with console.run_test(size=(120, 30)) as pilot:
        await first_sample(pilot)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "cilium_ct4_global" in status(pilot).flash)
        assert not status(pilot).guard
    async with read_only.run_test(size=(120, 30)) as pilot:
        await first_sample(pilot)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "read-only" in status(pilot).flash)
