"""The Datapath view: interfaces with their programs, what these cost, use and call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.event import Level
from ctconsole.model.runs import ProgramRuns, RunsSeen
from ctconsole.observe.calls import CallArray, Callee
from ctconsole.observe.inventory import User
from ctconsole.observe.usage import MapGeneration, MapUsage
from ctconsole.ui.screens.programs import ProgramDetails
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fakes import CT4, GLOBALS
from tests.support.pilots import first_sample, line_with, resample, screen_text, settle, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.ui.app import ConsoleApp
    from tests.support.fakes import FakeSource

INGRESS, EGRESS = "tcx ingress of lxc1 in client", "tc egress of eth0"
CALLS, POLICY = GLOBALS / "cilium_calls_00010", GLOBALS / "cilium_policy_00010"


def user(number: int, name: str, where: Sequence[str], how: str = "attached") -> User:
    return User(
        ProgramInfo(number, ProgramType.SCHED_CLS, name, "0badcafe", (), 0, 0), tuple(where), how
    )


FROM = user(11, "from_container", [INGRESS])
CALLED = user(12, "handle_policy", [INGRESS], "tail call")
TO_NETDEV = user(13, "to_netdev", [EGRESS])
SHARED = user(14, "from_netdev", ["xdp eth0", "xdp eth1"])
SOCKET = user(15, "sock4_connect", ["cgroup connect4 of /sys/fs/cgroup"])
IDLE = user(16, "left_over", [], "loaded")


@pytest.fixture(autouse=True)
def _a_datapath(source: FakeSource) -> None:
    """Programs at interfaces, one called from there, one that uses an older table."""
    everybody = (FROM, CALLED, TO_NETDEV, SHARED, SOCKET, IDLE)
    info = source.rows[CT4].info
    older = MapGeneration(
        replace(info, id=549, pin=None), pinned=False, users=(TO_NETDEV,), why="same name"
    )
    users = tuple(one for one in everybody if one is not TO_NETDEV)
    pinned = MapGeneration(info, pinned=True, users=users, why="pinned")
    calls, policy = (source.rows[path].info for path in (CALLS, POLICY))
    source.uses = (
        MapUsage(Path(CT4), pinned, (older,), Level.WARNING, "two tables are in use"),
        MapUsage(
            Path(POLICY),
            MapGeneration(policy, pinned=True, users=(FROM, CALLED), why="pinned"),
            (),
            Level.INFO,
            "",
        ),
    )
    source.arrays = (CallArray(Path(CALLS), calls, (FROM,), (Callee(7, 12, "handle_policy"),)),)
    source.ran = RunsSeen((ProgramRuns(11, 90_000.0, 400.0), ProgramRuns(14, 10.0, 50.0)))


async def test_interfaces_stand_with_their_hooks_programs_maps_and_calls(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(200, 50)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        await pilot.press("5")
        await until(pilot, lambda: console.sample.runs.programs)
        await settle(pilot)
        # The verdict names programs, too; the table of interfaces stands below it.
        lines = screen_text(pilot).splitlines()
        lines = lines[next(row for row, one in enumerate(lines) if "INTERFACE" in one) + 1 :]
        place, figures = lines[0].split("from_container")
        assert place.split("  ")[0] == " lxc1"
        assert "endpoint 10, in client" in place
        assert "tcx ingress" in place
        assert figures.split() == ["11", "90,000", "400", "3.6%", "2", "pinned", "1"]
        # What it calls stands below it, without its interface once more.
        assert lines[1].split()[:3] == ["called", "handle_policy", "12"]
        # Then the next in order of cost; what is met at two places has its figures once.
        assert lines[2].split()[:3] == ["eth0", "xdp", "from_netdev"]
        [shared] = [one for one in lines if one.startswith(" eth1")]
        assert shared.count('"') == 3
        [split] = [one for one in lines if "to_netdev" in one]
        assert "older cilium_ct4_global (549)" in split
        assert line_with(pilot, "no interface", "cgroup connect4 of")
        assert line_with(pilot, "none", "not attached", "left_over")


async def test_enter_on_a_program_tells_all_that_is_known_of_it(console: ConsoleApp) -> None:
    async with console.run_test(size=(160, 50)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        await pilot.press("5")
        await until(pilot, lambda: console.sample.runs.programs)
        await settle(pilot)
        console.screen.query_one("#hooks", LineTable).focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(console.screen, ProgramDetails))
        await settle(pilot)
        assert "90,000.0 a second, 400 ns each: 3.60% of a CPU" in screen_text(pilot)
        assert line_with(pilot, "endpoint", "endpoint 10")
        assert line_with(pilot, "hook", INGRESS)
        assert "pinned now" in line_with(pilot, "cilium_policy_00010 (")
        assert line_with(pilot, "tail call", "cilium_calls_00010 7: handle_policy (12)")


async def test_the_smallest_terminal_shows_interface_hook_program_and_rate(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        await first_sample(pilot)
        await resample(pilot)
        await pilot.press("5")
        await until(pilot, lambda: console.sample.runs.programs)
        await settle(pilot)
        assert line_with(pilot, "INTERFACE", "HOOK", "PROGRAM", "RUNS/S", "NS/RUN", "MAPS")
        assert line_with(pilot, "lxc1", "tcx ingress", "from_container", "90,000", "400")
