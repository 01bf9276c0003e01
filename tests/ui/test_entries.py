from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ctconsole.errors import UsageError
from ctconsole.model.ct.order import Sorted, find_entry, sort_rows
from ctconsole.model.ct.show import sortable
from ctconsole.model.ct.table import State
from ctconsole.ui.exporting import rendered
from ctconsole.ui.screens import entries
from ctconsole.ui.screens.entries import EntriesScreen
from ctconsole.ui.widgets import ct_rows
from ctconsole.ui.widgets.ct_rows import CtRows, StillRows, arrange
from tests.support.fakes import CT4, FakeSource, random_table
from tests.support.pilots import (
    line_with,
    open_entries,
    resample,
    screen_text,
    settle,
    status,
    text_of,
    until,
)

if TYPE_CHECKING:
    from ctconsole.ui.app import ConsoleApp


async def test_entries_show_both_ends_and_the_sums(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        ct = source.tables[CT4]
        first = int(np.argmax(ct.bytes))
        ends = ct.ends
        source_text = ".".join(str(n) for n in ends.source[first]) + f":{ends.source_port[first]}"
        assert source_text in screen_text(pilot).splitlines()[5]
        alive = int((ct.state == State.ESTABLISHED).sum())
        assert f"{alive:,} established" in text_of(pilot, "#summary")
        assert status(pilot).shown == "4,000 entries"
        assert table.cursor == 0


@pytest.mark.key("map.sort-left")
async def test_angle_keys_sort_by_the_neighbouring_column(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        await pilot.press("less_than_sign")
        await settle(pilot)
        assert isinstance(table.rows, CtRows)
        assert table.rows.sort == ("packets", True)
        shown = table.rows.arrangement
        packets = shown.table.packets[shown.order]
        assert (np.diff(packets.astype(np.int64)) <= 0).all()


async def test_the_first_rows_are_shown_while_the_order_is_still_made(
    console: ConsoleApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def held_up(*given: Any, **named: Any) -> Sorted:  # noqa: ANN401 - as `sort_rows` takes them
        found = sort_rows(*given, **named)
        assert goes_on.wait(60)
        return found

    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        monkeypatch.setattr(ct_rows, "sort_rows", held_up)
        await pilot.press("less_than_sign")
        await until(pilot, lambda: isinstance(table.rows, StillRows))
        first = screen_text(pilot).splitlines()[5:36]
        assert table.rows
        assert (len(table.rows), table.rows.sort) == (4000, ("packets", True))
        with pytest.raises(UsageError, match="still being sorted"):
            list(rendered(table.rows, ".csv"))
        goes_on.set()
        await until(pilot, lambda: isinstance(table.rows, CtRows))
        assert screen_text(pilot).splitlines()[5:36] == first


async def test_a_click_on_the_heading_sorts_and_a_second_one_reverses(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        heading = line_with(pilot, "SOURCE", "DESTINATION").index("SOURCE")
        await pilot.click("#entries", offset=(heading, 0))
        await settle(pilot)
        assert table.rows
        assert table.rows.sort == ("source", False)
        await pilot.click("#entries", offset=(heading, 0))
        await settle(pilot)
        assert table.rows.sort == ("source", True)


async def test_the_cursor_stays_on_its_flow_across_snapshots(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        await pilot.press(*["down"] * 5)
        key, row = table.cursor_key, table.cursor
        old = source.tables[CT4]
        rng = np.random.default_rng(7)
        shuffled = rng.permutation(len(old))[: len(old) - 500]
        assert isinstance(key, bytes)
        place = find_entry(old, key)
        assert place is not None
        shuffled = np.append(shuffled[shuffled != place], place)
        values = old.values[shuffled].copy()
        values["tx_bytes"] = rng.integers(0, 1 << 40, len(values))
        source.tables[CT4] = replace(old, keys=old.keys[shuffled], values=values)
        await resample(pilot)
        await settle(pilot)
        assert table.cursor_key == key
        assert table.cursor != row


async def test_a_cursor_that_was_never_moved_stays_on_top(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        source.tables[CT4] = random_table(source.rows[CT4].info, 3000, seed=2)
        await resample(pilot)
        assert table.cursor == 0
        assert not status(pilot).flash


@pytest.mark.parametrize("keys", [("G", "g"), ("g", "j"), ("j", "g")])
async def test_whoever_moves_while_rows_are_arranged_is_not_taken_back(
    console: ConsoleApp, source: FakeSource, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, str]
) -> None:
    before, meanwhile = keys
    begun, moved = threading.Event(), threading.Event()

    def slowly(*given: object, **options: object) -> object:
        begun.set()
        assert moved.wait(60)
        return arrange(*given, **options)  # type: ignore[arg-type]  # what it was called with

    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        await pilot.press(before)
        monkeypatch.setattr(entries, "arrange", slowly)
        old = source.tables[CT4]
        source.tables[CT4] = replace(old, taken_at=old.taken_at + 2)
        console.hurry()
        await until(pilot, begun.is_set)
        await pilot.press(meanwhile)
        moved.set()
        await settle(pilot)
        assert isinstance(table.rows, CtRows)
        assert table.rows.arrangement.table is source.tables[CT4]
        assert table.cursor == (1 if meanwhile == "j" else 0)
        assert status(pilot).flash == ""


async def test_it_says_so_when_the_flow_under_the_cursor_is_gone(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        await pilot.press("down", "down")
        source.tables[CT4] = random_table(source.rows[CT4].info, 3000, seed=2)
        await resample(pilot)
        assert status(pilot).flash == "the entry under the cursor is gone"
        assert table.cursor == 2


async def test_the_wheel_leaves_the_cursor_and_a_sample_does_not_jump_back(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        table.scroll_to(y=500, animate=False, immediate=True)
        await resample(pilot)
        assert table.scroll_offset.y == 500
        assert table.cursor == 0


@pytest.mark.key("map.pick")
async def test_a_map_is_chosen_from_the_menu(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("m")
        await pilot.pause()
        await pilot.press("down", "enter")
        await until(pilot, lambda: console.sample.table and "any4" in str(console.sample.watched))
        await settle(pilot)
        assert "cilium_ct_any4_global" in text_of(pilot, "#map-name")
        assert "UDP" in screen_text(pilot)


async def test_an_empty_map_says_so(console: ConsoleApp, source: FakeSource) -> None:
    source.tables[CT4] = random_table(source.rows[CT4].info, 0)
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        assert "cilium_ct4_global is empty" in screen_text(pilot)
        await pilot.press("enter", "end", "pagedown")


async def test_only_the_watched_table_is_read(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        assert console.sampler.watched == CT4
        await pilot.press("1")
        await pilot.pause()
        assert console.sampler.watched is None


async def test_a_million_rows_open_and_jump_to_the_end(
    console: ConsoleApp, source: FakeSource
) -> None:
    source.tables[CT4] = random_table(source.rows[CT4].info, 1_000_000)
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        assert table.rows is not None
        assert len(table.rows) == 1_000_000
        started = time.process_time()
        await pilot.press("end")
        assert table.cursor == 999_999
        await pilot.press("home", "end", "pageup")
        assert time.process_time() - started < 2
        assert table.cursor < 999_999
        assert "TCP" in screen_text(pilot).splitlines()[-4]


def test_every_column_sorts_as_python_would() -> None:
    table = random_table(FakeSource().rows[CT4].info, 500)
    for column, numbers in sortable().items():
        parts = [part.tolist() for part in reversed(numbers(table))]
        keys = list(zip(*parts, strict=True))
        assert sort_rows(table, column).order.tolist() == sorted(range(500), key=keys.__getitem__)
        order = sort_rows(table, column, descending=True).order
        assert [keys[i] for i in order] == sorted(keys, reverse=True)


def test_an_entry_is_found_by_its_raw_key() -> None:
    table = random_table(FakeSource().rows[CT4].info, 500)
    assert find_entry(table, table.keys[321].tobytes()) == 321
    assert find_entry(table, bytes(14)) is None
    assert find_entry(table, b"short") is None


async def test_a_view_that_is_not_on_top_keeps_the_lines_it_showed_and_no_table(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        await pilot.press("pagedown", "down")
        before, cursor, key = screen_text(pilot).splitlines()[5:30], table.cursor, table.held_key
        await pilot.press("3")
        await settle(pilot)
        assert isinstance(table.rows, StillRows)
        assert (len(table.rows), table.cursor, table.held_key) == (4000, cursor, key)
        assert table.rows.find(key) == cursor
        assert table.rows.key(3999) == b""
        assert table.rows.cells(3999, {}) == {}
        await pilot.press("2")
        await until(pilot, lambda: isinstance(table.rows, CtRows))
        assert screen_text(pilot).splitlines()[5:30] == before
        assert (table.cursor, table.held_key) == (cursor, key)


async def test_rates_and_marks_tell_what_happened_since_the_sample_before(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(160, 40)) as pilot:
        table = await open_entries(pilot)
        before = source.tables[CT4]
        values = before.values.copy()
        busy = int(np.argsort(before.bytes)[100])
        names = values.dtype.names or ()
        for what, more in (("bytes", 10 << 20), ("packets", 5000)):
            values[next(name for name in names if name.endswith(what))][busy] += more
        source.tables[CT4] = replace(before, values=values, taken_at=before.taken_at + 2)
        await resample(pilot)
        await until(pilot, lambda: isinstance(table.rows, CtRows) and table.rows.arrangement.speeds)
        view = pilot.app.screen
        assert isinstance(view, EntriesScreen)
        view.sort_by("rate")
        await settle(pilot)
        assert isinstance(table.rows, CtRows)
        assert table.rows.sort == ("rate", True)
        cells = table.rows.cells(0, {})
        assert [cells[name][0][0] for name in ("mark", "rate", "packet-rate")] == [
            "~", "5.0 MiB", "2,500",
        ]  # fmt: skip
        assert table.rows.style(0) != "accent"
        assert [table.rows.cells(1, {})[name][0][0] for name in ("mark", "rate")] == ["", "0 B"]
        assert "~ used since" in text_of(pilot, "#summary")
