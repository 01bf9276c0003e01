"""A console that is used for hours, in little time: many samples of tables that change."""

from __future__ import annotations

import ctypes
import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from unittest.mock import patch

import numpy as np

from ctconsole import loops
from ctconsole.model.ct.table import CtTable, joined
from ctconsole.observe import sampler
from ctconsole.ui.app import ConsoleApp
from tests.support.fakes import CT4, EPOCH, FakeSource, random_table
from tests.support.pilots import first_sample, hurried, settle, status

if TYPE_CHECKING:
    from textual.pilot import Pilot

ENTRIES: Final = 3000
STEP: Final = 2.0
"""Seconds that pass between two samples."""

KEEP: Final = 60.0
"""Seconds that can be gone back to, so that what is kept is soon as much as it will ever be."""

TYPED: Final = 3
"""Samples for each thing that is typed, after which a pilot waits longer than a sample takes."""

KEYS: Final = (
    *(("2",), ("pagedown",), ("greater_than_sign",), ("s", "escape"), ("enter",), ("escape",)),
    *(("slash", *"dport:443", "enter"), ("pagedown",), ("escape",), ("right",), ("left",)),
    *(("3",), ("4",), ("5",), ("1",), ("left_square_bracket",), ("space",), ("i",), ("escape",)),
    *(("question_mark",), ("escape",), ("2",), ("end",), ("home",), ("n",), ("n",)),
)
"""What is pressed between two samples, one after the other, again and again."""


class Soaked(NamedTuple):
    """What was found.

    Attributes:
        memory: bytes resident at the end of each tenth, the first of which is warming up.
        threads: names of threads at the end that were not there at the beginning.
        troubles: what the status line told of workers and loops that failed.
        tables: how many tables of entries there were at the end of each tenth.
    """

    memory: list[int]
    threads: set[str]
    troubles: set[str]
    tables: list[int]

    @property
    def growth(self) -> float:
        """The most in the last half over the most in the first: 0.05 is 5 %."""
        half = len(self.memory) // 2
        return max(self.memory[half:]) / max(self.memory[:half]) - 1


async def soak(samples: int) -> Soaked:
    """Use a console for so many samples, at least 20."""
    time, memory, tables, troubles = EPOCH, [], [], set()

    def clock() -> float:
        return time

    source = FakeSource(clock=clock)
    console = ConsoleApp(source, interval=3600, clock=clock, keep=KEEP)
    before = {thread.name for thread in threading.enumerate()}
    # Between two tables it rests until what shows the one lets go of it; here that is at once.
    with patch.object(sampler, "_LOOK_AGAIN", 0.002):
        async with console.run_test(size=(120, 40)) as pilot:
            await first_sample(pilot)
            for number in range(samples):
                time += STEP
                source.tables[CT4] = _changed(source, number, time)
                await hurried(pilot)
                if number % TYPED == 0:
                    await _press(pilot, number // TYPED)
                troubles |= {status(pilot).error, *map(str, loops.troubles())} - {""}
                if (number + 1) % max(1, samples // 10) == 0:
                    await settle(pilot)
                    memory.append(_resident())
                    tables.append(sum(isinstance(one, CtTable) for one in gc.get_objects()))
    # Textual's own workers end with it, by and by.
    for thread in threading.enumerate():
        if thread.name not in before and not thread.daemon:
            thread.join(10)
    left = {thread.name for thread in threading.enumerate() if thread.is_alive()} - before
    return Soaked(
        memory, {name for name in left if not name.startswith("asyncio_")}, troubles, tables
    )


async def _press(pilot: Pilot[None], number: int) -> None:
    await pilot.press(*KEYS[number % len(KEYS)])


def _changed(source: FakeSource, number: int, time: float) -> CtTable:
    """Another tenth of the table at every sample; now and then all of it, or another size."""
    info = source.rows[CT4].info
    if number % 50 == 0:
        return random_table(info, ENTRIES + number % 7 * 100, seed=number, taken_at=time)
    table = source.tables[CT4]
    rows = np.arange(len(table))
    stay = table.take(rows[rows % 10 != number % 10])
    come = random_table(info, len(table) - len(stay), seed=number, taken_at=time)
    return replace(joined([stay, come]), taken_at=time)


def _resident() -> int:
    """Bytes in memory, without what the C library keeps for later."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096
