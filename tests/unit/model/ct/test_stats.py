from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctconsole.model.ct import tops as tops_module
from ctconsole.model.ct.layout import KEY4, IpProtocol, Layout, value_dtype
from ctconsole.model.ct.stats import EDGES, Kinds, StatsTally, stats_of
from ctconsole.model.ct.table import CtTable, Direction
from ctconsole.model.ct.tops import TOP, Tops, TopTally
from ctconsole.model.spec import MapInfo, MapType
from tests.support import captures
from tests.support.ct_tables import NOW, Entry, ct_table

ESTABLISHED = Entry()
CLOSING = Entry(source="10.0.1.2:1", left=8, flags=0x11)
EXPIRED = Entry(source="10.0.1.3:1", left=-5)
UNANSWERED = Entry(source="10.0.1.4:1", left=55, flags=0, rx=None, tx=3)
DNS_ASKED = Entry(source="10.0.1.5:1", protocol=IpProtocol.UDP, left=50, rx=None, tx=10)


def tops_of(table: CtTable, most: int = TOP) -> Tops:
    tally = TopTally()
    for part in table.parts():
        tally.add(part)
    return tally.tops(most)


def test_living_and_dead_are_counted_apart() -> None:
    stats = stats_of(ct_table(ESTABLISHED, CLOSING, EXPIRED, UNANSWERED, DNS_ASKED))
    assert stats.kinds == Kinds(
        entries=5, alive=4, expired=1, closing=1, established=1, opening=1, one_way=1
    )
    assert stats.kinds.unanswered == 2
    [tcp, udp] = stats.shares
    assert (tcp.protocol, tcp.direction, tcp.kinds.entries) == (6, Direction.OUT, 4)
    assert (udp.protocol, udp.kinds.one_way) == (17, 1)


def test_directions_and_related_entries_are_told_apart() -> None:
    inward = Entry(tuple_flags=1)
    error = Entry(protocol=IpProtocol.ICMP, tuple_flags=2)
    service = Entry(destination="10.96.0.1:80", tuple_flags=4, rev_nat=1, backend=3)
    stats = stats_of(ct_table(inward, error, service))
    assert {(share.protocol, share.direction) for share in stats.shares} == {
        (6, Direction.IN),
        (1, Direction.OUT),
        (6, Direction.SERVICE),
    }
    assert stats.related == 1


def test_every_entry_is_in_one_bar() -> None:
    seconds = (-5, 0, 9, 10, 300, 7199, 21_600)
    table = ct_table(*(Entry(source=f"10.0.1.{n}:1", left=s) for n, s in enumerate(seconds)))
    left = stats_of(table).left
    assert [(bar.low, bar.high, bar.entries) for bar in left] == [
        (None, 0, 1),
        (0, 10, 2),
        (10, 60, 1),
        (60, 300, 0),
        (300, 1800, 1),
        (1800, 7200, 1),
        (7200, 21600, 0),
        (21600, None, 1),
    ]


def test_idle_counts_from_the_newer_report_of_living_entries() -> None:
    idle = stats_of(ct_table(Entry(rx=100, tx=5), Entry(rx=3, tx=3, left=-1))).idle
    assert [(bar.low, bar.entries) for bar in idle if bar.entries] == [(0, 1)]


def test_without_a_clock_nothing_is_called_expired() -> None:
    [table] = [t for t in captures.tables("real-1.18-a") if t.info.label == "cilium_ct4_global"]
    stats = stats_of(table)
    assert not stats.clock
    assert (stats.kinds.entries, stats.kinds.expired) == (len(table), 0)
    assert stats.left == ()


def test_an_empty_table_has_nothing() -> None:
    stats = stats_of(ct_table())
    assert (stats.kinds.entries, stats.shares) == (0, ())
    assert tops_of(ct_table()).sources == ()


def test_tops_name_those_with_most_entries() -> None:
    noisy = [Entry(source=f"10.0.9.9:{port}", bytes=10) for port in range(1000, 1005)]
    quiet = [Entry(source=f"10.0.1.{n}:1", destination=f"10.0.3.{n}:53") for n in range(4)]
    service = Entry(source="10.0.9.9:1", destination="10.96.0.1:80", tuple_flags=4, bytes=9_000)
    table = ct_table(*quiet, *noisy, service)
    tops = tops_of(table, most=2)
    assert [top.entries for top in tops.sources] == [6, 1]
    assert list(tops.sources[0].address) == [10, 0, 9, 9]
    assert tops.sources[0].bytes == 9_050
    assert (tops.destinations[0].entries, tops.destinations[0].alive) == (5, 5)
    [web] = tops.services
    assert (web.port, web.bytes) == (80, 9_000)


def test_ipv6_addresses_are_told_apart_by_all_of_their_bytes() -> None:
    near = [Entry(source=f"[fd00::{n}]:1", destination="[fd00::ff]:80") for n in (1, 1, 2)]
    far = Entry(source="[fd01::1]:1", destination="[fd00::ff]:80")
    assert [top.entries for top in tops_of(ct_table(*near, far)).sources] == [2, 1, 1]


def test_seconds_are_seconds_whatever_the_entries_are_stamped_in() -> None:
    jiffies = replace(ct_table(Entry(rx=1000, tx=125)), hertz=1000)
    assert jiffies.idle[0] == 32


def busy_table(sources: int, entries: int, seed: int = 1) -> CtTable:
    """Entries of sources of which the first ones have the most."""
    random = np.random.default_rng(seed)
    keys = np.zeros(entries, KEY4)
    numbers = (sources * random.random(entries) ** 3).astype(">u4")
    keys["daddr"] = numbers.view(np.uint8).reshape(-1, 4)
    keys["dport"], keys["sport"] = random.integers(1, 1 << 16, (2, entries))
    keys["nexthdr"] = random.choice([6, 17], entries)
    keys["flags"] = random.choice([0, 1, 4], entries)
    values = np.zeros(entries, value_dtype(Layout.V1_18))
    values["lifetime"] = random.integers(0, 2 * NOW, entries)
    values["bytes"] = random.integers(0, 1000, entries)
    values["last_rx_report"] = random.integers(0, NOW, entries)
    raw = (keys.view(np.uint8).reshape(entries, -1), values.view(np.uint8).reshape(entries, -1))
    info = MapInfo(1, "cilium_ct4_global", MapType.LRU_HASH, 14, 56, entries)
    return CtTable.from_raw(info, Layout.V1_18, *raw, now=NOW)


def in_parts(table: CtTable, size: int) -> list[CtTable]:
    return [table.take(slice(start, start + size)) for start in range(0, len(table), size)]


@pytest.mark.parametrize("hertz", [0, 250])
def test_times_are_counted_as_the_seconds_of_each_entry_lie(hertz: int) -> None:
    rng = np.random.default_rng(7)
    table = replace(ct_table(*[Entry()] * 500), hertz=hertz, now=40_000)
    values = table.values.copy()
    for name in ("lifetime", "last_rx_report", "last_tx_report"):
        values[name] = rng.integers(0, 80_000, 500)
    table = replace(table, values=values)
    found = stats_of(table)
    for bars, seconds in ((found.left, table.remaining), (found.idle, table.idle[table.alive])):
        counts, _ = np.histogram(seconds, [-(1 << 40), *EDGES, 1 << 40])
        assert [bar.entries for bar in bars] == counts.tolist()


def test_a_table_in_parts_has_the_numbers_of_the_whole() -> None:
    table = busy_table(3000, 20_000)
    stats, tops = StatsTally(), TopTally()
    for part in in_parts(table, 777):
        stats.add(part)
        tops.add(part)
    assert stats.stats() == stats_of(table)
    assert [(one.address, one.entries) for one in tops.tops(9).sources] == [
        (one.address, one.entries) for one in tops_of(table, 9).sources
    ]
    assert tops.tops(9).missed == 0


def test_of_too_many_sources_those_named_are_exact_and_of_the_others_the_most_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = busy_table(60_000, 100_000)
    exact = {one.address: one for one in tops_of(table, 60_000).sources}
    monkeypatch.setattr(tops_module, "EXACT", 8_000)
    tally = TopTally()
    for part in in_parts(table, 2_000):
        tally.add(part)
    found = tally.tops(20)
    for one in found.sources:
        assert one == exact[one.address]
    named = {one.address for one in tally.tops(8_000).sources}
    unnamed = [one.entries for address, one in exact.items() if address not in named]
    assert max(unnamed) <= found.missed < min(one.entries for one in found.sources)
