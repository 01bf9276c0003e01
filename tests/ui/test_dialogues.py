from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Button, Input

from ctconsole.errors import AgentError, BpfError, UsageError
from ctconsole.model.catalogue import TABLE_LIMITS
from ctconsole.ui.screens.recreate import RecreateScreen, table_size
from ctconsole.ui.screens.restart import RestartScreen
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
    from pathlib import PurePath

    from textual.pilot import Pilot

    from ctconsole.manager.recreate import RecreatePlan
    from ctconsole.ui.app import ConsoleApp
    from tests.support.fake_actions import FakeActions

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


@pytest.mark.key("map.recreate")
async def test_recreate_states_what_it_costs(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        shown = screen_text(pilot)
        assert "524,288 -> 1,048,576 entries" in shown
        assert "68.0 MiB now + 136 MiB new = 204 MiB of 6.1 GiB free" in shown
        assert "476,102 entries" in shown
        assert "428,491 alive, 380,881 established" in shown
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
        assert "map 588 -> 608, 476,102 entries lost" in text_of(pilot, "#outcome")
        await pilot.press("escape")
        await until(pilot, lambda: "entries lost" in status(pilot).flash)
        assert len(actions.done) == 1


async def test_a_deed_that_could_not_be_recorded_is_told_with_the_reason(
    console: ConsoleApp, actions: FakeActions
) -> None:
    actions.unrecorded = "What was done is not in the history: no space left"
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        await type_into(pilot, "#name", NAME)
        await pilot.click("#go")
        await settle(pilot)
        done, told = text_of(pilot, "#outcome").splitlines()
        assert "476,102 entries lost" in done
        assert told == "history: What was done is not in the history: no space left"


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
    assert table_size(typed, TABLE_LIMITS) == size


async def test_a_map_that_tracks_no_connections_may_be_small(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        row = actions.source.rows[CT4.with_name("cilium_lxc")]
        console.intents.recreate(row)
        await until(pilot, lambda: isinstance(pilot.app.screen, RecreateScreen))
        await type_into(pilot, "#size", "12")
        assert text_of(pilot, "#problem") == ""
        await type_into(pilot, "#name", "cilium_lxc")
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == [(CT4.with_name("cilium_lxc"), 12)]


@pytest.mark.parametrize("typed", ["", "-5", "1.5M", "1023", "16777217", "0x400"])
def test_sizes_that_are_refused(typed: str) -> None:
    with pytest.raises(UsageError):
        table_size(typed, TABLE_LIMITS)


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


async def test_restart_without_a_change_keeps_everything_and_asks_for_no_name(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_restart(pilot)
        assert "keeps its entries" in screen_text(pilot)
        assert "Type the name" not in screen_text(pilot)
        await pilot.click("#go")
        await settle(pilot)
        assert actions.done == [{}]
        assert "ready again after 1.3 s" in text_of(pilot, "#outcome")


@pytest.mark.key("agent.restart")
async def test_restart_with_another_size_is_told_and_confirmed_as_a_recreation(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 50)) as pilot:
        await open_restart(pilot)
        await type_into(pilot, "#bpf-ct-global-any-max", "512k")
        assert "cilium_ct_any4_global: 262,144 -> 524,288 entries" in screen_text(pilot)
        await type_into(pilot, "#bpf-ct-global-tcp-max", "1M")
        shown = screen_text(pilot)
        assert "cilium_ct4_global: 524,288 -> 1,048,576 entries" in shown
        assert "All 512,892 entries of these maps will be lost" in " ".join(shown.split())
        assert "picks one of several backends" in shown
        await pilot.click("#go")
        await type_into(pilot, "#name", "cilium_ct_any4_global")
        await pilot.press("enter")
        await settle(pilot)
        assert actions.done == []
        await type_into(pilot, "#name", NAME)
        await pilot.press("enter")
        await settle(pilot)
        assert actions.done == [
            {"bpf-ct-global-tcp-max": "1048576", "bpf-ct-global-any-max": "524288"}
        ]
        assert "re-created: cilium_ct4_global" in text_of(pilot, "#outcome")


async def test_restart_without_an_agent_says_so(console: ConsoleApp, actions: FakeActions) -> None:
    actions.error = AgentError("No agent runs here", hint="Start one with ctconsole agent start")
    async with console.run_test(size=(120, 40)) as pilot:
        await open_restart(pilot)
        assert "No agent runs here" in text_of(pilot, "#problem")
        assert go(pilot).disabled
        await pilot.press("escape")
        await pilot.pause()
        assert len(console.screen_stack) == 1


@pytest.mark.key("dialogue.plan")
async def test_a_restart_that_failed_is_told_and_asked_anew(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_restart(pilot)
        actions.error = AgentError("The agent did not start: no memory")
        await pilot.click("#go")
        await settle(pilot)
        assert "did not start: no memory" in text_of(pilot, "#outcome")
        assert go(pilot).disabled
        actions.error = None
        await pilot.press("ctrl+r")
        await settle(pilot)
        assert not go(pilot).disabled


async def test_a_dialogue_counts_on_and_plans_again_only_for_another_map_or_when_asked(
    console: ConsoleApp, actions: FakeActions, source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = []
    plan = actions.plan_recreate

    def counted(path: PurePath, size: int) -> RecreatePlan:
        planned.append(size)
        return plan(path, size)

    monkeypatch.setattr(actions, "plan_recreate", counted)
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        await settle(pilot)
        before = len(planned)
        source.rows[CT4] = replace(source.rows[CT4], entries=480_000)
        await resample(pilot)
        await resample(pilot)
        assert "480,000 entries" in screen_text(pilot)
        assert "476,102 entries" in screen_text(pilot)
        assert len(planned) == before
        await pilot.press("ctrl+r")
        await settle(pilot)
        assert len(planned) == before + 1
        assert "476,102" not in screen_text(pilot)
        info = replace(source.rows[CT4].info, id=701)
        source.rows[CT4] = replace(source.rows[CT4], info=info, entries=12)
        await resample(pilot)
        assert len(planned) == before + 2
        assert "12 entries" in screen_text(pilot)


async def test_what_was_warned_of_is_not_warned_of_when_it_is_done(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_recreate(pilot)
        assert "until they are replaced" in screen_text(pilot)
        await type_into(pilot, "#name", NAME)
        await pilot.press("enter")
        await settle(pilot)
        assert "entries lost" in text_of(pilot, "#outcome")
        assert "until they are replaced" not in screen_text(pilot)


async def test_a_fault_is_shown_beside_what_fails_later_and_goes_when_it_works_again(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)

        def fail() -> None:
            raise ZeroDivisionError

        console.run_worker(fail, name="job", thread=True, exit_on_error=False)
        await until(pilot, lambda: "internal error in job" in status(pilot).error)
        source.error = BpfError(5, "BPF_OBJ_GET", "/sys/fs/bpf")
        await resample(pilot)
        assert "Input/output error" in status(pilot).error
        assert "internal error in job" in status(pilot).error
        source.error = None
        await resample(pilot)
        console.run_worker(lambda: None, name="job", thread=True, exit_on_error=False)
        await until(pilot, lambda: not status(pilot).error)


async def test_a_fault_in_a_dialogue_is_shown(
    console: ConsoleApp, actions: FakeActions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> RecreatePlan:
        raise ZeroDivisionError

    monkeypatch.setattr(actions, "plan_recreate", fail)
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "internal error in _make_plan" in status(pilot).error)
