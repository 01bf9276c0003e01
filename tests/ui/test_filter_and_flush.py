"""Filtering, naming and deleting entries, the Top and Datapath views."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import UsageError
from ctconsole.model.names import Names
from ctconsole.observe.calls import CallArray, Callee
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.screens.flush import FlushScreen
from ctconsole.ui.widgets.ct_rows import CtRows
from ctconsole.ui.widgets.line_table import LineTable
from tests.support import split_brain
from tests.support.fakes import CT4, EPOCH, FakeSource
from tests.support.pilots import (
    alarms_of,
    console_of,
    first_sample,
    open_entries,
    resample,
    screen_text,
    settle,
    status,
    text_of,
    until,
)

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from tests.support.fake_actions import FakeActions


def rows_of(table: LineTable) -> CtRows:
    assert isinstance(table.rows, CtRows)
    return table.rows


async def filter_by(pilot: Pilot[None], *keys: str) -> LineTable:
    table = await open_entries(pilot)
    await pilot.press("slash", *keys)
    await settle(pilot)
    return table


@pytest.mark.key("entries.filter", "entries.all")
async def test_a_filter_counts_while_it_is_typed(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await filter_by(pilot, *"svc")
        wanted = int(source.tables[CT4].service.sum())
        assert len(rows_of(table)) == wanted
        assert f"{wanted:,} of 4,000 entries" in screen_text(pilot)
        await pilot.press("enter")
        assert status(pilot).shown == f"{wanted:,} of 4,000 entries"
        await pilot.press("escape")
        await settle(pilot)
        assert len(rows_of(table)) == 4000


async def test_a_wrong_filter_says_what_is_allowed(console: ConsoleApp) -> None:
    async with console.run_test(size=(160, 40)) as pilot:
        table = await filter_by(pilot, *"state:asl")
        assert "established" in screen_text(pilot)
        assert len(rows_of(table)) == 4000


async def test_a_filter_stays_over_samples_and_views(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await filter_by(pilot, *"dead", "enter")
        before = len(rows_of(table))
        await pilot.press("1", "2")
        await resample(pilot)
        assert 0 < len(rows_of(table)) == before


async def test_new_and_dying_entries_are_marked(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        whole = source.tables[CT4]
        gone = whole.take(np.arange(len(whole)) >= 100)
        source.tables[CT4] = replace(gone, taken_at=EPOCH + 2)
        await resample(pilot)
        source.tables[CT4] = replace(whole, taken_at=EPOCH + 4)
        await resample(pilot)
        rows = rows_of(table)
        marks = [rows.cells(row, {})["mark"][0][0] for row in range(len(rows))]
        assert marks.count("+") == 100
        assert "-" in marks
        assert "+50/s" in text_of(pilot, "#summary")


@pytest.mark.key("entries.names")
async def test_names_are_shown_on_request(source: FakeSource) -> None:
    names = Names(
        endpoints={bytes([10, 244, 1, 17]): "default/web"},
        services={5: "default/svc"},
        identities=dict.fromkeys([1, 2, 10017, 24411, 51820], "k8s:app=web"),
    )
    app = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, names=lambda: (names, ()))
    async with app.run_test(size=(160, 40)) as pilot:
        await open_entries(pilot)
        assert "default/web" not in screen_text(pilot)
        await pilot.press("n")
        await until(pilot, lambda: app.names is not None)
        await settle(pilot)
        assert "default/web:" in screen_text(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "source labels" in screen_text(pilot))
        assert "k8s:app=web" in screen_text(pilot)
        await pilot.press("escape", "n")
        await settle(pilot)
        assert "default/web" not in screen_text(pilot)


async def test_names_that_are_not_known_are_told_with_the_reason(source: FakeSource) -> None:
    told = "the agent at /run/cilium.sock does not answer"
    app = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, names=lambda: (Names(), (told,)))
    async with app.run_test(size=(160, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("n")
        await until(pilot, lambda: status(pilot).flash == f"0 names known; {told}")


@pytest.mark.key("entries.flush")
async def test_flush_wants_the_name_and_says_who_breaks(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await filter_by(pilot, *"svc", "enter")
        chosen = len(rows_of(table))
        await pilot.press("D")
        dialogue = pilot.app.screen
        assert isinstance(dialogue, FlushScreen)
        await until(pilot, lambda: dialogue.plan is not None)
        shown = screen_text(pilot)
        assert "picks one of several backends" in shown
        assert f"{chosen:,}" in shown
        assert not dialogue.confirmed
        await pilot.press(*CT4.name, "enter")
        await until(pilot, lambda: actions.done)
        assert actions.done == [("flush", Path(CT4), "svc", chosen)]
        await settle(pilot)
        assert "entries deleted" in screen_text(pilot)


async def test_a_failed_flush_is_told_and_planned_anew(
    console: ConsoleApp, actions: FakeActions
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await filter_by(pilot, *"svc", "enter")
        await pilot.press("D")
        dialogue = pilot.app.screen
        assert isinstance(dialogue, FlushScreen)
        await until(pilot, lambda: dialogue.plan is not None)
        actions.error = UsageError("The map was replaced meanwhile")
        await pilot.press(*CT4.name, "enter")
        await until(pilot, lambda: "replaced meanwhile" in screen_text(pilot))
        await until(pilot, lambda: dialogue.plan is not None)
        assert not dialogue.confirmed
        actions.error = None
        await pilot.press(*CT4.name, "enter")
        await until(pilot, lambda: actions.done)


async def test_a_flush_shows_how_far_it_is_and_can_be_cancelled(
    console: ConsoleApp, actions: FakeActions
) -> None:
    actions.held = threading.Event()
    async with console.run_test(size=(120, 40)) as pilot:
        await filter_by(pilot, *"svc", "enter")
        await pilot.press("D")
        dialogue = pilot.app.screen
        assert isinstance(dialogue, FlushScreen)
        await until(pilot, lambda: dialogue.plan is not None)
        await pilot.press(*CT4.name, "enter")
        await until(pilot, lambda: "64 of" in text_of(pilot, "#progress"))
        await pilot.press("escape")
        await until(pilot, lambda: "stay: it was cancelled" in text_of(pilot, "#outcome"))
        assert actions.done == []
        await until(pilot, lambda: dialogue.plan is not None)
        assert not dialogue.confirmed
        actions.held.set()
        await pilot.press(*CT4.name, "enter")
        await until(pilot, lambda: actions.done)


@pytest.mark.key("entries.delete")
async def test_one_entry_is_deleted_by_two_keys(console: ConsoleApp, actions: FakeActions) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("down", "d")
        dialogue = pilot.app.screen
        assert isinstance(dialogue, FlushScreen)
        await until(pilot, lambda: dialogue.plan is not None)
        await pilot.press("enter")
        await until(pilot, lambda: actions.done)
        assert actions.done == [("flush", Path(CT4), "", 1)]


async def test_nothing_is_deleted_read_only(read_only: ConsoleApp) -> None:
    async with read_only.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("D")
        assert "read-only" in status(pilot).flash


async def test_top_names_the_largest_and_leads_to_their_entries(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("3")
        table = pilot.app.screen.query_one(LineTable)
        await resample(pilot)
        await until(pilot, lambda: table.rows is not None and len(table.rows))
        shown = screen_text(pilot)
        assert "life left" in shown
        assert "expired" in shown
        assert "service" in shown
        await pilot.press("enter")
        await until(pilot, lambda: console_of(pilot).current_mode == "entries")
        await settle(pilot)
        assert console_of(pilot).filter_text.startswith("src:10.244.")
        entries = pilot.app.screen.query_one(LineTable)
        await until(pilot, lambda: isinstance(entries.rows, CtRows))
        assert 0 < len(rows_of(entries)) < len(source.tables[CT4])


async def test_a_split_brain_is_a_red_alarm_in_both_views(
    console: ConsoleApp, source: FakeSource
) -> None:
    source.uses = split_brain.uses(source)
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        assert "Nobody uses the pinned cilium_ct4_global" in alarms_of(pilot)
        await pilot.press("5")
        await pilot.pause()
        assert pilot.app.screen.query_one("#verdict").has_class("-crit")
        shown = screen_text(pilot)
        assert "from_container" in shown
        assert "tcx ingress of lxc00010 +3" in shown
        assert "older" in shown
        await pilot.press("down", "enter")
        await until(pilot, lambda: console_of(pilot).current_mode == "entries")
        assert console_of(pilot).sampler.watched == split_brain.OLDER


async def test_a_program_array_tells_who_calls_whom(
    console: ConsoleApp, source: FakeSource
) -> None:
    source.uses = split_brain.uses(source)
    one = next(use for use in source.uses if use.path.name == "cilium_calls_00010")
    callee = Callee(6, 77, "handle_ipv4")
    source.arrays = (CallArray(one.path, one.pinned.map, one.pinned.users, (callee,)),)
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        await pilot.press("5")
        await pilot.pause()
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: "handle_ipv4 (77)" in screen_text(pilot))
        assert "place 6" in screen_text(pilot)
        assert "from_container  tcx ingress of lxc00010" in screen_text(pilot)


async def test_overview_tells_living_from_dead(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test(size=(140, 40)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        await resample(pilot)
        row = source.rows[CT4]
        found = console_of(pilot).sample.stats
        assert found
        assert row.key in found
        kinds = found[row.key].kinds
        shown = screen_text(pilot)
        assert f"{kinds.alive:,}" in shown
        assert f"{kinds.expired:,}" in shown
