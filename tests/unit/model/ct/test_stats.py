from __future__ import annotations

from dataclasses import replace

from ctconsole.model.ct.layout import IpProtocol
from ctconsole.model.ct.stats import Kinds, stats_of
from ctconsole.model.ct.table import Direction
from ctconsole.model.ct.tops import tops_of
from tests.support import captures
from tests.support.ct_tables import Entry, ct_table

ESTABLISHED = Entry()
CLOSING = Entry(source="10.0.1.2:1", left=8, flags=0x11)
EXPIRED = Entry(source="10.0.1.3:1", left=-5)
UNANSWERED = Entry(source="10.0.1.4:1", left=55, flags=0, rx=None, tx=3)
DNS_ASKED = Entry(source="10.0.1.5:1", protocol=IpProtocol.UDP, left=50, rx=None, tx=10)


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
    assert list(table.ends.source[tops.sources[0].row]) == [10, 0, 9, 9]
    assert tops.sources[0].bytes == 9_050
    assert (tops.destinations[0].entries, tops.destinations[0].alive) == (5, 5)
    [web] = tops.services
    assert table.ends.destination_port[web.row] == 80
    assert table.bytes[tops.flows[0]] == 9_000


def test_ipv6_addresses_are_told_apart_by_all_of_their_bytes() -> None:
    near = [Entry(source=f"[fd00::{n}]:1", destination="[fd00::ff]:80") for n in (1, 1, 2)]
    far = Entry(source="[fd01::1]:1", destination="[fd00::ff]:80")
    assert [top.entries for top in tops_of(ct_table(*near, far)).sources] == [2, 1, 1]


def test_seconds_are_seconds_whatever_the_entries_are_stamped_in() -> None:
    jiffies = replace(ct_table(Entry(rx=1000, tx=125)), hertz=1000)
    assert jiffies.idle[0] == 32
