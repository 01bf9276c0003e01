"""The largest users of a table: by whatever they can be put together by, ranked by what moves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.groupings import Grouping
from ctconsole.model.names import Names
from ctconsole.model.talkers import Ranking
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.top_rows import TopRows
from tests.support.fakes import CT4, EPOCH, FakeSource
from tests.support.pilots import (
    first_sample,
    line_with,
    resample,
    screen_text,
    settle,
    status,
    until,
)

if TYPE_CHECKING:
    from textual.pilot import Pilot

WIDE = (140, 40)


async def opened(pilot: Pilot[None]) -> LineTable:
    await first_sample(pilot)
    await pilot.press("3")
    await until(pilot, lambda: pilot.app.screen.query("#tops"))
    table = pilot.app.screen.query_one(LineTable)
    await until(pilot, lambda: isinstance(table.rows, TopRows) and len(table.rows))
    return table


@pytest.mark.key("top.group", "top.group-back")
async def test_a_key_puts_entries_together_by_the_next_thing(console: ConsoleApp) -> None:
    async with console.run_test(size=WIDE) as pilot:
        table = await opened(pilot)
        assert status(pilot).shown == "largest 10 of each kind, by entries"
        seen = []
        for grouping in Grouping:
            await pilot.press("b")
            await settle(pilot)
            rows = table.rows
            assert isinstance(rows, TopRows)
            if len(rows):
                assert {rows.line(row).grouping for row in range(len(rows))} == {grouping}
            else:
                seen.append(grouping)
        assert seen == [Grouping.POD, Grouping.NAMESPACE]
        await pilot.press("b")
        await settle(pilot)
        assert status(pilot).shown == "largest 10 of each kind, by entries"
        await pilot.press("B")
        await settle(pilot)
        assert status(pilot).shown == "1 by protocol, by entries"


@pytest.mark.key("top.rank")
async def test_who_makes_most_new_entries_stands_first(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=WIDE) as pilot:
        table = await opened(pilot)
        await pilot.press("s")
        await settle(pilot)
        before = source.tables[CT4]
        keys = before.keys.copy()
        keys["sport"][:200] += 7
        keys["saddr"][:200] = keys["daddr"][:200] = (10, 66, 6, 6)
        source.tables[CT4] = replace(before, keys=keys, taken_at=EPOCH + 2)
        await resample(pilot)
        assert isinstance(table.rows, TopRows)
        assert table.rows.sort == ("new", True)
        first = table.rows.line(0).talker
        assert first.new is not None
        assert first.new == 100
        assert "10.66.6.6" in screen_text(pilot)
        line = line_with(pilot, "source", "10.66.6.6")
        assert f"{round(first.new):,}" in line


async def test_pods_are_named_without_names_being_shown(source: FakeSource) -> None:
    names = Names(endpoints={bytes((10, 244, 1, 17)): "shop/web"})
    app = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, names=lambda: (names, ()))
    async with app.run_test(size=WIDE) as pilot:
        table = await opened(pilot)
        for _ in range(5):
            await pilot.press("b")
            await settle(pilot)
        await until(pilot, lambda: "shop/web" in screen_text(pilot))
        assert isinstance(table.rows, TopRows)
        mask = (source.tables[CT4].ends.source == (10, 244, 1, 17)).all(axis=1)
        assert table.rows.line(0).talker.entries == np.count_nonzero(mask)


async def test_a_click_on_a_heading_ranks_by_it(console: ConsoleApp) -> None:
    async with console.run_test(size=WIDE) as pilot:
        table = await opened(pilot)
        heading = line_with(pilot, "LARGEST BY", "EVICT/S").index("EVICT/S")
        await pilot.click("#tops", offset=(heading, 0))
        await settle(pilot)
        assert table.rows
        assert table.rows.sort == ("evicted", True)
        assert Ranking.EVICTED in status(pilot).shown


async def test_how_full_the_table_is_stands_above(console: ConsoleApp) -> None:
    async with console.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await settle(pilot)
        assert "91% of 524,288" in line_with(pilot, "cilium_ct4_global", "entries", "alive")
