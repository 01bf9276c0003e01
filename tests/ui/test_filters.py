"""The filter bar of each view: completion, history, saved filters, and what is wrong with one."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from textual.widgets import Input, Static

from ctconsole.filterbook import FilterBook
from ctconsole.model.ct.query import Query
from ctconsole.model.names import Names
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.screens.ask import AskScreen
from ctconsole.ui.widgets.event_rows import EventRows
from ctconsole.ui.widgets.filter_bar import FilterBar
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.top_rows import TopRows
from tests.support.fakes import CT4, EPOCH, FakeSource
from tests.support.pilots import (
    console_of,
    first_sample,
    open_entries,
    resample,
    screen_text,
    settle,
    status,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

WIDE = (120, 40)
POD = bytes([10, 244, 1, 17])


@pytest.fixture
def book(tmp_path: Path) -> FilterBook:
    return FilterBook(tmp_path / "config", tmp_path / "state")


@pytest.fixture
def remembering(source: FakeSource, book: FilterBook) -> ConsoleApp:
    return ConsoleApp(source, interval=3600, clock=lambda: EPOCH, book=book)


def bar(pilot: Pilot[None]) -> FilterBar:
    return pilot.app.screen.query_one(FilterBar)


def hint(pilot: Pilot[None]) -> str:
    return str(bar(pilot).query_one("#filter-hint", Static).render())


def passing(source: FakeSource, text: str) -> int:
    return int(np.count_nonzero(Query.parse(text).rows(source.tables[CT4])))


async def typed(pilot: Pilot[None], text: str, *keys: str) -> LineTable:
    """A filter typed into the bar of the Entries view."""
    table = await open_entries(pilot)
    await pilot.press("slash", *text, *keys)
    await settle(pilot)
    return table


@pytest.mark.key("filter.complete", "filter.complete-back")
async def test_tab_completes_fields_and_values_that_occur(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=WIDE) as pilot:
        await typed(pilot, "sta", "tab")
        assert bar(pilot).text == "state:"
        assert "established" in hint(pilot)
        await pilot.press(*"est", "tab", "shift+tab", "tab")
        await settle(pilot)
        assert bar(pilot).text == "state:established"
        await pilot.press("space", *"dport:")
        port = str(source.tables[CT4].ends.destination_port[0])
        assert port in hint(pilot)
        await pilot.press(*"l")
        await pilot.press("backspace", "tab", "enter")
        await settle(pilot)
        found = passing(source, bar(pilot).text)
        assert status(pilot).shown == f"{found:,} of 4,000 entries"


async def test_tab_goes_from_one_to_the_next_and_back(console: ConsoleApp) -> None:
    async with console.run_test(size=WIDE) as pilot:
        await typed(pilot, "in left", "tab")
        assert bar(pilot).text == "in left<"
        for key, text in (("tab", ":"), ("tab", ">"), ("shift+tab", ":"), ("shift+tab", "<")):
            await pilot.press(key)
            await settle(pilot)
            assert bar(pilot).text == f"in left{text}"
            assert "left>=" in hint(pilot)
        await pilot.press(*"5m", "enter")
        await settle(pilot)
        assert console_of(pilot).filter_text == "in left<5m"


async def test_an_error_marks_its_column_and_says_what_may_be_meant(console: ConsoleApp) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        table = await typed(pilot, "in prto:udp")
        assert hint(pilot).startswith("column 4: There is no field 'prto'")
        assert "Did you mean proto?" in hint(pilot)
        field = bar(pilot).query_one(Input)
        assert field.highlighter is not None
        marked = field.highlighter(field.value)
        assert [(span.start, span.end) for span in marked.spans] == [(3, 7)]
        assert table.rows is not None
        assert len(table.rows) < 4000, "what was typed before the error is in force"
        await pilot.press("ctrl+u", *"out")
        await settle(pilot)
        assert not field.highlighter(field.value).spans
        assert "no field" not in screen_text(pilot)


@pytest.mark.key("filter.earlier", "filter.later")
async def test_what_was_typed_comes_back_also_in_another_console(
    remembering: ConsoleApp, source: FakeSource, book: FilterBook, tmp_path: Path
) -> None:
    async with remembering.run_test(size=WIDE) as pilot:
        await typed(pilot, "dir:svc", "enter", "escape")
        await pilot.press("slash", *"syn", "enter", "escape")
        await pilot.press("slash", *"de", "up")
        assert bar(pilot).text == "syn"
        await pilot.press("up", "up")
        assert bar(pilot).text == "dir:svc"
        await pilot.press("down", "down")
        assert bar(pilot).text == "de"
        await pilot.press("up", "enter")
        await settle(pilot)
        assert status(pilot).shown == f"{passing(source, 'syn'):,} of 4,000 entries"
    assert book.typed("entries") == ["dir:svc", "syn"]
    file = tmp_path / "state" / "filters-entries"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    other = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, book=book)
    async with other.run_test(size=WIDE) as pilot:
        await typed(pilot, "", "up")
        assert bar(pilot).text == "syn"


@pytest.mark.key("filter.save")
async def test_a_filter_is_saved_and_stands_in_others(
    remembering: ConsoleApp, source: FakeSource, book: FilterBook
) -> None:
    async with remembering.run_test(size=WIDE) as pilot:
        await typed(pilot, "in or syn", "ctrl+s")
        assert isinstance(pilot.app.screen, AskScreen)
        await pilot.press(*"a b", "enter")
        assert "no name for a filter" in status(pilot).flash
        await pilot.press("ctrl+s", *"some", "enter")
        assert "saved as @some" in status(pilot).flash
        assert book.saved() == {"some": "in or syn"}
        await pilot.press("ctrl+u", *"!@so", "tab", "enter")
        await settle(pilot)
        assert bar(pilot).text == "!@some"
        assert status(pilot).shown == f"{passing(source, '!(in or syn)'):,} of 4,000 entries"
        commands = pilot.app.get_system_commands(pilot.app.screen)
        assert "Filter @some" in [command.title for command in commands]


async def test_pods_are_asked_for_without_names_being_shown(source: FakeSource) -> None:
    names = Names(endpoints={POD: "shop/web"})
    app = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, names=lambda: (names, ()))
    async with app.run_test(size=WIDE) as pilot:
        table = await typed(pilot, "pod:shop/*")
        await until(pilot, lambda: table.rows is not None and len(table.rows) < 4000)
        ends = source.tables[CT4].ends
        either = [(side == np.frombuffer(POD, np.uint8)).all(axis=1) for side in
                  (ends.source, ends.destination)]  # fmt: skip
        assert table.rows is not None
        assert len(table.rows) == np.count_nonzero(either[0] | either[1]) > 0
        assert "shop/web" not in screen_text(pilot).splitlines()[9]


async def test_a_name_that_nobody_knows_is_told(console: ConsoleApp) -> None:
    async with console.run_test(size=WIDE) as pilot:
        table = await typed(pilot, "tcp svc:web")
        await until(pilot, lambda: "needs names" in hint(pilot))
        assert "column 5" in hint(pilot)
        assert table.rows is not None
        assert len(table.rows) > 0


async def test_a_rate_needs_two_samples(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test(size=WIDE) as pilot:
        table = await typed(pilot, "rate>=1k")
        await until(pilot, lambda: "needs two samples" in hint(pilot))
        before = source.tables[CT4]
        values = before.values.copy()
        [place] = [name for name in before.spec.counters if name.endswith("bytes")][:1]
        rows = np.flatnonzero(~before.service)[:7]
        values[place][rows] += np.uint64(2048 * 2)
        values[place][rows[:3]] -= np.uint64(2048)
        source.tables[CT4] = replace(before, values=values, taken_at=EPOCH + 2)
        await resample(pilot)
        assert table.rows is not None
        assert len(table.rows) == 7
        assert "needs" not in hint(pilot)
        await pilot.press("ctrl+u", *"rate>1k")
        await settle(pilot)
        assert len(table.rows) == 4


async def test_top_counts_what_the_filter_lets_through(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=WIDE) as pilot:
        await first_sample(pilot)
        await pilot.press("3")
        await resample(pilot)
        await pilot.press("slash", *"in or syn", "enter")
        await settle(pilot)
        found = passing(source, "in or syn")
        assert f"{found:,} of 4,000 entries" in screen_text(pilot)
        tops = pilot.app.screen.query_one(LineTable)
        assert isinstance(tops.rows, TopRows)
        assert f"{found:,} entries" in str(pilot.app.screen.query_one("#numbers", Static).render())
        most = tops.rows.line(0).talker
        assert most.entries == passing(source, f"{most.filter} (in or syn)")
        await pilot.press("enter")
        await until(pilot, lambda: console_of(pilot).current_mode == "entries")
        await settle(pilot)
        assert console_of(pilot).filter_text == f"{most.filter} (in or syn)"
        entries = pilot.app.screen.query_one(LineTable)
        await until(pilot, lambda: entries.rows and len(entries.rows) == most.entries)


@pytest.mark.key("filter.leave")
async def test_events_have_a_filter_of_their_own(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test(size=WIDE) as pilot:
        await typed(pilot, "in", "enter")
        await pilot.press("4")
        await pilot.pause()
        table = pilot.app.screen.query_one(LineTable)
        assert isinstance(table.rows, EventRows)
        whole = len(source.log)
        assert table.rows.events == whole
        await pilot.press("slash", *"map-recreated", "enter")
        wanted = sum(event.kind.value == "map-recreated" for _, event in source.log)
        assert table.rows.events == wanted
        assert status(pilot).shown == f"{wanted} of {whole} events"
        await pilot.press("slash", "ctrl+u", *"dport:1")
        assert "Entries can be asked for it" in hint(pilot)
        await pilot.press("escape")
        assert table.rows.events == whole
        assert console_of(pilot).filter_text == "in"


async def test_the_forecast_is_of_what_the_filter_lets_through(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=WIDE) as pilot:
        await typed(pilot, "in", "enter", "f")
        found = passing(source, "in")
        await until(pilot, lambda: f"{found:,} of 4,000 entries" in screen_text(pilot))
        await pilot.press("l")
        await settle(pilot)
        assert console_of(pilot).filter_text == "risk:breaks in"


async def test_enter_on_a_wrong_filter_stays_in_the_field_and_says_why(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("slash", *"prto:tcp", "enter")
        await settle(pilot)
        assert bar(pilot).query_one(Input).has_focus
        assert "Did you mean proto?" in hint(pilot)
        # What follows is typed, and does nothing else.
        await pilot.press("backspace", "o")
        assert bar(pilot).text == "prto:tco"
        await pilot.press(*["backspace"] * 8, *"state:", "enter")
        await settle(pilot)
        assert bar(pilot).query_one(Input).has_focus
        assert "column" in hint(pilot), "also where it is only not ended yet"
        await pilot.press(*"closing", "enter")
        await until(pilot, lambda: console.screen.query_one(LineTable).has_focus)
        assert console.filter_text == "state:closing"
