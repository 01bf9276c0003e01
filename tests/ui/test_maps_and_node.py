"""The catalogue held against the node, and what is known of it and of the console."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.runs import ProgramRuns, RunsSeen
from ctconsole.ui.screens.details import MapDetails
from ctconsole.ui.widgets.catalogue_rows import CatalogueRows
from ctconsole.ui.widgets.line_table import LineTable
from tests.support import split_brain
from tests.support.fakes import CT4, GLOBALS, FakeSource, map_info
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

    from ctconsole.ui.app import ConsoleApp

WIDE = (200, 50)


def counting(source: FakeSource) -> bool:
    return source.counting


async def opened(pilot: Pilot[None], key: str) -> LineTable:
    await first_sample(pilot)
    await pilot.press(key)
    await settle(pilot)
    return pilot.app.screen.query_one(LineTable)


@pytest.mark.key("view.maps")
async def test_every_map_stands_beside_what_is_listed_of_it(
    console: ConsoleApp, source: FakeSource
) -> None:
    row = source.rows[CT4]
    source.rows[CT4] = replace(row, info=replace(row.info, value_size=52, max_entries=1_048_576))
    own = GLOBALS / "cilium_of_nobody"
    source.rows[own] = replace(row, info=map_info(900, own.name, row.info.type, (4, 4), 16))
    async with console.run_test(size=WIDE) as pilot:
        table = await opened(pilot, "6")
        line = line_with(pilot, "connection tracking", "cilium_ct")
        assert line
        differs = line_with(pilot, "cilium_ct4_global", "listed")
        assert "value 52, listed 56; max" in differs
        assert "as listed" in line_with(pilot, "cilium_ct_any4_global")
        assert "not on this node" in line_with(pilot, "cilium_ct6_global")
        rows = table.rows
        assert isinstance(rows, CatalogueRows)
        assert "not in the catalogue" in str(rows.cells(rows.find(str(own)) or 0, {})["spec"])
        assert status(pilot).shown.startswith("21 maps, ")
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(console.screen, MapDetails)


async def test_a_map_that_is_not_there_has_nothing_to_open(
    console: ConsoleApp, source: FakeSource
) -> None:
    source.rows = {CT4: source.rows[CT4]}
    async with console.run_test(size=WIDE) as pilot:
        table = await opened(pilot, "6")
        rows = table.rows
        assert isinstance(rows, CatalogueRows)
        assert rows.missing > 10
        await pilot.press("enter")
        await settle(pilot)
        assert "not on this node" in status(pilot).flash


@pytest.mark.key("view.node")
async def test_what_is_known_of_the_node_says_how(console: ConsoleApp) -> None:
    async with console.run_test(size=WIDE) as pilot:
        await opened(pilot, "7")
        await resample(pilot)
        assert "its API" in line_with(pilot, "release", "1.9.5")
        assert "told by the entries themselves" in line_with(pilot, "layout", "not known")
        assert "Cilium 1.9.5, up 1m 1s, 3% CPU, 231.0 MiB" in line_with(pilot, "agent")
        assert "of a CPU" in line_with(pilot, "console", "CPU")
        assert "resident" in line_with(pilot, "memory")
        assert "runs" in line_with(pilot, "sampler")
        assert line_with(pilot, "threads", "by /proc")
        assert line_with(pilot, "MainThread", "of CPU")
        assert status(pilot).shown == "2 facts"


@pytest.mark.parametrize("key", ["6", "7"])
async def test_they_fit_the_smallest_terminal(console: ConsoleApp, key: str) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        await opened(pilot, key)
        lines = screen_text(pilot).splitlines()
        assert lines[0].strip().endswith("Cilium 1.9.5 (pid 2114, up 1m 1s) · /sys/fs/bpf")
        assert "7 Node" in lines[1]
        assert "LIVE" in lines[-2]
        assert max(map(len, lines)) <= 80


async def test_runs_are_counted_while_the_datapath_is_looked_at_and_not_after(
    console: ConsoleApp, source: FakeSource
) -> None:
    source.uses = split_brain.uses(source)
    source.ran = RunsSeen((ProgramRuns(322, 51_200.0, 812.4), ProgramRuns(323, 0.0, None)))
    async with console.run_test(size=WIDE) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        assert not counting(source)
        await pilot.press("5")
        await until(pilot, lambda: console.sample.runs.programs)
        await settle(pilot)
        assert counting(source)
        told = "1 program of this machine ran 51,200 times a second and took 4.16% of a CPU"
        assert told in screen_text(pilot)
        busy = line_with(pilot, "from_container", "51,200")
        assert "812" in busy
        assert "4.2%" in busy
        assert "older cilium_ct4_global" in busy
        calm = line_with(pilot, "to_container", "323")
        assert "51,200" not in calm
        await pilot.press("1")
        await until(pilot, lambda: not counting(source))
        await pilot.press("5")
        await until(pilot, lambda: counting(source))


async def test_where_runs_are_not_counted_it_is_said_why(
    console: ConsoleApp, source: FakeSource
) -> None:
    source.uses = split_brain.uses(source)
    source.ran = RunsSeen(why="a recording tells nothing of the runs of programs")
    async with console.run_test(size=(80, 24)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        await pilot.press("5")
        await until(pilot, lambda: "a recording tells nothing" in screen_text(pilot))
        assert line_with(pilot, "HOOK", "PROGRAM", "RUNS/S", "NS/RUN")
