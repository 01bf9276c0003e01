"""A console that is used for hours; ``make bench`` does the same for 10,000 samples."""

from __future__ import annotations

from tests.support.soaking import KEYS, soak


async def test_a_console_in_use_keeps_no_table_loses_no_thread_and_no_worker_fails() -> None:
    found = await soak(2 * len(KEYS))
    assert found.troubles == set()
    assert found.threads == set()
    # The newest, the one before, and those that the node in memory has of its other maps.
    assert max(found.tables[5:]) <= max(found.tables[1:5])
