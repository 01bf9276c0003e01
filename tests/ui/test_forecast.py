"""What the console says of a loss before anybody causes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.model.ct.outcomes import Change, Risk
from ctconsole.model.ct.risk import judge
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.screens.forecast import ForecastScreen
from ctconsole.ui.widgets.ct_rows import CtRows
from tests.support.ct_tables import elsewhere
from tests.support.fakes import CT4, EPOCH, FakeSource
from tests.support.pilots import open_entries, resample, screen_text, settle, until

if TYPE_CHECKING:
    from textual.pilot import Pilot


async def open_forecast(pilot: Pilot[None]) -> None:
    await open_entries(pilot)
    await pilot.press("f")
    await until(pilot, lambda: "recreate" in screen_text(pilot))


async def test_a_forecast_needs_no_write_gate(read_only: ConsoleApp, source: FakeSource) -> None:
    async with read_only.run_test(size=(120, 40)) as pilot:
        await open_forecast(pilot)
        verdicts = judge(source.tables[CT4], Change.RECREATE)
        [line] = [one for one in screen_text(pilot).splitlines() if "statistics lost" in one]
        for risk in (Risk.COMES_BACK, Risk.AT_RISK, Risk.BREAKS, Risk.DEAD):
            assert f" {verdicts.count(risk):,} " in line
        assert "its service picks one of several backends" in screen_text(pilot)


async def test_translations_are_what_a_flush_costs_more(source: FakeSource) -> None:
    known = {14: elsewhere(source.table(CT4).key_rows[:400])}
    console = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, translated=lambda: known)
    async with console.run_test(size=(120, 40)) as pilot:
        await open_forecast(pilot)
        shown = screen_text(pilot)
    assert "the next one has another port" in shown


async def test_a_forecast_follows_the_table(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_forecast(pilot)
        assert "of 4,000 entries" in screen_text(pilot)
        source.tables[CT4] = source.tables[CT4].take(slice(0, 100))
        await resample(pilot)
        await until(pilot, lambda: "of 100 entries" in screen_text(pilot))


@pytest.mark.key("entries.forecast", "forecast.list")
async def test_those_that_break_are_listed(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        table = await open_entries(pilot)
        await pilot.press("f", "l")
        await settle(pilot)
        assert not isinstance(pilot.app.screen, ForecastScreen)
        breaking = judge(source.tables[CT4], Change.RECREATE).count(Risk.BREAKS)
        await until(pilot, lambda: table.rows is not None and len(table.rows) == breaking)
        assert isinstance(table.rows, CtRows)
        assert table.rows.cells(0, {})["risk"] == (("breaks", "crit"),)
        await pilot.press("enter")
        await settle(pilot)
        assert "if recreated" in screen_text(pilot)
