"""Giving a map another size from the console, taking that back, and cancelling it midway."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Button, Input, Static

from ctconsole.errors import BpfError, GoneError, UsageError
from ctconsole.kernel.procs import Process
from ctconsole.manager.resize.plan import ResizePlan
from ctconsole.model.ct.outcomes import REASONS, Change, Reason, Risk
from ctconsole.model.ct.risk import fates
from ctconsole.node.prestage.plan import PrestagePlan
from ctconsole.node.prestage.settings import Setting
from ctconsole.ui.screens.affected import AffectedScreen
from ctconsole.ui.screens.details import EntryDetails
from ctconsole.ui.screens.resize import ResizeScreen, UndoScreen
from ctconsole.ui.widgets.ct_rows import CtRows
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fakes import CT4, FakeSource
from tests.support.pilots import (
    first_sample,
    resample,
    screen_text,
    settle,
    status,
    text_of,
    until,
)

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from ctconsole.ui.app import ConsoleApp
    from ctconsole.ui.screens.confirm import ConfirmScreen
    from tests.support.fake_actions import FakeActions

NAME = "cilium_ct4_global"
TALL = (120, 52)


async def open_dialogue(
    pilot: Pilot[None], key: str = "z", kind: type[ConfirmScreen] = ResizeScreen
) -> None:
    await first_sample(pilot)
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))
    await settle(pilot)


def go(pilot: Pilot[None]) -> Button:
    return pilot.app.screen.query_one("#go", Button)


def cancel(pilot: Pilot[None]) -> Button:
    return pilot.app.screen.query_one("#cancel", Button)


async def type_into(pilot: Pilot[None], field: str, text: str) -> None:
    box = pilot.app.screen.query_one(field, Input)
    box.focus()
    await pilot.pause()
    box.value = ""
    box.insert_text_at_cursor(text)
    await settle(pilot)


async def test_the_plan_stands_beside_what_the_other_ways_would_cost(console: ConsoleApp) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        assert pilot.app.screen.query_one("#size", Input).value == str(1 << 20)
        shown = screen_text(pilot)
        for told in (
            "524,288 -> 1,048,576 entries",
            "476,102 entries, 428,491 alive, 47,611 expired, 4,761 closing",
            "68.0 MiB now + 136 MiB new + 7.0 MiB passes = 211 MiB of 6.1 GiB",
            "about 0.90s as the last 3 resizes on this node took",
            "ways untouched comes-back at-risk breaks dead",
            "resize 476,102 0 0 0 0",
            "recreate 0 476,102 0 0 0",
            "flush 0 476,102 0 0 0",
            "untouched 476,102 the entry stays",
        ):
            assert told in " ".join(shown.split()), told
        assert "Type the name" not in shown
        assert not go(pilot).disabled


@pytest.mark.key("map.resize", "dialogue.close")
async def test_one_key_resizes_and_the_report_tells_until_when_it_can_be_undone(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await type_into(pilot, "#size", "2M")
        await pilot.press("enter", "enter")
        await settle(pilot)
        assert actions.done == [("resize", CT4, 1 << 21)]
        told = text_of(pilot, "#outcome")
        assert "524,288 to 2,097,152 entries" in told
        assert "476,102 entries carried, none lost" in told
        assert f"u in the console, or ctconsole map resize {NAME} --undo" in told
        await pilot.press("escape")
        await until(pilot, lambda: "none lost" in status(pilot).flash)


async def test_where_living_entries_would_be_dropped_the_name_is_typed(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await type_into(pilot, "#size", "256k")
        assert "213,958 alive; none from 476,102 on" in screen_text(pilot)
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == []
        await type_into(pilot, "#name", NAME)
        await pilot.press("enter")
        await settle(pilot)
        assert actions.done == [("resize", CT4, 1 << 18)]


async def test_keys_are_letters_of_the_name_where_that_is_typed(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await type_into(pilot, "#size", "256k")
        await pilot.press("enter")
        # With the cursor in the next field, letters that are keys elsewhere are typed.
        await pilot.press(*("underscore" if letter == "_" else letter for letter in NAME))
        await settle(pilot)
        assert isinstance(pilot.app.screen, ResizeScreen)
        assert pilot.app.screen.query_one("#name", Input).value == NAME
        await pilot.press("enter")
        await settle(pilot)
        assert actions.done == [("resize", CT4, 1 << 18)]


def listed(pilot: Pilot[None]) -> CtRows:
    rows = pilot.app.screen.query_one(LineTable).rows
    assert isinstance(rows, CtRows)
    return rows


def numbers_of(pilot: Pilot[None], way: Change) -> list[int]:
    """The line of one way: all, and each class."""
    lines = text_of(pilot, "#ways").splitlines()
    [line] = [one for one in lines if way.value in one.split()]
    return [int(word.replace(",", "")) for word in line.split()[-6:]]


@pytest.mark.key(
    "resize.list", "affected.way", "affected.class", "affected.class-before", "affected.close"
)
async def test_a_key_lists_the_entries_by_way_and_by_what_becomes_of_them(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await type_into(pilot, "#size", "256k")
        await pilot.press("l")
        await until(pilot, lambda: isinstance(pilot.app.screen, AffectedScreen))
        await until(pilot, lambda: bool(text_of(pilot, "#ways")))
        table = source.table(CT4)
        kinds = (Risk.UNTOUCHED, Risk.COMES_BACK, Risk.AT_RISK, Risk.BREAKS, Risk.DEAD)
        for way in Change:
            found = fates(table, way, 7)
            assert numbers_of(pilot, way) == [len(table), *map(found.count, kinds)]
        assert numbers_of(pilot, Change.RESIZE)[1] == len(table) - 7
        # All of the first way, the worst first, and why that is so.
        assert len(listed(pilot)) == len(table)
        resized = fates(table, Change.RESIZE, 7)
        worst = int(resized.risk.argmax())
        assert resized.risk[listed(pilot).arrangement.order[0]] == resized.risk[worst]
        assert text_of(pilot, "#why").startswith(f"resize: {Risk(resized.risk[worst]).word}: ")
        await pilot.press("right", "tab", "tab", "tab")
        recreated = fates(table, Change.RECREATE)
        rows = listed(pilot)
        assert len(rows) == recreated.count(Risk.AT_RISK) > 0
        assert {int(recreated.risk[row]) for row in rows.arrangement.order} == {Risk.AT_RISK}
        await pilot.press("down")
        await pilot.pause()
        why = Reason(int(recreated.reason[rows.arrangement.order[1]]))
        assert text_of(pilot, "#why") == f"recreate: at-risk: {REASONS[why]}"
        await pilot.press("right", "shift+tab")
        flushed = fates(table, Change.FLUSH)
        assert len(listed(pilot)) == flushed.count(Risk.COMES_BACK)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, EntryDetails))
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ResizeScreen)


async def test_where_a_name_is_typed_its_letters_are_its_own(console: ConsoleApp) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await type_into(pilot, "#size", "256k")
        pilot.app.screen.query_one("#name", Input).focus()
        await pilot.press("c", "i", "l")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ResizeScreen)
        assert pilot.app.screen.query_one("#name", Input).value == "cil"


async def test_tables_that_cannot_be_read_are_no_list(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        actions.error = GoneError(2, "BPF_OBJ_GET", NAME)
        await pilot.press("l")
        await until(pilot, lambda: "No such file" in screen_text(pilot))


@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_cancelled_midway_it_leads_back_and_can_be_done_again(
    console: ConsoleApp, actions: FakeActions, source: FakeSource, key: str
) -> None:
    """The button has the focus, so that enter is as good as escape."""
    actions.held = threading.Event()
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await pilot.click("#go")
        await until(pilot, lambda: "1 of 3 endpoints" in text_of(pilot, "#progress"))
        # The console goes on meanwhile.
        await pilot.press("space")
        source.rows[CT4] = replace(source.rows[CT4], entries=476_200)
        console.hurry()
        await until(pilot, lambda: console.sample.number > 1)
        assert not cancel(pilot).disabled
        await pilot.press(key)
        await settle(pilot)
        assert "not resized: it was cancelled" in text_of(pilot, "#outcome")
        assert actions.done == []
        assert not pilot.app.screen.query_one("#progress").display
        actions.held.set()
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == [("resize", CT4, 1 << 20)]
        assert "not resized" not in text_of(pilot, "#outcome")


async def test_whoever_leaves_the_console_meanwhile_leads_back(
    console: ConsoleApp, actions: FakeActions
) -> None:
    actions.held = threading.Event()
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await pilot.click("#go")
        await until(pilot, lambda: "1 of 3 endpoints" in text_of(pilot, "#progress"))
        await pilot.press("ctrl+c")
    assert actions.done == []


async def test_a_resize_that_fails_is_told_and_planned_anew(
    console: ConsoleApp, actions: FakeActions
) -> None:
    actions.error = BpfError(12, "BPF_MAP_CREATE", NAME)
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await pilot.click("#go")
        await settle(pilot)
        assert "Cannot allocate memory" in text_of(pilot, "#outcome")
        assert not go(pilot).disabled


@pytest.mark.parametrize(
    ("typed", "problem"), [("0", "outside 1 to 16,777,216"), ("lots", "Not a size")]
)
async def test_a_size_that_cannot_be_is_named(
    console: ConsoleApp, actions: FakeActions, typed: str, problem: str
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await type_into(pilot, "#size", typed)
        assert problem in text_of(pilot, "#problem")
        # Nothing is being planned that could be waited for.
        assert "Reading the table" not in screen_text(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert actions.done == []
        await type_into(pilot, "#size", "1M")
        await settle(pilot)
        assert not text_of(pilot, "#problem")
        assert console.screen.query_one("#costs").display


async def test_where_nothing_can_be_undone_nothing_is_said_to_be_read(
    console: ConsoleApp, actions: FakeActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> ResizePlan:
        raise UsageError("No resize of it can be undone")

    monkeypatch.setattr(actions, "plan_undo", nothing)
    async with console.run_test(size=TALL) as pilot:
        await first_sample(pilot)
        await pilot.press("u")
        await until(pilot, lambda: "No resize of it can be undone" in screen_text(pilot))
        assert "Reading the table" not in screen_text(pilot)


@pytest.mark.key("dialogue.page-up", "dialogue.page-down")
async def test_keys_scroll_what_does_not_fit(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(80, 16)) as pilot:
        await open_dialogue(pilot)
        assert "New size" in screen_text(pilot)
        # What has the focus stands below what is scrolled.
        cancel(pilot).focus()
        await pilot.press("pagedown")
        await until(pilot, lambda: "New size" not in screen_text(pilot))
        await pilot.press("pageup", "pageup")
        await until(pilot, lambda: "New size" in screen_text(pilot))


async def test_what_came_of_it_stays_in_sight_when_what_is_above_it_grows(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        await open_dialogue(pilot)
        await pilot.click("#go")
        told = "Resized cilium_ct4_global from"
        await until(pilot, lambda: told in screen_text(pilot))
        problem = pilot.app.screen.query_one("#problem", Static)
        problem.update("late\n" * 12)
        problem.display = True
        await until(pilot, lambda: problem.size.height >= 12)
        await until(pilot, lambda: told in screen_text(pilot))
        assert "late" not in screen_text(pilot)


async def test_under_an_agent_that_is_not_ours_the_plan_says_who_does_what(
    console: ConsoleApp, actions: FakeActions
) -> None:
    file = Path("/etc/cilium/bpf-ct-global-tcp-max")
    plan = actions.plan_resize(CT4, 1)
    assert isinstance(plan, ResizePlan)
    actions.foreign = PrestagePlan(
        resize=plan,
        folder=CT4.parent,
        agent=Process(4711, "cilium-agent", (), 1, 0.0),
        version="1.18.0",
        settings=(Setting("bpf-ct-global-tcp-max", "524288", "1048576", file, "524288"),),
        command="systemctl restart cilium",
        advice="",
    )
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        shown = " ".join(screen_text(pilot).replace("│", " ").split())
        for told in (
            "524,288 -> 1,048,576 entries",
            "layout 1.9: rx_packets, rx_bytes, tx_packets and tx_bytes are",
            "counters, rx_bytes not in a service's entry",
            "cilium-agent 1.18.0, process 4711",
            f"{file}: 524288 -> 1048576",
            "by running: systemctl restart cilium",
            "nobody can call it back",
        ):
            assert told in shown, told
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == [("resize", CT4, 1 << 20)]


async def test_another_map_at_the_pin_is_planned_for_anew(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        row = source.rows[CT4]
        source.rows[CT4] = replace(row, info=replace(row.info, id=701), entries=12)
        await resample(pilot)
        assert "12 entries, 10 alive" in screen_text(pilot)


@pytest.mark.key("map.undo")
async def test_an_undo_restores_the_size_before(
    console: ConsoleApp, actions: FakeActions, source: FakeSource
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot)
        await pilot.click("#go")
        await settle(pilot)
        await pilot.press("escape")
        await resample(pilot)
        await open_dialogue(pilot, "u", UndoScreen)
        assert "1,048,576 -> 524,288 entries" in screen_text(pilot)
        await pilot.click("#go")
        await settle(pilot)
        assert source.rows[CT4].info.max_entries == 524_288
        assert actions.done[-1] == ("resize", CT4, 524_288)


async def test_where_there_is_nothing_to_undo_it_says_so(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=TALL) as pilot:
        await open_dialogue(pilot, "u", UndoScreen)
        assert "was not resized of late" in text_of(pilot, "#problem")
        assert go(pilot).disabled
        await pilot.press("escape")
        await pilot.pause()
        assert actions.done == []
        assert len(console.screen_stack) == 1


@pytest.mark.parametrize("key", ["z", "u"])
async def test_read_only_and_maps_without_entries_of_their_own_say_why_not(
    console: ConsoleApp, read_only: ConsoleApp, key: str
) -> None:
    async with read_only.run_test(size=TALL) as pilot:
        await first_sample(pilot)
        await pilot.press(key)
        await pilot.pause()
        assert "read-only" in status(pilot).flash
        assert len(read_only.screen_stack) == 1
    async with console.run_test(size=TALL) as pilot:
        await first_sample(pilot)
        await pilot.press("end", key)
        await pilot.pause()
        assert "cannot be carried over" in status(pilot).flash
        assert len(console.screen_stack) == 1


async def test_the_palette_and_the_help_know_both(console: ConsoleApp) -> None:
    async with console.run_test(size=TALL) as pilot:
        await first_sample(pilot)
        titles = {one.title for one in console.get_system_commands(console.screen)}
        assert titles >= {"Resize", "Undo resize"}
        await pilot.press("question_mark")
        await pilot.pause()
        shown = screen_text(pilot)
        assert "Give the map another size without a loss" in shown
        assert "Take the last resize back without a loss" in shown
