"""What the console says of maps while an agent restarts and programs follow."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.observe.inventory import User
from ctconsole.observe.usage import MapGeneration, MapUsage
from tests.support.fakes import CT4, EPOCH
from tests.support.pilots import (
    alarms_of,
    first_sample,
    line_with,
    resample,
    screen_text,
    text_of,
    until,
)

if TYPE_CHECKING:
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.app import ConsoleApp
    from tests.support.fakes import FakeSource

SINCE = EPOCH - 300


def split(row: MapRow) -> MapUsage:
    """Nobody uses what is pinned, and two programs use map 549."""
    program = ProgramInfo(7, ProgramType.SCHED_CLS, "cil_from_conta", "", (549,), 0, 0)
    users = (User(program, ("tc ingress of lxc1",), "attached"),) * 2
    old = MapGeneration(replace(row.info, id=549, pin=None), pinned=False, users=users, why="")
    pinned = MapGeneration(row.info, pinned=True, users=(), why="pinned")
    verdict = f"Nobody uses the pinned cilium_ct4_global (map {row.info.id})"
    return MapUsage(Path(row.key), pinned, (old,), Level.ERROR, verdict, since=SINCE)


@pytest.fixture
def row(source: FakeSource) -> MapRow:
    """The pinned map, new and empty."""
    fresh = replace(source.rows[CT4], entries=0, programs=0)
    source.rows[CT4] = fresh
    source.uses = (split(fresh),)
    return fresh


def line_of(shown: str) -> str:
    return next(x for x in shown.splitlines() if x.strip().startswith("cilium_ct4_global "))


async def test_an_older_map_in_use_is_named_in_the_place_of_not_used(
    console: ConsoleApp, row: MapRow
) -> None:
    del row
    async with console.run_test(size=(250, 50)) as pilot:
        await first_sample(pilot)
        # Nobody has asked yet who uses it.
        assert "no program uses it" in line_of(screen_text(pilot))
        await resample(pilot)
        since = time.strftime("%H:%M", time.localtime(SINCE))
        assert f"549 in use since {since}" in line_of(screen_text(pilot))
        await pilot.press("i")
        await until(pilot, lambda: "used by" in screen_text(pilot))
        shown = " ".join(screen_text(pilot).split())
        assert "older map 549, replaced" in shown
        assert "(cil_from_conta)" in shown


async def test_a_map_that_is_in_nobodys_use_is_said_to_be_that(
    console: ConsoleApp, source: FakeSource, row: MapRow
) -> None:
    source.uses = (replace(split(row), others=(), level=Level.INFO, verdict=""),)
    async with console.run_test(size=(250, 50)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        assert "not used by this datapath" in line_of(screen_text(pilot))


@pytest.mark.parametrize("how", ["programs have moved", "another map is pinned", "unpinned"])
async def test_an_alarm_goes_when_its_cause_has_gone(
    console: ConsoleApp, source: FakeSource, row: MapRow, how: str
) -> None:
    async with console.run_test(size=(250, 50)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        assert "Nobody uses the pinned cilium_ct4_global" in alarms_of(pilot)
        if how == "programs have moved":
            source.rows[CT4] = replace(row, programs=2)
        elif how == "another map is pinned":
            source.rows[CT4] = replace(row, info=replace(row.info, id=row.info.id + 1))
        else:
            del source.rows[CT4]
        await resample(pilot)
        assert "Nobody uses" not in alarms_of(pilot)
        await pilot.press("5")
        await until(pilot, lambda: "verdict" in [one.id for one in pilot.app.screen.query("*")])
        assert "Nobody uses" not in text_of(pilot, "#verdict")


async def test_what_was_counted_stands_with_its_age(
    console: ConsoleApp, source: FakeSource
) -> None:
    moment = [EPOCH]
    source.clock = console.sampler._clock = lambda: moment[0]
    async with console.run_test(size=(120, 50)) as pilot:
        await first_sample(pilot)
        for _ in range(4):
            await resample(pilot)
        moment[0] += 7
        await resample(pilot)
        heading, line = line_with(pilot, "MAP", "FILL"), line_of(screen_text(pilot))
        assert heading.index("DEAD") < heading.index("AGE")
        end = heading.index("AGE") + 3
        assert line[:end].endswith(" 7s")


async def test_what_was_counted_at_another_moment_is_marked_also_without_its_age(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(94, 50)) as pilot:
        await first_sample(pilot)
        for _ in range(4):
            await resample(pilot)
        heading, line = line_with(pilot, "MAP", "FILL"), line_of(screen_text(pilot))
        assert "AGE" not in heading
        at = heading.index("ALIVE") + len("ALIVE")
        # The table has fewer entries than the kernel counts.
        assert source.tables[CT4].keys.shape[0] != source.rows[CT4].entries
        assert line[at - 9 : at].strip() == "~3,616"


async def test_a_cause_stands_before_what_followed_from_it(
    console: ConsoleApp, source: FakeSource
) -> None:
    def said(number: int, at: float, text: str) -> tuple[int, Event]:
        return number, Event(EPOCH + at, EventKind.WARNING, "observe", "x", text)

    # Heard of in another order than they happened.
    source.log = [said(1, 1.0, "second"), said(2, 2.0, "third"), said(3, 0.5, "first")]
    async with console.run_test(size=(250, 50)) as pilot:
        await first_sample(pilot)
        await pilot.press("4")
        await until(pilot, lambda: "third" in screen_text(pilot))
        shown = screen_text(pilot)
        assert shown.index("third") < shown.index("second") < shown.index("first")
