"""Draw the pictures under ``screenshots/``: the same characters on every machine.

Everything shown comes from the fakes the console's tests use, with their seed and a clock that
stands still, so that a changed picture is a changed console.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from textual.widgets import Static  # noqa: E402

from ctconsole.ui.app import ConsoleApp  # noqa: E402 - found through the path set above
from ctconsole.ui.screens.flush import FlushScreen  # noqa: E402
from ctconsole.ui.screens.recreate import RecreateScreen  # noqa: E402
from ctconsole.ui.widgets.line_table import LineTable  # noqa: E402
from tests.support import split_brain  # noqa: E402
from tests.support.ct_tables import elsewhere  # noqa: E402
from tests.support.fake_actions import FakeActions  # noqa: E402
from tests.support.fakes import CT4, CT_ANY4, EPOCH, FakeSource  # noqa: E402
from tests.support.pilots import (  # noqa: E402
    first_sample,
    open_entries,
    resample,
    settle,
    until,
)

if TYPE_CHECKING:
    from textual.pilot import Pilot

Steps: TypeAlias = Callable[["Pilot[None]"], Awaitable[None]]

SIZE = (120, 36)
BEATS = 64
INTERVAL = 2.0


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


def prepared(*, split: bool = False) -> ConsoleApp:
    """A console that has been looking for two minutes: the table filled after the restart.

    Args:
        split: whether the programs still use the table from before.
    """
    clock = Clock(EPOCH - BEATS * INTERVAL)
    source = FakeSource(clock=clock, most_entries=500_000)
    for pin, row in source.rows.items():
        if row.is_conntrack:
            source.table(pin)
    source.uses = split_brain.uses(source) if split else ()
    app = ConsoleApp(
        source,
        FakeActions(source),
        interval=3600,
        clock=clock,
        translated=lambda: {14: elsewhere(source.table(CT4).key_rows[::40])},
    )
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
    for path, entries in finals.items():
        source.rows[path] = replace(source.rows[path], entries=entries)
    clock.now = EPOCH + 0.4
    return app


def _curve(final: int, beat: int) -> int:
    """How a table fills: fast at first, then ever slower; ``final`` at the end."""
    last = BEATS - BEATS // 2
    return int(final * (1 - (1 - beat / last) ** 2 * 0.98))


async def overview(pilot: Pilot[None]) -> None:
    """As it opens."""
    await first_sample(pilot)


async def entries(pilot: Pilot[None]) -> None:
    """A few rows down."""
    await open_entries(pilot)
    await pilot.press("down", "down", "down")


async def recreate(pilot: Pilot[None]) -> None:
    """Everything typed, nothing done yet."""
    await first_sample(pilot)
    await pilot.press("r")
    await until(pilot, lambda: isinstance(pilot.app.screen, RecreateScreen))
    await settle(pilot)
    await pilot.press("tab")
    await pilot.pause()
    await pilot.press(*CT4.name)
    await settle(pilot)


async def events(pilot: Pilot[None]) -> None:
    """The removal unfolded."""
    await first_sample(pilot)
    await pilot.press("4")
    await pilot.pause()
    await pilot.press("down", "down", "down", "enter")


async def filtered(pilot: Pilot[None]) -> None:
    """A filter in force, with the count of what it lets through."""
    await open_entries(pilot)
    await pilot.press("slash", *"dport:443,8080 !closing left>1h")
    await settle(pilot)


async def top(pilot: Pilot[None]) -> None:
    """Who fills the table."""
    await first_sample(pilot)
    await pilot.press("3")
    await resample(pilot)
    table = pilot.app.screen.query_one(LineTable)
    await until(pilot, lambda: table.rows is not None and len(table.rows))


async def forecast(pilot: Pilot[None]) -> None:
    """What the loss of the table would do."""
    await open_entries(pilot)
    await pilot.press("f")
    facts = pilot.app.screen.query_one("#facts", Static)
    await until(pilot, lambda: "recreate" in str(facts.render()) or facts.size.height > 1)
    await settle(pilot)


async def flush(pilot: Pilot[None]) -> None:
    """What breaks if all of this is deleted."""
    await open_entries(pilot)
    await pilot.press("slash", *"alive", "enter", "D")
    screen = pilot.app.screen
    await until(pilot, lambda: isinstance(screen, FlushScreen) and screen.plan)
    await settle(pilot)


async def datapath(pilot: Pilot[None]) -> None:
    """A pinned table that nobody uses."""
    await first_sample(pilot)
    await pilot.press("5")
    await pilot.pause()


PICTURES: tuple[tuple[str, str, Steps], ...] = (
    ("overview", "night", overview),
    ("overview-light", "paper", overview),
    ("entries", "night", entries),
    ("recreate", "night", recreate),
    ("events", "night", events),
    ("filter", "night", filtered),
    ("top", "night", top),
    ("forecast", "night", forecast),
    ("flush", "night", flush),
    ("datapath", "night", datapath),
)


async def draw(name: str, theme: str, steps: Steps) -> Path:
    """Draw one picture."""
    app = prepared(split=steps is datapath)
    async with app.run_test(size=SIZE) as pilot:
        app.theme = theme
        await steps(pilot)
        # The cost of a sample is the only thing measured; it must not differ between two runs.
        app.sample = replace(app.sample, cost_seconds=0.038)
        app.refresh_status()
        await pilot.pause()
        svg = app.export_screenshot(title="ctconsole")
    path = ROOT / "screenshots" / f"{name}.svg"
    path.parent.mkdir(exist_ok=True)
    # The class prefix is a hash that contains the process's addresses.
    path.write_text(re.sub(r"terminal-\d+", f"terminal-{name}", svg), encoding="utf-8")
    return path


def main() -> None:
    """Draw all pictures."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    for name, theme, steps in PICTURES:
        print(asyncio.run(draw(name, theme, steps)).relative_to(ROOT))


if __name__ == "__main__":
    main()
