"""Whatever is missing in the new map, or left in the old one, is found by reading both."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.pacing import Restraint
from ctconsole.manager.bpfmap import open_or_create_map, pinned_id
from ctconsole.manager.resize import verify as verifying
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.recovery import Recovery
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.sides import Side
from ctconsole.manager.resize.verify import Rule, Verified, verify
from ctconsole.model.ct.joining import joining_of
from ctconsole.model.ct.layout import KEY4, CtFlag, Layout, TupleFlag, value_dtype
from ctconsole.model.spec import MapSpec, MapType
from tests.support.ct_entries import ct4_rows
from tests.support.resized import entries_at, only_pin, packets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.passes import Tally
    from ctconsole.manager.resize.journal import Journal
    from tests.support.resized import ProgramOwner

NOW = 10_000
SPEC = MapSpec("table", MapType.LRU_HASH, 14, 56, 8192)


@pytest.fixture
def maps(gate: Gate) -> Iterator[tuple[BpfMap, BpfMap]]:
    """Two maps with the same 2,000 entries, the first without a counter."""
    with mapwrite.create(gate, SPEC) as old, mapwrite.create(gate, SPEC) as new:
        keys, values = ct4_rows(2000, lifetime=NOW + 60)
        mapwrite.update_batch(gate, new, keys, values)
        bare = values.view(value_dtype(Layout.V1_9)).copy()
        bare["rx_packets"] = 0
        mapwrite.update_batch(gate, old, keys, bare.view(np.uint8))
        yield old, new


def compared(maps: tuple[BpfMap, BpfMap], *, kept: bool = False, **rule: int) -> Verified:
    old, new = maps
    return verify(old, new, joining_of(old.info, Layout.V1_9), Rule(**rule, kept=kept))


def key_of(number: int) -> bytes:
    return ct4_rows(1, lifetime=0, first=number)[0].tobytes()


def test_maps_with_the_same_keys_need_no_lookup(
    maps: tuple[BpfMap, BpfMap], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BpfMap, "present", lambda _, keys: np.zeros(len(keys), np.bool_))
    assert compared(maps) == Verified(entries=2000, there=2000)


@pytest.mark.parametrize("groups", [1, 1 << 10])
def test_each_entry_that_is_missing_is_found_among_others_that_came(
    gate: Gate, maps: tuple[BpfMap, BpfMap], groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many keys are in a group, even where as many came as went."""
    monkeypatch.setattr(verifying, "_LEAST_GROUPS", groups)
    monkeypatch.setattr(verifying, "_MOST_GROUPS", max(2, groups))
    for number in (0, 777, 1999):
        assert mapwrite.delete(gate, maps[1], key_of(number))
    mapwrite.update_batch(gate, maps[1], *ct4_rows(3, lifetime=NOW, first=9000))
    found = compared(maps, now=NOW)
    assert found == Verified(entries=2000, there=1997, missing=3)
    assert "1,997 of 2,000 entries were found" in found.sentence
    assert "3 are not there: deleted meanwhile by somebody else, or lost" in found.sentence


def test_a_counter_left_in_the_old_map_is_found(gate: Gate, maps: tuple[BpfMap, BpfMap]) -> None:
    for name in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes"):
        value = np.zeros(1, value_dtype(Layout.V1_9))
        value["lifetime"], value[name] = NOW + 60, 1
        mapwrite.update(gate, maps[0], key_of(5), value.tobytes())
        assert compared(maps) == Verified(entries=2000, there=2000, counting=1)
    assert "1 of them with a count that only the old one has" in compared(maps).sentence


@pytest.mark.parametrize("groups", [2, 1 << 10])
def test_where_the_old_map_keeps_its_counts_each_must_be_in_the_new_one(
    gate: Gate, maps: tuple[BpfMap, BpfMap], groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "_COUNT_GROUPS", groups)
    old, _ = maps
    keys, values = ct4_rows(2000, lifetime=NOW + 60)
    mapwrite.update_batch(gate, old, keys, values)
    assert compared(maps, kept=True).counting == 0
    assert compared(maps).counting == 2000
    value = values[:1].view(value_dtype(Layout.V1_9)).copy()
    value["rx_packets"] += 1
    mapwrite.update(gate, old, key_of(5), value.tobytes())
    assert compared(maps, kept=True) == Verified(entries=2000, there=2000, counting=1)
    assert mapwrite.delete(gate, maps[1], key_of(5))
    assert compared(maps, kept=True) == Verified(entries=2000, there=1999, missing=1)


def test_counts_of_what_stayed_behind_are_looked_for_nowhere(
    gate: Gate, maps: tuple[BpfMap, BpfMap], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of those in the same group would be looked up by itself."""
    monkeypatch.setattr(verifying, "_COUNT_GROUPS", 2)
    old, new = maps
    mapwrite.update_batch(gate, old, *ct4_rows(2000, lifetime=NOW + 60))
    for number in range(50):
        assert mapwrite.delete(gate, new, key_of(number))
    monkeypatch.setattr(BpfMap, "lookup", lambda *_: pytest.fail("one was looked up"))
    assert compared(maps, kept=True) == Verified(entries=2000, there=1950, missing=50)


def test_the_backend_of_a_service_is_no_counter(gate: Gate, maps: tuple[BpfMap, BpfMap]) -> None:
    keys = ct4_rows(1, lifetime=0, first=7000)[0].view(KEY4)
    keys["flags"] = TupleFlag.TUPLE_F_SERVICE
    value = np.zeros(1, value_dtype(Layout.V1_9))
    value["backend_id"] = 42
    for live in maps:
        mapwrite.update(gate, live, keys.tobytes(), value.tobytes())
    assert compared(maps).counting == 0
    value["rx_packets"] = 1
    mapwrite.update(gate, maps[0], keys.tobytes(), value.tobytes())
    assert compared(maps).counting == 1


def test_what_may_be_missing_is_told_by_its_reason(gate: Gate, maps: tuple[BpfMap, BpfMap]) -> None:
    old, _ = maps
    closing = np.zeros(1, value_dtype(Layout.V1_9))
    closing["lifetime"], closing["flags"] = NOW + 30, CtFlag.TX_CLOSING
    mapwrite.update(gate, old, key_of(8000), closing.tobytes())
    mapwrite.update_batch(gate, old, *ct4_rows(4, lifetime=NOW - 5, first=9000))
    mapwrite.update_batch(gate, old, *ct4_rows(2, lifetime=NOW + 9, first=9100))
    # All expired and the closing one stay behind; what has little time left is not there either.
    cut = 2 * (65536 + 30)
    found = compared(maps, cut=cut, since=NOW, now=NOW + 20)
    assert found == Verified(
        entries=2007, there=2000, dropped={"expired": 4, "closing": 1}, expired=2
    )
    assert "4 expired had been left behind; 1 closing had been" in found.sentence
    assert "2 had expired and are gone" in found.sentence
    found = compared(maps, cut=cut, since=NOW, now=NOW, full=2000)
    assert (found.no_room, found.missing, found.lost) == (2, 0, 2)
    assert "2 have no room in the new map, which filled up meanwhile" in found.sentence
    assert compared(maps, cut=cut, since=NOW, now=NOW, full=2001).missing == 2


@pytest.mark.parametrize(
    "spec",
    [
        MapSpec("six", MapType.LRU_HASH, 38, 56, 4096),
        MapSpec("nat", MapType.LRU_HASH, 14, 24, 4096),
        MapSpec("plain", MapType.HASH, 5, 6, 4096),
    ],
)
def test_maps_of_other_keys_and_values_are_compared_as_well(gate: Gate, spec: MapSpec) -> None:
    random = np.random.default_rng(3)
    keys = np.unique(random.integers(0, 256, (1000, spec.key_size), np.uint8), axis=0)
    values = random.integers(0, 256, (len(keys), spec.value_size), np.uint8)
    with mapwrite.create(gate, spec) as old, mapwrite.create(gate, spec) as new:
        for live in (old, new):
            mapwrite.update_batch(gate, live, keys, values)
        joining = joining_of(old.info, None)
        assert verify(old, new, joining, Rule()) == Verified(len(keys), len(keys))
        mapwrite.delete(gate, new, keys[0].tobytes())
        assert verify(old, new, joining, Rule()).missing == 1


def test_it_takes_no_more_memory_for_a_large_map(gate: Gate) -> None:
    """The sums grow with the entries up to 16 MiB; of the entries a part is read at a time."""
    peaks = []
    for entries in (50_000, 300_000):
        spec = replace(SPEC, max_entries=entries * 5 // 4)
        with mapwrite.create(gate, spec) as old, mapwrite.create(gate, spec) as new:
            keys, values = ct4_rows(entries, lifetime=NOW)
            mapwrite.update_batch(gate, old, keys, values)
            mapwrite.update_batch(gate, new, keys[500:], values[500:])
            tracemalloc.start()
            try:
                assert verify(old, new, joining_of(old.info, None), Rule()).missing == 500
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert peaks[1] < peaks[0] + 6_000_000 < 24_000_000
    assert verifying._Groups(16_000_000)._sums.nbytes == 1 << 24


def test_it_lets_others_have_the_cpu_after_every_part(
    maps: tuple[BpfMap, BpfMap], monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[int] = []

    def pause(_: Restraint, used: float, done: int) -> float:
        rests.append(done)
        return used * 0

    monkeypatch.setattr(Restraint, "pause", pause)
    monkeypatch.setattr(verifying, "_CHUNK", 500)
    assert compared(maps).there == 2000
    assert len(rests) >= 2 * 4
    assert [done for done in rests if done == 2000] == [2000, 2000]


def deleting(gate: Gate, *numbers: int) -> Callable[[Side], Tally]:
    """`Side.finish`, after which these entries are missing in the new map."""
    finish = Side.finish

    def wrong(side: Side) -> Tally:
        found = finish(side)
        for number in numbers:
            mapwrite.delete(gate, side.new, key_of(number))
        return found

    return wrong


def test_a_resize_says_what_it_verified(gate: Gate, pin: Path, journal: Journal) -> None:
    report = resize(gate, plan_resize({pin: MapWish(4096)}), None, journal)
    assert report.maps[0].verified == Verified(entries=1100, there=1100)
    assert "verify" in report.stages
    assert any(row.label == "verified" and "1,100 of 1,100" in row.text for row in report.rows)


def test_an_entry_that_is_not_in_the_new_map_is_told(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs may have deleted it, as far as anybody knows."""
    monkeypatch.setattr(Side, "finish", deleting(gate, 3, 4))
    report = resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal)
    report.check()
    assert report.maps[0].verified == Verified(entries=1100, there=1098, missing=2)
    assert report.sentence.endswith("1,100 entries carried, 2 not found again")


def test_where_programs_delete_none_a_missing_entry_leads_back(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, old = entries_at(pin), pinned_id(pin)
    plan = plan_resize({pin: MapWish(4096)})
    with monkeypatch.context() as patch:
        patch.setattr(Side, "finish", deleting(gate, 3))

        def once(side: Side) -> Tally:
            patch.undo()
            return deleting(gate, 3)(side)

        patch.setattr(Side, "finish", once)
        report = resize(gate, plan, owner, journal, keeping=True)
    assert "1 of 1,100 entries of cilium_ct4_global are not in the new map" in report.failure
    assert "Every program uses the old map, which is pinned again" in report.failure
    assert pinned_id(pin) == old
    after = entries_at(pin)
    assert set(after) == set(before)
    # The old map has kept its counts.
    assert packets(after) == packets(before)
    assert only_pin(pin)
    assert journal.read() is None


def test_a_counter_that_is_left_is_moved_once_more(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, finish = entries_at(pin), Side.finish
    value = np.zeros(1, value_dtype(Layout.V1_9))
    value["lifetime"], value["rx_packets"] = ktime() + 1000, 11

    def leave_one(side: Side) -> Tally:
        found = finish(side)
        mapwrite.update(gate, side.old, key_of(3), value.tobytes())
        monkeypatch.setattr(Side, "finish", finish)
        return found

    monkeypatch.setattr(Side, "finish", leave_one)
    resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal).check()
    assert packets(entries_at(pin)) == packets(before) + 11


def test_counters_that_keep_coming_are_told_and_nothing_is_let_go_of(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Side.finish
    value = np.zeros(1, value_dtype(Layout.V1_9))
    value["lifetime"], value["rx_packets"] = ktime() + 1000, 1

    def leave_one(side: Side) -> Tally:
        found = finish(side)
        mapwrite.update(gate, side.old, key_of(3), value.tobytes())
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Side, "finish", leave_one)
        report = resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal)
    assert "Counters keep coming" in report.failure
    assert not only_pin(pin)
    recovery = Recovery(gate, journal, lambda _: None)
    recovery.prepare()
    ended = recovery.finish()
    assert ended
    assert ended.left == ()
    assert only_pin(pin)


def test_a_resize_that_was_cut_off_says_what_is_missing(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> Tally:
        raise CtconsoleError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Side, "finish", killed)
        assert resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal).failure
    monkeypatch.setattr(Side, "finish", deleting(gate, 5))
    recovery = Recovery(gate, journal, lambda _: None)
    recovery.prepare()
    ended = recovery.finish()
    assert ended
    assert "1,099 of 1,100 entries were found" in ended.sentence
    assert "1 are not there" in ended.sentence


def test_the_old_map_is_not_made_to_evict_on_the_way_back(
    gate: Gate, bpffs: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was full: what came meanwhile has no room in it, and that is said."""
    pin = bpffs / "cilium_ct4_global"
    with open_or_create_map(gate, pin, replace(SPEC, max_entries=1024)).map as old:
        mapwrite.update_batch(gate, old, *ct4_rows(1024, lifetime=ktime() + 1000))
        before = set(entries_at(pin))

        def fail(side: Side) -> Tally:
            """What came to the new map: some over already, and 200 that live."""
            monkeypatch.undo()
            for number, lifetime in ((100, 1), (200, ktime() + 500)):
                rows = ct4_rows(number, lifetime=lifetime, first=20_000 + number)
                mapwrite.update_batch(gate, side.new, *rows)
            found = side.finish()
            mapwrite.delete(gate, side.new, min(before))
            return found

        monkeypatch.setattr(Side, "finish", fail)
        plan = plan_resize({pin: MapWish(4096)})
        report = resize(gate, plan, None, journal, keeping=True)
        assert pinned_id(pin) == old.info.id
    assert set(entries_at(pin)) == before
    assert "200 entries that came to cilium_ct4_global meanwhile have no room" in report.failure
    assert only_pin(pin)


@pytest.mark.parametrize("keeping", [True, False])
def test_a_new_map_that_fills_up_meanwhile_is_not_made_to_evict_either(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, *, keeping: bool
) -> None:
    """What has no room is told; where no entry may be missing it leads back."""
    before, old = set(entries_at(pin)), pinned_id(pin)
    # Room for 1,280, and 128 of it in reserve; 400 come.
    plan = plan_resize({pin: MapWish(1536)})
    assert not plan.maps[0].dropped

    def flood(step: int) -> None:
        if step == 1 and owner.begun == 1:
            with BpfMap.from_id(old) as live:
                rows = ct4_rows(400, lifetime=ktime() + 500, first=20_000)
                mapwrite.update_batch(gate, live, *rows)

    owner.on_step = flood
    report = resize(gate, plan, owner, journal, keeping=keeping)
    assert before <= set(entries_at(pin))
    if keeping:
        assert "220 have no room in the new map" in report.failure
        assert (pinned_id(pin), len(entries_at(pin))) == (old, 1500)
    else:
        report.check()
        assert report.maps[0].verified
        assert report.maps[0].verified.no_room == 220
        assert report.sentence.endswith("220 not found again")
