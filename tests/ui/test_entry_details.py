"""All about one entry, and how it is copied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.ct.order import find_entry
from ctconsole.model.ct.related import in_a_line
from ctconsole.ui.screens.details import EntryDetails
from ctconsole.ui.widgets.ct_rows import CtRows
from tests.support.fakes import CT4, CT_ANY4
from tests.support.pilots import open_entries, resample, screen_text, settle, status, until

if TYPE_CHECKING:
    from ctconsole.model.ct.table import CtTable
    from ctconsole.ui.app import ConsoleApp
    from ctconsole.ui.widgets.line_table import LineTable
    from tests.support.fakes import FakeSource


def at_cursor(table: LineTable) -> CtTable:
    rows = table.rows
    assert isinstance(rows, CtRows)
    row = int(rows.arrangement.order[table.cursor])
    return rows.arrangement.table.take(slice(row, row + 1))


def followed(console: ConsoleApp) -> bytes:
    """The key of the entry that is followed; empty where none is."""
    entry = console.following.entry
    return entry.key if entry is not None else b""


async def test_the_details_tell_both_risks_other_entries_and_translation(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(140, 60)) as pilot:
        await open_entries(pilot)
        await pilot.press("down", "enter")
        await settle(pilot)
        shown = screen_text(pilot)
        for word in ("if recreated", "if flushed", "also of it", "translation", "key, raw"):
            assert word in shown


@pytest.mark.key("entries.copy")
@pytest.mark.parametrize("opened", [False, True], ids=["in the table", "in its details"])
async def test_an_entry_is_copied_to_the_clipboard(console: ConsoleApp, *, opened: bool) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        await pilot.press("down", *(["enter"] if opened else []))
        await settle(pilot)
        await pilot.press("y", "down", "down", "enter")
        await until(pilot, lambda: console.clipboard)
        one = at_cursor(table)
        port = int(one.ends.source_port[0])
        assert f"src port {port}" in console.clipboard
        assert "clipboard" in status(pilot).flash
        assert isinstance(pilot.app.screen, EntryDetails) is opened


async def test_a_deletion_names_its_connection(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        await pilot.press("down", "d")
        await settle(pilot)
        assert in_a_line(at_cursor(table)) in screen_text(pilot)


@pytest.mark.key("entries.follow")
async def test_an_entry_is_followed_across_views_and_after_its_end(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(140, 60)) as pilot:
        await open_entries(pilot)
        await pilot.press("F", "escape", "F", "F")
        assert not followed(console)
        await pilot.press("escape", "down", "F")
        await settle(pilot)
        assert "followed from here on" in screen_text(pilot)
        await pilot.press("escape", "1")
        assert console.sampler.watched == CT4
        row = find_entry(source.tables[CT4], followed(console))
        rest = source.tables[CT4].take(np.arange(4000) != row)
        source.tables[CT4] = replace(rest, taken_at=rest.taken_at + 2)
        await resample(pilot)
        await pilot.press("F")
        await settle(pilot)
        shown = screen_text(pilot)
        assert "gone" in shown
        assert "key, raw" in shown
        await pilot.press("F", "escape")
        assert not followed(console)
        await pilot.press("F")
        assert "no entry is followed" in status(pilot).flash


async def test_an_entry_is_followed_while_another_map_is_shown(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(140, 60)) as pilot:
        await open_entries(pilot)
        await pilot.press("down", "F", "escape")
        key = followed(console)
        await pilot.press("full_stop")
        await until(pilot, lambda: console.sample.watched == CT_ANY4)
        table = source.tables[CT4]
        row = find_entry(table, key)
        assert row is not None
        values = table.values.copy()
        values["rx_bytes"][row] += 1_000_000
        source.tables[CT4] = replace(table, values=values, taken_at=table.taken_at + 2)
        await resample(pilot)
        # In Top, as in Entries, it is the other map that is read for the screen.
        await pilot.press("3", "F")
        await settle(pilot)
        assert console.sample.watched == CT_ANY4
        told = dict(console.following.facts(key))
        assert told["since followed"] == "977 KiB"
        assert "977 KiB" in screen_text(pilot)
        # It ends while the other map is shown, and the box that is open says so.
        rest = table.take(np.arange(len(table)) != row)
        source.tables[CT4] = replace(rest, taken_at=table.taken_at + 4)
        await resample(pilot)
        assert "not in the table any more; this is what was last seen" in screen_text(pilot)


async def test_an_entry_whose_table_cannot_be_read_any_more_is_said_not_to_be_seen(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(140, 60)) as pilot:
        await open_entries(pilot)
        await pilot.press("down", "F", "escape", "full_stop")
        await until(pilot, lambda: console.sample.watched == CT_ANY4)
        row = source.rows.pop(CT4)
        await resample(pilot)
        assert "not seen from here on: " in str(console.following.facts(followed(console)))
        source.rows[CT4] = row
        table = source.tables[CT4]
        source.tables[CT4] = replace(table, taken_at=table.taken_at + 9)
        await resample(pilot)
        assert "its table is read again" in str(console.following.facts(followed(console)))
