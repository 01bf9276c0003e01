from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.kernel import slices
from ctconsole.kernel.mapwrite import create, delete, delete_batch, update_batch
from ctconsole.kernel.passes import RANK_SECONDS, Passes, Tally
from ctconsole.kernel.slices import SlicedPasses, known_map
from ctconsole.model.ct.joining import joining_of
from ctconsole.model.ct.layout import KEY4, KEY6, CtFlag, Layout, TupleFlag, value_dtype
from ctconsole.model.spec import MapFlag, MapSpec, MapType
from tests.support.counting_more import count_more
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

NOW = 10_000


class Pair:
    """Two maps, and what is known of the nodes of the first.

    Args:
        gate: the write gate.
        entries: capacity of each.
        key: bytes of a key.
        flags: of the new map.
        layout: of the entries.
    """

    def __init__(
        self,
        gate: Gate,
        entries: tuple[int, int] = (4096, 8192),
        *,
        key: int = 14,
        flags: int = 0,
        layout: Layout | None = Layout.V1_9,
        value: int = 56,
    ) -> None:
        self._opened = ExitStack()
        self._gate = gate
        self.old, self.new = (
            self._opened.enter_context(
                create(gate, MapSpec("table", MapType.LRU_HASH, key, value, number, flag))
            )
            for number, flag in zip(entries, (0, flags), strict=True)
        )
        self._joining = joining_of(self.old.info, layout)
        known = known_map(gate, self.old.info, self.new.info, self._joining)
        assert known
        self._known = self._opened.enter_context(known)

    def passes(self) -> SlicedPasses:
        """Those into the new map, as by a process that has just started."""
        return self._opened.enter_context(
            SlicedPasses(self._gate, self.old, self.new, self._joining, known=self._known)
        )

    def bare(self) -> SlicedPasses:
        """Those into a new map that programs use already."""
        return self._opened.enter_context(
            SlicedPasses(
                self._gate, self.old, self.new, self._joining, known=self._known, bare=True
            )
        )

    def back(self) -> SlicedPasses:
        """Those the other way."""
        return self._opened.enter_context(
            SlicedPasses(
                self._gate, self.new, self.old, self._joining, known=self._known, reverse=True
            )
        )

    def fill(self, number: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Entries for the old map, with 3 packets each."""
        keys, values = ct4_rows(number, lifetime=NOW + 60, first=first)
        update_batch(self._gate, self.old, keys, values)
        return keys, values

    def close(self) -> None:
        self._opened.close()


@pytest.fixture
def pair(gate: Gate) -> Iterator[Pair]:
    pair = Pair(gate)
    yield pair
    pair.close()


def entries_of(live: BpfMap) -> dict[bytes, bytes]:
    dump = live.read()
    return {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)}


def packets_of(live: BpfMap, key: np.ndarray, layout: Layout = Layout.V1_9) -> int:
    stored = live.lookup(key.tobytes())
    assert stored
    name = "rx_packets" if layout is Layout.V1_9 else "packets"
    return int(np.frombuffer(stored, value_dtype(layout))[name][0])


def test_a_seed_carries_everything_with_its_counts(pair: Pair) -> None:
    pair.fill(1000)
    before = entries_of(pair.old)
    tally = pair.passes().seed(fresh=True)
    assert tally == Tally(seen=1000, carried=1000)
    assert entries_of(pair.old) == entries_of(pair.new) == before


def test_what_either_side_counts_is_counted_once_however_often_it_is_moved(
    gate: Gate, pair: Pair
) -> None:
    keys, _ = pair.fill(500)
    run = pair.passes()
    run.seed(fresh=True)
    count_more(gate, pair.old, keys[:40], 5)
    count_more(gate, pair.new, keys[20:60], 100)
    # Programs may go on counting while it is done.
    assert run.settle().moved == 40
    count_more(gate, pair.old, keys[10:20], 7)
    found = run.settle()
    assert (found.moved, found.counting, found.is_even) == (10, 10, False)
    # Another process goes on with what is known.
    again = pair.passes().settle()
    assert again == Tally(seen=500, present=500)
    assert again.is_even
    counted = [packets_of(pair.new, key) for key in keys[[0, 10, 20, 40, 60]]]
    assert counted == [8, 15, 108, 103, 3]


def test_the_way_back_brings_what_the_new_map_has_more(gate: Gate, pair: Pair) -> None:
    keys, _ = pair.fill(500)
    pair.passes().seed(fresh=True)
    count_more(gate, pair.old, keys[:40], 5)
    pair.passes().settle()
    count_more(gate, pair.new, keys[20:60], 100)
    count_more(gate, pair.old, keys[30:50], 1)
    more, values = ct4_rows(10, lifetime=NOW + 60, first=9000)
    update_batch(gate, pair.new, more, values)
    assert pair.back().settle().moved == 40
    found = pair.back().settle()
    assert (found.carried, found.moved, found.is_even) == (0, 0, True)
    counted = [packets_of(pair.old, key) for key in keys[[0, 20, 30, 40, 50, 60]]]
    assert counted == [8, 108, 109, 104, 103, 3]
    assert {packets_of(pair.old, key) for key in more} == {3}
    assert len(entries_of(pair.old)) == 510


def test_into_a_map_in_use_counts_are_moved_when_all_are_and_only_then(
    gate: Gate, pair: Pair
) -> None:
    keys, values = pair.fill(500)
    # What a program has stored there stays, and so does what it has counted.
    update_batch(gate, pair.new, keys[:10], values[:10])
    run = pair.bare()
    assert run.seed(fresh=True) == Tally(seen=500, carried=490, present=10)
    assert {packets_of(pair.new, key) for key in keys[10:]} == {0}
    assert {packets_of(pair.new, key) for key in keys[:10]} == {3}
    count_more(gate, pair.new, keys[:20], 100)
    count_more(gate, pair.old, keys[15:30], 5)
    assert run.seed() == Tally(seen=500, present=500)
    assert packets_of(pair.new, keys[15]) == 100
    while not run.settle().is_even:
        pass
    counted = [packets_of(pair.new, key) for key in keys[[0, 10, 15, 20, 40]]]
    assert counted == [106, 103, 108, 8, 3]
    # An entry that comes when programs have left the old map goes over with what it counts.
    more, values = ct4_rows(1, lifetime=NOW + 60, first=9000)
    update_batch(gate, pair.old, more, values)
    assert run.settle().carried == 1
    assert packets_of(pair.new, more[0]) == 3


def test_it_stops_again_and_again_and_goes_on_where_it_was(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE", 0.0)
    pair.fill(3000)
    run = pair.passes()
    runs = []
    slice_of = SlicedPasses._run_slice  # what a slice does is looked at from without

    def counted(passes: SlicedPasses, program: str) -> None:
        runs.append(program)
        slice_of(passes, program)

    monkeypatch.setattr(SlicedPasses, "_run_slice", counted)
    assert run.seed(fresh=True) == Tally(seen=3000, carried=3000)
    assert len(runs) == 4096 // 32
    assert entries_of(pair.old) == entries_of(pair.new)


def test_a_table_may_have_more_nodes_than_a_loop_in_the_kernel(gate: Gate) -> None:
    pair = Pair(gate, ((1 << 23) + 128, 4096), layout=None, value=8)
    keys, values = ct4_rows(1000, lifetime=NOW + 60)
    update_batch(gate, pair.old, keys, values[:, :8].copy())
    assert pair.passes().seed() == Tally(seen=1000, carried=1000)
    assert entries_of(pair.old) == entries_of(pair.new)
    pair.close()


def test_what_went_is_not_carried_however_it_was_deleted(gate: Gate, pair: Pair) -> None:
    keys, _ = pair.fill(1000)
    for key in keys[:100]:
        assert delete(gate, pair.old, key.tobytes())
    delete_batch(gate, pair.old, keys[100:300])
    tally = pair.passes().seed(fresh=True)
    assert (tally.seen, tally.carried) == (700, 700)
    assert set(entries_of(pair.new)) == {key.tobytes() for key in keys[300:]}


def test_an_entry_that_was_stored_anew_is_told(gate: Gate, pair: Pair) -> None:
    keys, values = pair.fill(100)
    run = pair.passes()
    run.seed(fresh=True)
    assert run.seed().recreated == 0
    # An update puts it into another node.
    update_batch(gate, pair.old, keys[:3], values[:3])
    found = run.settle()
    assert (found.gone, found.met, found.recreated) == (3, 3, 3)
    assert run.settle() == Tally(seen=100, present=100)


def test_the_later_time_and_every_flag_hold(gate: Gate, pair: Pair) -> None:
    keys, _ = ct4_rows(2, lifetime=0)
    ours, theirs = (np.zeros(2, value_dtype(Layout.V1_9)) for _ in range(2))
    theirs["lifetime"], ours["lifetime"] = [NOW, NOW + 5], [NOW + 1, NOW + 4]
    theirs["flags"], ours["flags"] = CtFlag.SEEN_NON_SYN, CtFlag.TX_CLOSING
    theirs["rev_nat_index"] = 1
    update_batch(gate, pair.old, keys, theirs.view(np.uint8).reshape(2, 56))
    update_batch(gate, pair.new, keys, ours.view(np.uint8).reshape(2, 56))
    run = pair.passes()
    # Of what is there already a pass that does not count changes nothing.
    assert run.seed().touched == 0
    tally = run.settle()
    assert (tally.touched, tally.moved, tally.contended) == (2, 0, 0)
    rows = [
        np.frombuffer(pair.new.lookup(key.tobytes()) or b"", value_dtype(Layout.V1_9))[0]
        for key in keys
    ]
    assert [int(row["lifetime"]) for row in rows] == [NOW + 1, NOW + 5]
    assert {int(row["flags"]) for row in rows} == {CtFlag.SEEN_NON_SYN | CtFlag.TX_CLOSING}
    assert [int(row["rev_nat_index"]) for row in rows] == [0, 1]


@pytest.mark.parametrize("layout", [Layout.V1_9, Layout.V1_18])
def test_a_service_keeps_its_backend_where_others_count(gate: Gate, layout: Layout) -> None:
    pair = Pair(gate, layout=layout)
    keys = ct4_rows(1, lifetime=0)[0].view(KEY4)
    keys["flags"] = TupleFlag.TUPLE_F_SERVICE
    value = np.zeros(1, value_dtype(layout))
    value["lifetime"], value["backend_id"] = NOW + 9, 42
    raw = keys.view(np.uint8).reshape(1, 14)
    update_batch(gate, pair.old, raw, value.view(np.uint8).reshape(1, 56))
    run = pair.passes()
    run.seed(fresh=True)
    # The old programs choose another backend before they are replaced.
    value["backend_id"], value["lifetime"] = 43, NOW + 10
    update_batch(gate, pair.old, raw, value.view(np.uint8).reshape(1, 56))
    run.settle()
    stored = np.frombuffer(pair.new.lookup(keys.tobytes()) or b"", value_dtype(layout))[0]
    assert (int(stored["backend_id"]), int(stored["lifetime"])) == (43, NOW + 10)
    pair.close()


def test_addresses_of_ipv6_are_keys_like_others(gate: Gate) -> None:
    pair = Pair(gate, key=38)
    keys = np.zeros(300, KEY6)
    keys["daddr"][:, 14:] = np.arange(300, dtype=">u2").view(np.uint8).reshape(300, 2)
    _, values = ct4_rows(300, lifetime=NOW + 60)
    update_batch(gate, pair.old, keys.view(np.uint8).reshape(300, 38), values)
    run = pair.passes()
    assert run.seed(fresh=True).carried == 300
    assert run.settle() == Tally(seen=300, present=300)
    assert entries_of(pair.new) == entries_of(pair.old)
    pair.close()


def test_translations_are_carried_as_they_are(gate: Gate) -> None:
    pair = Pair(gate, layout=None, value=24)
    keys, _ = ct4_rows(100, lifetime=0)
    values = np.random.default_rng(1).integers(0, 256, (100, 24), np.uint8)
    update_batch(gate, pair.old, keys, values)
    run = pair.passes()
    assert run.seed(fresh=True).carried == 100
    assert run.settle() == Tally(seen=100, present=100)
    assert entries_of(pair.new) == entries_of(pair.old)
    pair.close()


def test_ranks_are_those_of_a_whole_walk(gate: Gate, pair: Pair) -> None:
    pair.fill(500)
    keys, _ = ct4_rows(4, lifetime=0, first=5000)
    values = np.zeros(4, value_dtype(Layout.V1_9))
    values["lifetime"] = [NOW, NOW - 50, NOW + 30, 0xFFFFFFFF]
    values["flags"] = [0, 1, CtFlag.RX_CLOSING, 0]
    update_batch(gate, pair.old, keys, values.view(np.uint8).reshape(4, 56))
    with Passes(gate, pair.old, pair.new, joining_of(pair.old.info, Layout.V1_9)) as whole:
        expected = whole.survey(NOW)
    run = pair.passes()
    assert (run.survey(NOW) == expected).all()
    # Both that are over stay behind, and one of the 500 that have a minute left.
    tally = run.seed(now=NOW, cut=4 * RANK_SECONDS + 120, spare=499, fresh=True)
    assert (tally.carried, tally.left_behind) == (500, 4)


def used(gate: Gate, live: BpfMap, rows: tuple[np.ndarray, np.ndarray]) -> None:
    """Have programs look entries up, as the datapath does with every packet."""
    with create(gate, MapSpec("same", MapType.LRU_HASH, 14, 56, live.info.max_entries)) as same:
        update_batch(gate, same, *rows)
        with Passes(gate, same, live, joining_of(live.info, Layout.V1_9)) as looking_up:
            assert looking_up.seed().present == len(rows[0])


def test_what_was_used_of_late_is_still_there_when_the_new_map_has_been_filled(
    gate: Gate,
) -> None:
    pair = Pair(gate, (1024, 1024))
    pair.fill(768)
    busy = ct4_rows(256, lifetime=NOW + 60, first=300)
    used(gate, pair.old, busy)
    run = pair.passes()
    assert run.seed(fresh=True).carried == 768
    assert run.seed().present == 768
    assert run.settle() == Tally(seen=768, present=768)
    # Flows of one packet each.
    update_batch(gate, pair.new, *ct4_rows(512, lifetime=NOW, first=10_000))
    assert {key.tobytes() for key in busy[0]} <= set(entries_of(pair.new))
    pair.close()


def test_a_map_with_nodes_for_each_cpu_takes_all_that_its_cpus_have_room_for(gate: Gate) -> None:
    pair = Pair(gate, (16384, 16384), flags=MapFlag.NO_COMMON_LRU)
    pair.fill(16_000)
    before = os.sched_getaffinity(0)
    tally = pair.passes().seed(fresh=True)
    assert (tally.carried, tally.refused, tally.seen) == (16_000, 0, 16_000)
    assert entries_of(pair.new) == entries_of(pair.old)
    assert os.sched_getaffinity(0) == before
    pair.close()


def test_no_more_is_stored_than_there_is_room_for(pair: Pair) -> None:
    pair.fill(500)
    tally = pair.passes().seed(counted=True, free=300)
    assert (tally.carried, tally.refused, tally.absent) == (300, 200, 200)
    assert len(entries_of(pair.new)) == 300
    assert pair.passes().settle().is_even


@pytest.mark.parametrize(
    "types", [(MapType.HASH, MapType.LRU_HASH), (MapType.LRU_HASH, MapType.HASH)]
)
def test_nodes_of_other_maps_are_not_read(gate: Gate, types: tuple[MapType, MapType]) -> None:
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(create(gate, MapSpec("table", kind, 14, 56, 1024))).info
            for kind in types
        )
        assert known_map(gate, old, new, joining_of(old, Layout.V1_9)) is None
