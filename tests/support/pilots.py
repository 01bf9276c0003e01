"""Waiting for a console under Textual's pilot, without sleeping longer than needed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from textual.widgets import Static
from textual.worker import WorkerCancelled

from ctconsole.ui.widgets.alarm_line import AlarmLine
from ctconsole.ui.widgets.chrome import Status, StatusBar
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from ctconsole.ui.app import ConsoleApp

PATIENCE = 60.0


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let the console work until ``condition`` holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the console did not get there"
        await pilot.pause(0.01)
    await pilot.pause()


async def first_sample(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: console_of(pilot).sample.node or status(pilot).error)


async def resample(pilot: Pilot[None]) -> None:
    """Have the sampler take one more sample, and wait until it was handled."""
    app = console_of(pilot)
    before = app.sampler.latest.number
    app.hurry()
    await until(pilot, lambda: app.sampler.latest.number > before)
    await until(pilot, lambda: app.held or app.sample.number > before)
    await settle(pilot)


async def hurried(pilot: Pilot[None]) -> None:
    """The same for whoever takes thousands: what is drawn of it is not waited for.

    A pause of a pilot lasts until the process has rested for a while.
    """
    app = console_of(pilot)
    before = app.sampler.latest.number
    app.hurry()
    while not (app.sampler.latest.number > before and (app.held or app.sample.number > before)):  # noqa: ASYNC110 - a sampler in a thread tells by its number alone
        await asyncio.sleep(0.002)
    # A worker that was cancelled has made room for another.
    with suppress(WorkerCancelled):
        await app.workers.wait_for_complete()


async def settle(pilot: Pilot[None]) -> None:
    """Wait for workers, e.g. for a table to be sorted and shown.

    One that is cancelled meanwhile has made room for another, which is waited for as well.
    """
    cancelled = True
    while cancelled:
        try:
            await pilot.app.workers.wait_for_complete()
            cancelled = False
        except WorkerCancelled:
            await pilot.pause()
    await pilot.pause()


async def open_entries(pilot: Pilot[None]) -> LineTable:
    """Switch to the Entries view and wait for its table."""
    await first_sample(pilot)
    await pilot.press("2")
    await until(pilot, lambda: pilot.app.screen.query(LineTable))
    table = pilot.app.screen.query_one(LineTable)
    await until(pilot, lambda: table.rows is not None)
    await settle(pilot)
    return table


def console_of(pilot: Pilot[None]) -> ConsoleApp:
    return cast("ConsoleApp", pilot.app)


def status(pilot: Pilot[None]) -> Status:
    return pilot.app.screen_stack[0].query_one(StatusBar).status


def forget_flash(pilot: Pilot[None]) -> None:
    """Take away what the status line says, before something is done that is to be told there.

    Else a wait for it could be met by what was said before.
    """
    console_of(pilot).flash("")


def text_of(pilot: Pilot[None], selector: str) -> str:
    return str(pilot.app.screen.query_one(selector, Static).render())


def line_with(pilot: Pilot[None], *words: str) -> str:
    """The first line on the screen that has all of these words."""
    lines = screen_text(pilot).splitlines()
    return next(line for line in lines if all(word in line for word in words))


def alarms_of(pilot: Pilot[None]) -> str:
    """What is told below the title; empty where nothing is."""
    lines = [line for line in pilot.app.screen.query(AlarmLine) if line.display]
    return str(lines[0].render()) if lines else ""


def screen_text(pilot: Pilot[None]) -> str:
    """All the characters on the screen, line by line."""
    width, height = pilot.app.size
    lines = pilot.app.screen._compositor.render_strips()
    assert len(lines) == height
    return "\n".join(line.text[:width].rstrip() for line in lines)
