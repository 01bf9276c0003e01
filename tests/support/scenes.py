"""Each view and dialogue of the console on a node that is always the same.

Everything shown comes from the fakes, with their seed and a clock that stands still, so that
another picture is another console. The pictures under ``screenshots/`` and the snapshots of
``tests/ui/snapshots`` are taken of these.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest
from textual.widgets import Input, Static

from ctconsole.kernel.procstat import ThreadUse
from ctconsole.keytable import BY_ID, VIEW_NAMES
from ctconsole.observe.nodecard import CostMeter, OwnCost
from ctconsole.settings.read import UserSettings
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.choices import Choices
from ctconsole.ui.fleet_app import FleetApp
from ctconsole.ui.screens.confirm import ConfirmScreen
from ctconsole.ui.screens.node import NodeScreen
from ctconsole.ui.widgets.line_table import LineTable
from tests.support import split_brain
from tests.support.ct_tables import elsewhere
from tests.support.fake_actions import FakeActions
from tests.support.fakes import CT4, CT_ANY4, EPOCH, FakeSource
from tests.support.fleet_scenes import FLEET_SCENES, first_look, prepared_fleet
from tests.support.pilots import console_of, first_sample, settle, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import PurePath

    from textual.pilot import Pilot

    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.sampler import Sample
    from ctconsole.ui.surface import SurfaceApp

Steps: TypeAlias = "Callable[[Pilot[None]], Awaitable[None]]"

BEATS: Final = 64
INTERVAL: Final = 2.0
COST: Final = 0.038
"""Seconds that a sample is said to have cost."""


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


class StillMeter(CostMeter):
    """A console that costs the same on every machine."""

    def look(self) -> OwnCost:
        """What it is said to cost."""
        threads = (ThreadUse("MainThread", 9.5), ThreadUse("sampler", 4.2))
        return OwnCost(2114, 0.021, 13.7, 81 << 20, threads)


@contextmanager
def in_utc() -> Iterator[None]:
    """Times of day as they are in Greenwich, and colours, wherever this runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        patch.delenv("NO_COLOR", raising=False)
        time.tzset()
        try:
            yield
        finally:
            patch.undo()
            time.tzset()


def _every_colour() -> UserSettings:
    """What is drawn has the colours of no terminal, whichever one it is drawn from."""
    usual = UserSettings()
    return replace(usual, values={**usual.values, "color": "true"})


def prepared(*, split: bool = False, entries: int = 500_000) -> ConsoleApp:
    """A console that has been looking for two minutes: the table filled after the restart.

    Args:
        split: whether the programs still use the table from before.
        entries: how many of a table's entries there are at most; with all of them every number
            on screen is of the same table.
    """
    clock = Clock(EPOCH - BEATS * INTERVAL)
    source = FakeSource(clock=clock, most_entries=entries)
    source.tables = dict(_tables(entries))
    source.uses = split_brain.uses(source) if split else ()
    app = ConsoleApp(
        source,
        FakeActions(source),
        interval=3600,
        clock=clock,
        translated=lambda: {14: elsewhere(source.table(CT4).key_rows[::40])},
        choices=Choices(_every_colour()),
    )
    taken = app.sampler.sample

    def still() -> Sample:
        return replace(taken(), cost_seconds=COST, cpu_seconds=COST)

    app.sampler.sample = still  # type: ignore[method-assign] # only what is measured differs
    finals = {path: source.rows[path].entries or 0 for path in (CT4, CT_ANY4)}
    for beat in range(BEATS):
        clock.now += INTERVAL
        refilling = beat - BEATS // 2
        source.rows[CT4] = replace(
            source.rows[CT4],
            entries=30_200 + 60 * beat if refilling < 0 else _curve(finals[CT4], refilling),
        )
        source.rows[CT_ANY4] = replace(
            source.rows[CT_ANY4], entries=finals[CT_ANY4] + 900 * (beat % 5) - 40 * (BEATS - beat)
        )
        app.sampler.sample()
    for path, final in finals.items():
        source.rows[path] = replace(source.rows[path], entries=final)
    clock.now = EPOCH + 0.4
    return app


def opened(scene: str, *, split: bool = False, entries: int = 500_000) -> SurfaceApp:
    """The console that a scene is of; see `prepared`."""
    if scene in FLEET_SCENES:
        return prepared_fleet(_every_colour())
    return prepared(split=split, entries=entries)


@cache
def _tables(entries: int) -> Mapping[PurePath, CtTable]:
    """The conntrack tables of the node, which take their time to be made."""
    source = FakeSource(clock=Clock(EPOCH - BEATS * INTERVAL), most_entries=entries)
    return {pin: source.table(pin) for pin, row in source.rows.items() if row.is_conntrack}


def _curve(final: int, beat: int) -> int:
    """How a table fills: fast at first, then ever slower; ``final`` at the end."""
    last = BEATS - BEATS // 2
    return int(final * (1 - (1 - beat / last) ** 2 * 0.98))


def _view(name: str) -> Steps:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press(BY_ID[f"view.{name}"].keys)
        await settle(pilot)
        if name in {"entries", "top"}:
            table = pilot.app.screen.query_one(LineTable)
            await until(pilot, lambda: table.rows is not None and len(table.rows))
            await settle(pilot)

    return steps


def _pressed(view: str, *keys: str) -> Steps:
    """A view, and keys in it."""

    async def steps(pilot: Pilot[None]) -> None:
        await _view(view)(pilot)
        await pilot.press(*keys)
        await settle(pilot)

    return steps


def _planned(view: str, key: str, *, name: str = "", do: bool = False) -> Steps:
    """A dialogue once its plan is made, with a name typed, or done."""

    async def steps(pilot: Pilot[None]) -> None:
        await _view(view)(pilot)
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
        screen = pilot.app.screen
        assert isinstance(screen, ConfirmScreen)
        # A plan may be given up for another one while the first is made.
        await until(pilot, lambda: screen.plan is not None)
        if name:
            screen.query_one("#name", Input).value = name
        if do:
            screen.query_one("#go").focus()
            await pilot.press("enter")
        await settle(pilot)

    return steps


async def _forecast(pilot: Pilot[None]) -> None:
    await _pressed("entries", "f")(pilot)
    facts = pilot.app.screen.query_one("#facts", Static)
    await until(pilot, lambda: facts.size.height > 1)
    await settle(pilot)


async def _listed(pilot: Pilot[None]) -> None:
    await _planned("overview", "z")(pilot)
    await pilot.press("l")
    await settle(pilot)
    table = pilot.app.screen.query_one(LineTable)
    await until(pilot, lambda: table.rows is not None and len(table.rows))


SCENES: Final[Mapping[str, Steps]] = MappingProxyType({
    **{name: _view(name) for name in VIEW_NAMES},
    "events-unfolded": _pressed("events", "down", "down", "down", "enter"),
    "entry": _pressed("entries", "down", "enter"),
    "map": _pressed("overview", "i"),
    "filter": _pressed("entries", "slash", *"dport:443,8080 !closing left>1h"),
    "forecast": _forecast,
    "resize": _planned("overview", "z"),
    "resize-list": _listed,
    "resize-done": _planned("overview", "z", do=True),
    "recreate": _planned("overview", "r", name=CT4.name),
    "restart": _planned("overview", "R"),
    "flush": _planned("entries", "D"),
    "help": _pressed("overview", "question_mark"),
    "command": _pressed("overview", "colon", *"resize cilium_ct4_global 1M"),
    "sort": _pressed("entries", "s"),
    "columns": _pressed("entries", "c"),
    "jump": _pressed("overview", "t"),
    **FLEET_SCENES,
})  # fmt: skip
"""Each by name; each begins on a view and may leave a dialogue open; see `opened`."""


async def shown(pilot: Pilot[None], scene: str) -> None:
    """Go to a scene of a console that was just opened, and let nothing be seen that is measured."""
    await (first_look if isinstance(pilot.app, FleetApp) else first_sample)(pilot)
    await SCENES[scene](pilot)
    await steady(pilot)


async def steady(pilot: Pilot[None]) -> None:
    """Let nothing be seen that is measured, or said only for a while."""
    app = console_of(pilot)
    if isinstance(app.screen, NodeScreen):
        app.screen._meter = StillMeter()
        app.screen.show_sample(app.sample)
    app.flash("")
    for field in app.screen.query(Input):
        field.cursor_blink = False
    app.refresh_status()
    await pilot.pause()


def picture(app: SurfaceApp, name: str) -> str:
    """The screen as SVG, the same on every machine."""
    svg = app.export_screenshot(title="ctconsole")
    # The prefix of the classes is a hash that contains the process's addresses.
    return re.sub(r"terminal-\d+", f"terminal-{name}", svg)
