"""Groups of entries: each held against a count of the rows one by one."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from dataclasses import fields, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.ct.changes import KeyedTable, changes_between
from ctconsole.model.ct.query import Query
from ctconsole.model.ct.table import State
from ctconsole.model.groupings import Grouping, why_none
from ctconsole.model.names import Names
from ctconsole.model.talkers import EntryGroup, Moved, Ranking, talkers
from tests.support.fakes import CT4, EPOCH, FakeSource, random_table

if TYPE_CHECKING:
    from ctconsole.model.ct.table import CtTable

MB = 1_000_000
POD = bytes((10, 244, 1, 17))
NAMES = Names(endpoints={POD: "shop/web", bytes((10, 244, 1, 40)): "shop/api"})


def whole() -> CtTable:
    return random_table(FakeSource().rows[CT4].info, 3000)


def later(table: CtTable) -> tuple[CtTable, Moved]:
    """Two seconds on: 300 entries gone, 100 new ones of one source, and the rest has counted."""
    taken = table.take(np.concatenate([np.arange(300, len(table)), np.arange(100)]))
    keys, values = taken.keys, taken.values
    keys["daddr"][-100:] = keys["saddr"][-100:] = (10, 99, 0, 1)
    values["tx_packets"] += 7
    values["tx_bytes"] += 700
    newer = replace(table, keys=keys, values=values, taken_at=EPOCH + 2)
    changes = changes_between(KeyedTable(table), KeyedTable(newer))
    assert changes
    return newer, Moved(table, changes)


def packed(who: str) -> bytes:
    return ip_address(who).packed


def by_key(found: tuple[EntryGroup, ...]) -> dict[str, EntryGroup]:
    return {one.who: one for one in found}


@pytest.mark.parametrize("grouping", Grouping)
def test_the_filter_of_a_group_shows_its_entries(grouping: Grouping) -> None:
    table = whole()
    found = talkers(table, grouping, Ranking.ENTRIES, 20, names=NAMES)
    assert found
    assert [one.entries for one in found] == sorted((one.entries for one in found), reverse=True)
    for one in found[:5]:
        rows = Query.parse(one.filter).named(NAMES).rows(table)
        if grouping is Grouping.NAMESPACE:
            # A filter by pod asks of either end.
            rows &= np.isin(table.ends.source[:, 3], (17, 40)) & (table.ends.source[:, 2] == 1)
        assert one.entries == np.count_nonzero(rows), one
        assert one.alive == np.count_nonzero(table.alive & rows)
        assert one.volume == int(table.bytes[rows].sum())


def test_every_entry_is_in_one_group_of_sources() -> None:
    table = whole()
    found = talkers(table, Grouping.SOURCE, Ranking.ENTRIES, 10_000)
    counts = Counter(map(bytes, table.ends.source.tolist()))
    assert sorted(one.entries for one in found) == sorted(counts.values())
    assert len({one.key for one in found}) == len(found)


def test_the_largest_of_many_are_found_in_parts_and_in_little_memory() -> None:
    table = random_table(FakeSource().rows[CT4].info, 150_000)
    sources = table.ends.source
    counts = Counter(map(bytes, sources.tolist()))
    fresh = table.take(slice(None))
    tracemalloc.start()
    try:
        found = talkers(fresh, Grouping.SOURCE, Ranking.ENTRIES, 100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    largest = sorted(counts.values(), reverse=True)[:100]
    assert [one.entries for one in found] == largest
    assert all(one.entries == counts[packed(one.who)] for one in found)
    assert peak < 8 * MB  # 8 bytes a row, and parts
    # What is made of a whole table would live as long as it does.
    assert set(vars(fresh)) == {one.name for one in fields(fresh)}


def test_groups_as_large_are_ordered_by_entries_and_then_always_alike() -> None:
    newer, moved = later(whole())
    some, more = (
        talkers(newer, Grouping.DESTINATION, Ranking.NEW, most, moved=moved) for most in (5, 3000)
    )
    assert some == more[:5]
    ranks = [(one.rank(Ranking.NEW), one.entries) for one in more]
    assert ranks == sorted(ranks, reverse=True)


def test_what_moves_is_counted_by_group() -> None:
    newer, moved = later(whole())
    found = talkers(newer, Grouping.ADDRESS, Ranking.NEW, 5, moved=moved)
    assert found[0].who == "10.99.0.1"
    services = int(np.count_nonzero(newer.service[-100:]))
    assert found[0].new == (100 - services) / 2
    protocol = talkers(newer, Grouping.PROTOCOL, Ranking.PACKETS, 5, moved=moved)[0]
    assert protocol.packets == pytest.approx(7 * 2700 / 2)
    assert protocol.bytes == pytest.approx(700 * 2700 / 2)
    gone = moved.before.take(slice(0, 300))
    living = int(np.count_nonzero(gone.values["lifetime"] > newer.now))
    assert protocol.evicted == living / 2
    sources = talkers(newer, Grouping.SOURCE, Ranking.EVICTED, 10_000, moved=moved)
    rates = [one.evicted for one in sources if one.evicted is not None]
    assert rates == sorted(rates, reverse=True)
    assert sum(rates) <= living / 2


def test_without_a_sample_before_no_rate_is_known() -> None:
    [one] = talkers(whole(), Grouping.PROTOCOL, Ranking.BYTES, 5)
    assert (one.new, one.packets, one.bytes, one.evicted) == (None, None, None, None)
    assert one.rank(Ranking.BYTES) == -1


def test_only_what_passes_is_looked_at() -> None:
    table = whole()
    [one] = talkers(
        table,
        Grouping.PROTOCOL,
        Ranking.ENTRIES,
        5,
        passes=lambda part: part.state == State.ESTABLISHED,
    )
    assert one.entries == np.count_nonzero(table.state == State.ESTABLISHED)
    assert not talkers(
        table, Grouping.SOURCE, Ranking.ENTRIES, 5, passes=lambda part: part.state == 99
    )


def test_what_is_not_known_is_said() -> None:
    table = whole()
    assert not talkers(table, Grouping.POD, Ranking.ENTRIES, 5)
    assert "not known" in why_none(Grouping.POD, None)
    assert "No names of pods" in why_none(Grouping.NAMESPACE, Names())
    found = by_key(talkers(table, Grouping.POD, Ranking.ENTRIES, 5, names=NAMES))
    assert set(found) == {"shop/web", "shop/api"}
    uncounted = replace(table, counted=False)
    assert talkers(uncounted, Grouping.PROTOCOL, Ranking.ENTRIES, 1)[0].volume is None
