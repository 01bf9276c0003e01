from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Button, Input

from ctconsole.errors import AgentError, BpfError, UsageError
from ctconsole.ui.screens.recreate import RecreateScreen, table_size
from ctconsole.ui.screens.restart import RestartScreen
from tests.support.fakes import CT4, FakeActions
from tests.support.pilots import first_sample, screen_text, settle, status, text_of, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from ctconsole.ui.app import ConsoleApp

NAME = "cilium_ct4_global"


async def open_recreate(pilot: Pilot[None]) -> RecreateScreen:
    await first_sample(pilot)
    await pilot.press("r")
    await until(pilot, lambda: isinstance(pilot.app.screen, RecreateScreen))
    screen = pilot.app.screen
    assert isinstance(screen, RecreateScreen)
    await until(pilot, lambda: screen.plan)
    return screen


def go(pilot: Pilot[None]) -> Button:
    return pilot.app.screen.query_one("#go", Button)


async def type_into(pilot: Pilot[None], field: str, text: str) -> None:
    box = pilot.app.screen.query_one(field, Input)
    box.focus()
    await pilot.pause()
    box.value = ""
    box.insert_text_at_cursor(text)
    await settle(pilot)


async def test_recreate_states_what_it_costs(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        shown = screen_text(pilot)
        assert "524,288 -> 1,048,576 entries" in shown
        assert "68.0 MiB now + 136 MiB new = 204 MiB of 6.1 GiB free" in shown
        assert "476,102 entries" in shown
        assert "428,491 alive, and of those 380,881 established" in shown
        assert "2 programs keep using map 588" in shown


@pytest.mark.parametrize("wrong", ["", "cilium_ct4_globa", "Cilium_ct4_global", "yes"])
async def test_a_wrong_name_never_acts(
    console: ConsoleApp, actions: FakeActions, wrong: str
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        await type_into(pilot, "#name", wrong)
        assert go(pilot).disabled
        await pilot.press("enter")
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == []


async def test_the_right_name_recreates_and_shows_the_report(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        await type_into(pilot, "#size", "1M")
        await type_into(pilot, "#name", NAME)
        assert not go(pilot).disabled
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == [(CT4, 1 << 20)]
        assert "map 588 is now 608, 476,102 entries lost" in text_of(pilot, "#outcome")
        await pilot.press("escape")
        await until(pilot, lambda: "entries lost" in status(pilot).flash)
        assert len(actions.done) == 1


async def test_enter_in_the_name_does_what_the_button_does(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        await type_into(pilot, "#name", NAME)
        await pilot.press("enter", "enter")
        await settle(pilot)
        assert len(actions.done) == 1


@pytest.mark.parametrize(
    ("typed", "problem"),
    [("12", "12 is outside 1,024 to 16,777,216"), ("17M", "outside"), ("lots", "Not a size")],
)
async def test_a_bad_size_is_named_and_nothing_can_be_done(
    console: ConsoleApp, actions: FakeActions, typed: str, problem: str
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        await type_into(pilot, "#size", typed)
        assert problem in text_of(pilot, "#problem")
        await type_into(pilot, "#name", NAME)
        assert go(pilot).disabled
        await pilot.press("enter")
        await settle(pilot)
        assert actions.done == []


@pytest.mark.parametrize(
    ("typed", "size"),
    [("1024", 1024), ("512k", 524288), ("1M", 1 << 20), ("16M", 1 << 24), ("262,144", 262144)],
)
def test_sizes_as_people_type_them(typed: str, size: int) -> None:
    assert table_size(typed) == size


@pytest.mark.parametrize("typed", ["", "-5", "1.5M", "1023", "16777217", "0x400"])
def test_sizes_that_are_refused(typed: str) -> None:
    with pytest.raises(UsageError):
        table_size(typed)


async def test_a_failed_recreation_is_told_in_one_sentence(
    console: ConsoleApp, actions: FakeActions
) -> None:
    actions.error = BpfError(12, "BPF_MAP_CREATE", NAME)
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        await type_into(pilot, "#name", NAME)
        await pilot.click("#go")
        await settle(pilot)
        assert "Cannot allocate memory" in text_of(pilot, "#outcome")
        assert go(pilot).disabled
        assert pilot.app.screen.query_one("#name", Input).value == ""


async def test_read_only_explains_instead_of_opening(read_only: ConsoleApp) -> None:
    async with read_only.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        for key in ("r", "R"):
            await pilot.press(key)
            await pilot.pause()
            assert "read-only" in status(pilot).flash
            assert len(read_only.screen_stack) == 1
        assert status(pilot).read_only
        await pilot.press("question_mark")
        await pilot.pause()
        assert "read-only: start without --read-only" in screen_text(pilot)


async def test_a_map_without_a_size_cannot_be_recreated(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("end", "r")
        await pilot.pause()
        assert "cannot be recreated" in status(pilot).flash
        assert len(console.screen_stack) == 1


async def open_restart(pilot: Pilot[None]) -> None:
    await first_sample(pilot)
    await pilot.press("R")
    await until(pilot, lambda: isinstance(pilot.app.screen, RestartScreen))
    await settle(pilot)


async def test_restart_without_a_change_keeps_everything(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_restart(pilot)
        assert "keeps its entries" in text_of(pilot, "#meaning")
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == [{}]
        assert "ready again after 1.3 s" in text_of(pilot, "#outcome")


async def test_restart_with_another_size_counts_the_loss_first(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_restart(pilot)
        await type_into(pilot, "#bpf-ct-global-any-max", "512k")
        assert "36,790 entries will be lost" in text_of(pilot, "#meaning")
        await type_into(pilot, "#bpf-ct-global-tcp-max", "1M")
        assert "512,892 entries will be lost" in text_of(pilot, "#meaning")
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == [
            {"bpf-ct-global-tcp-max": "1048576", "bpf-ct-global-any-max": "524288"}
        ]


async def test_restart_without_an_agent_says_so(console: ConsoleApp, actions: FakeActions) -> None:
    actions.error = AgentError("No agent runs here", hint="Start one with ctconsole agent start")
    async with console.run_test(size=(120, 40)) as pilot:
        await open_restart(pilot)
        assert "No agent runs here" in text_of(pilot, "#outcome")
        assert go(pilot).disabled
        await pilot.press("escape")
        await pilot.pause()
        assert len(console.screen_stack) == 1
