"""A console that is used for hours; ``make bench`` does the same for 10,000 samples."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import ref

from tests.support.fakes import CT4, EPOCH, FakeSource, random_table
from tests.support.pilots import console_of, first_sample, resample, settle
from tests.support.soaking import KEYS, TYPED, soak

if TYPE_CHECKING:
    from weakref import ReferenceType

    from ctconsole.model.ct.table import CtTable
    from ctconsole.ui.app import ConsoleApp


async def test_a_console_in_use_keeps_no_table_loses_no_thread_and_no_worker_fails() -> None:
    found = await soak(2 * TYPED * len(KEYS))
    assert found.troubles == set()
    assert found.threads == set()
    # The newest, the one before, and what a view in which somebody reads holds on to: all keys
    # were pressed in each half.
    assert max(found.tables[5:]) <= max(found.tables[:5])


async def test_no_view_that_is_left_keeps_the_table_it_was_left_with(
    console: ConsoleApp, source: FakeSource
) -> None:
    seen: list[ReferenceType[CtTable]] = []
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        for number, key in enumerate("2362536"):
            await pilot.press(key)
            info = source.rows[CT4].info
            table = random_table(info, 300, seed=number)
            source.tables[CT4] = replace(table, taken_at=EPOCH + 10 * number)
            await resample(pilot)
            await settle(pilot)
            shown = console_of(pilot).sample.table
            if shown is not None:
                seen.append(ref(shown))
            del table, shown
        await pilot.press("1")
        await resample(pilot)
        await settle(pilot)
        gc.collect()
        alive = {id(one()) for one in seen if one() is not None}
        # What one can go back to is told by what differs from the newest.
        assert len(seen) > 3
        assert len(alive) <= 1
