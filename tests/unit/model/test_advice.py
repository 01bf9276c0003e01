"""The size a table should have."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.advice import AdviceVerdict, Watched, advise, fits, memory_told
from ctconsole.model.fill import full_in, growth
from ctconsole.model.spec import MapInfo, MapType

if TYPE_CHECKING:
    from ctconsole.model.fill import Trend

NOW = 1_800_000_000.0
DAY = 86_400.0
CT4 = MapInfo(
    7,
    "cilium_ct4_glob",
    MapType.LRU_HASH,
    14,
    56,
    524_288,
    memlock=75_000_000,
    pin=PurePath("/sys/fs/bpf/tc/globals/cilium_ct4_global"),
)


def grown(*counts: int, every: float = 60.0) -> Trend:
    """Counts up to now, one a minute."""
    first = NOW - every * (len(counts) - 1)
    return tuple((first + every * number, count) for number, count in enumerate(counts))


def test_the_rate_counts_from_the_last_drop_on() -> None:
    steady = tuple((float(t), 1000 + 50 * t) for t in range(10))
    assert growth(steady) == pytest.approx((50, 9))
    recreated = ((0.0, 90_000), (2.0, 91_000), (4.0, 0), (6.0, 400), (8.0, 800))
    assert growth(recreated) == pytest.approx((200, 4))
    assert growth(((0.0, 5),)) is None
    assert growth(()) is None


def test_the_rate_is_that_of_the_window_or_of_the_count_before_it() -> None:
    trend = ((0.0, 0), (1000.0, 10), (1010.0, 110), (1020.0, 210))
    assert growth(trend, 30.0) == pytest.approx((10, 20))
    assert growth(trend[:2], 30.0) == pytest.approx((0.01, 1000))


def test_what_does_not_grow_is_never_full() -> None:
    assert full_in(100, 2.0) == 50
    assert full_in(100, 0.0) is None
    assert full_in(100, None) is None


def test_a_table_that_fills_up_is_told_when_and_what_it_needs() -> None:
    found = advise(Watched(CT4, grown(440_133, 455_133, 470_133), cpus=2, memory_free=1 << 30))
    assert found.verdict is AdviceVerdict.ENLARGE
    # As many again as came in the two minutes, at 70 %: 714,476, and the next power of two.
    assert found.wanted == 1 << 20
    assert found.grown == pytest.approx((250, 120))
    # Room for 524,032: an LRU table of two CPUs evicts for its last 256 nodes.
    assert found.full_in == pytest.approx((524_032 - 470_133) / 250)
    assert found.line == (
        "cilium_ct4_global should have 1,048,576 entries: 89.7% full, and full in 3m 36s at this "
        "rate"
    )
    assert found.memory_wanted == pytest.approx(136 * (1 << 20), rel=0.02)
    assert memory_told(found) == ("71.5 MiB -> 136.0 MiB, both together 207.5 MiB, free 1.0 GiB")
    assert fits(found)


def test_a_new_map_that_has_no_room_is_told() -> None:
    found = advise(Watched(CT4, grown(500_000), cpus=2, memory_free=1 << 20))
    assert fits(found) is False
    assert memory_told(found).endswith("free 1.0 MiB: the new one does not fit")


def test_a_table_with_room_stays_as_it_is() -> None:
    found = advise(Watched(CT4, grown(100_000, 100_000), cpus=2))
    assert (found.verdict, found.wanted, found.full) == (AdviceVerdict.KEEP, 524_288, False)
    assert found.line == "cilium_ct4_global: 19.1% full"


def test_the_worst_moment_counts_not_the_present() -> None:
    found = advise(Watched(CT4, grown(490_000, 1000, 1000), cpus=2))
    assert found.peak == (NOW - 120, 490_000)
    assert found.wanted == 1 << 20
    assert "Counted for 2m: at most 490,000 entries, 2m ago" in found.reasons


def test_a_full_table_that_throws_out_is_told_so_and_sized_for_what_it_would_hold() -> None:
    full = Watched(CT4, grown(524_100, 524_200), cpus=2, came=300.0, evicted=150.0)
    found = advise(full)
    assert found.full
    assert found.full_in is None
    # Half of what comes stays: twice as many would, which fill a size of 2M to half.
    assert found.wanted == 1 << 21
    assert found.state == "full: it throws entries out, about 150/s"
    assert "It throws out about 150 entries a second of 300 that come" in found.reasons


def test_a_full_hash_refuses() -> None:
    services = MapInfo(9, "cilium_lb4_serv", MapType.HASH, 12, 12, 65_536)
    found = advise(Watched(services, grown(65_536), cpus=2))
    assert found.state == "full: it refuses new entries"


def test_a_smaller_size_is_thought_of_after_a_day_only() -> None:
    quiet = grown(10_000, 9000, every=DAY / 2)
    assert advise(Watched(CT4, quiet, cpus=2)).verdict is AdviceVerdict.KEEP
    watched = Watched(CT4, grown(10_000, 9000, 9500, every=DAY / 2), cpus=2)
    found = advise(watched)
    assert (found.verdict, found.wanted) == (AdviceVerdict.SHRINK, 16_384)


def test_growth_is_not_carried_further_than_it_was_seen() -> None:
    # 1,000 in a minute would be 1.4 million in a day; one more minute of it is all that is held.
    found = advise(Watched(CT4, grown(200_000, 201_000), cpus=2))
    assert found.verdict is AdviceVerdict.KEEP


def test_what_has_expired_calls_for_the_collector() -> None:
    found = advise(Watched(CT4, grown(500_000), cpus=2, expired=400_000))
    assert any("400,000 of its 500,000 entries have expired" in text for text in found.reasons)


def test_what_is_not_known_is_said() -> None:
    found = advise(Watched(CT4, grown(524_288), cpus=0))
    assert found.unknown == (
        "How it grows is not known: only one count of it was found",
        "How much it throws out is not known: nobody counts what comes and goes",
        "The machine's CPUs are not known: sizes and memory are for one",
        "Free memory is not known",
    )
    nameless = MapInfo(1, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 0)
    found = advise(Watched(nameless, grown(5), cpus=0))
    assert (found.verdict, found.wanted, found.memory_now) == (AdviceVerdict.UNKNOWN, None, None)
    assert found.unknown == ("Its maximum is not known: the files have its entries, not its size",)
