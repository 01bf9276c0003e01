"""A full table is told as full, in every view, from when on, and never to fill up soon."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.keytable import VIEW_NAMES
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.widgets.fill_graph import FillGraph
from tests.support.fakes import CT4, EPOCH, FakeSource, random_table
from tests.support.pilots import alarms_of, first_sample, line_with, resample, screen_text, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

FULL_SINCE = EPOCH - 1500
KEY = str(CT4)


def minutes(source: FakeSource, counts: dict[float, int]) -> None:
    """What the history counted, by seconds before now."""
    source.past = {KEY: tuple((EPOCH - ago, n) for ago, n in sorted(counts.items(), reverse=True))}


@pytest.fixture
def full(source: FakeSource) -> FakeSource:
    """ct4 has been full for 25 minutes."""
    source.rows[CT4] = replace(source.rows[CT4], entries=524_230)
    minutes(source, {60.0 * n: 524_200 if n <= 25 else 520_000 - 1000 * n for n in range(1, 61)})
    return source


async def told(pilot: Pilot[None]) -> None:
    await first_sample(pilot)
    await until(pilot, lambda: "since" in alarms_of(pilot))


async def test_it_is_full_in_every_view(console: ConsoleApp, full: FakeSource) -> None:
    assert full.past
    clock = time.strftime("%H:%M", time.localtime(FULL_SINCE))
    async with console.run_test(size=(120, 40)) as pilot:
        await told(pilot)
        for view in VIEW_NAMES:
            console.show_view(view)
            await until(pilot, lambda: "FULL" in alarms_of(pilot))
            assert console.current_mode == view
            what = "evicts, live ones too"
            assert f"cilium_ct4_global is FULL: {what}, since {clock}" in alarms_of(pilot)
            assert "full in about" not in screen_text(pilot)
            if view in {"overview", "maps"}:
                assert "FULL" in line_with(pilot, "cilium_ct4_global ", "MiB")


async def test_what_it_throws_out_is_told_of_a_table_nobody_looks_at(
    console: ConsoleApp, full: FakeSource
) -> None:
    moment = [EPOCH]
    full.clock = console.sampler._clock = lambda: moment[0]
    async with console.run_test(size=(160, 48)) as pilot:
        await told(pilot)
        while KEY not in console.sample.read_at:
            await resample(pilot)
        whole = full.tables[CT4]
        later = random_table(whole.info, 640, seed=5, taken_at=EPOCH + 4)
        kept = np.arange(len(whole)) >= 640
        keys, values = (
            np.concatenate([getattr(part, name) for part in (whole.take(kept), later)])
            for name in ("keys", "values")
        )
        keys["daddr"][-640:, 0] = 11
        full.tables[CT4] = replace(whole, keys=keys, values=values, taken_at=EPOCH + 4)
        moment[0] = EPOCH + 4
        console.sampler._survey._due.clear()
        while KEY not in console.sample.turnovers:
            await resample(pilot)
        evicted = console.sample.turnovers[KEY].evicted
        assert evicted is not None
        assert evicted > 100
        assert f"FULL: evicting about {evicted:,.0f}/s, live ones too" in alarms_of(pilot)
        line = line_with(pilot, "cilium_ct4_global ", "MiB")
        assert line.count("FULL") == 2
        assert " 1,000   1,000 " in line


async def test_the_bar_and_the_graph_of_a_full_table_are_high(
    console: ConsoleApp, full: FakeSource
) -> None:
    assert full.rows
    async with console.run_test(size=(180, 48)) as pilot:
        await told(pilot)
        # The past is learned behind the first sample; what is drawn of it comes with the next.
        await resample(pilot)
        line = line_with(pilot, "cilium_ct4_global ", "MiB")
        assert "█████" in line
        graph = pilot.app.screen.query_one(FillGraph)
        shown = screen_text(pilot)
        assert graph.span == 3600
        for ago in (0, 3600):
            assert time.strftime("%H:%M", time.localtime(EPOCH - ago)) in shown
        assert "524k▕" in shown


@pytest.mark.key("map.span")
async def test_a_graph_shows_as_much_time_as_is_asked_for(
    console: ConsoleApp, full: FakeSource
) -> None:
    assert full.rows
    async with console.run_test(size=(120, 40)) as pilot:
        await told(pilot)
        spans = []
        for _ in range(4):
            await pilot.press("v")
            spans.append(pilot.app.screen.query_one(FillGraph).span)
        assert spans == [6 * 3600, 86_400, 600, 3600]


async def test_where_all_is_calm_the_fill_is_told(source: FakeSource) -> None:
    for pin in list(source.rows):
        source.rows[pin] = replace(
            source.rows[pin], entries=min(100, source.rows[pin].entries or 0)
        )
    console = ConsoleApp(source, interval=3600, clock=lambda: EPOCH)
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        assert not alarms_of(pilot)
        await pilot.press("4")
        await until(pilot, lambda: alarms_of(pilot))
        assert alarms_of(pilot).startswith("fill ct4_global <1% · ct_any4_global <1%")
