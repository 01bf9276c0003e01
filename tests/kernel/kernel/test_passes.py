from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.kernel.mapwrite import create, update_batch
from ctconsole.kernel.passes import RANK_SECONDS, Passes, Tally
from ctconsole.model.ct.joining import Joining, joining_of
from ctconsole.model.ct.layout import KEY4, KEY6, CtFlag, Layout, TupleFlag, value_dtype
from ctconsole.model.spec import MapFlag, MapSpec, MapType
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

NOW = 10_000


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def lru(gate: Gate, stack: ExitStack, entries: int, *, key: int = 14, flags: int = 0) -> BpfMap:
    spec = MapSpec("table", MapType.LRU_HASH, key, 56, entries, flags)
    return stack.enter_context(create(gate, spec))


def passes(
    gate: Gate, stack: ExitStack, old: BpfMap, new: BpfMap, layout: Layout = Layout.V1_9
) -> Passes:
    return stack.enter_context(Passes(gate, old, new, joining_of(old.info, layout)))


def entries_of(live: BpfMap) -> dict[bytes, bytes]:
    dump = live.read()
    return {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)}


def value_of(live: BpfMap, key: bytes, layout: Layout = Layout.V1_9) -> np.void:
    stored = live.lookup(key)
    assert stored
    row: np.void = np.frombuffer(stored, value_dtype(layout))[0]
    return row


def test_a_seed_carries_everything_but_the_counts(gate: Gate, stack: ExitStack) -> None:
    old, new = lru(gate, stack, 4096), lru(gate, stack, 8192)
    update_batch(gate, old, *ct4_rows(1000, lifetime=NOW + 60))
    before = entries_of(old)
    tally = passes(gate, stack, old, new).seed()
    assert (tally.seen, tally.carried, tally.refused) == (1000, 1000, 0)
    assert entries_of(old) == before
    carried = new.read()
    records = np.ascontiguousarray(carried.values).view(value_dtype(Layout.V1_9))
    assert set(records["lifetime"].ravel()) == {NOW + 60}
    assert not records["rx_packets"].any()


def test_a_move_adds_counts_once_however_often_it_runs(gate: Gate, stack: ExitStack) -> None:
    old, new = lru(gate, stack, 4096), lru(gate, stack, 4096)
    keys, values = ct4_rows(500, lifetime=NOW + 60)
    update_batch(gate, old, keys, values)
    run = passes(gate, stack, old, new)
    run.seed()
    # What programs bound to the new map count meanwhile.
    counted = values.view(value_dtype(Layout.V1_9)).copy()
    counted["rx_packets"] = 4
    update_batch(gate, new, keys, counted.view(np.uint8).reshape(values.shape))
    first, again = run.move(), run.move()
    assert (first.moved, again.moved) == (500, 0)
    assert (first.present, again.present) == (500, 500)
    assert {value_of(new, key.tobytes())["rx_packets"] for key in keys} == {7}
    assert {value_of(old, key.tobytes())["rx_packets"] for key in keys} == {0}
    assert run.seed(counted=True) == Tally(seen=500, present=500)


@pytest.mark.parametrize("kind", [MapType.LRU_HASH, MapType.HASH])
def test_an_entry_made_anew_while_its_counts_are_moved_is_told(
    gate: Gate, stack: ExitStack, kind: MapType
) -> None:
    """Somebody stores the entry again and again; a move that hits on that has to say so."""
    old, new = (stack.enter_context(create(gate, MapSpec("t", kind, 14, 56, 8))) for _ in range(2))
    keys, values = ct4_rows(1, lifetime=NOW + 60)
    update_batch(gate, new, keys, values)
    run = passes(gate, stack, old, new)
    stop = threading.Event()

    def store() -> None:
        while not stop.is_set():
            update_batch(gate, new, np.repeat(keys, 500, 0), np.repeat(values, 500, 0))

    datapath = threading.Thread(target=store)
    datapath.start()
    try:
        told = Tally()
        end = time.monotonic() + 60
        while not told.replaced and time.monotonic() < end:
            update_batch(gate, old, keys, values)
            told += run.move()
    finally:
        stop.set()
        datapath.join()
    assert 0 < told.replaced <= told.moved
    update_batch(gate, old, keys, values)
    assert run.move().replaced == 0


def test_a_seed_stores_no_more_than_there_is_room_for(gate: Gate, stack: ExitStack) -> None:
    old, new = lru(gate, stack, 4096), lru(gate, stack, 4096)
    update_batch(gate, old, *ct4_rows(1000, lifetime=NOW + 60))
    before = entries_of(old)
    run = passes(gate, stack, old, new)
    tally = run.seed(counted=True, free=600)
    assert (tally.carried, tally.refused, tally.absent, tally.error) == (600, 400, 400, 28)
    # What was refused keeps its counts, and comes when there is room.
    left = {key: value for key, value in entries_of(old).items() if key not in entries_of(new)}
    assert left.items() <= before.items()
    assert run.seed(counted=True, free=0).carried == 0
    assert run.seed(counted=True, free=400).carried == 400
    assert entries_of(new) == before


@pytest.mark.parametrize("free", [0, 1, 500, 1000])
def test_a_map_with_a_pool_for_each_cpu_gets_no_more_either(
    gate: Gate, stack: ExitStack, free: int
) -> None:
    old, new = lru(gate, stack, 4096), lru(gate, stack, 4096, flags=MapFlag.NO_COMMON_LRU)
    update_batch(gate, old, *ct4_rows(1000, lifetime=NOW + 60))
    tally = passes(gate, stack, old, new).seed(free=free)
    assert (tally.carried, tally.refused) == (free, 1000 - free)


def test_a_counted_seed_brings_what_came_last_with_its_counts(gate: Gate, stack: ExitStack) -> None:
    old, new = lru(gate, stack, 4096), lru(gate, stack, 4096)
    keys, values = ct4_rows(10, lifetime=NOW + 60)
    update_batch(gate, old, keys, values)
    run = passes(gate, stack, old, new)
    assert run.move() == Tally()
    assert run.seed(counted=True) == Tally(seen=10, carried=10)
    assert entries_of(new) == {k.tobytes(): v.tobytes() for k, v in zip(keys, values, strict=True)}
    assert run.seed(counted=True) == Tally(seen=10, present=10)


def test_the_later_time_and_every_flag_hold(gate: Gate, stack: ExitStack) -> None:
    old, new = lru(gate, stack, 1024), lru(gate, stack, 1024)
    keys, _ = ct4_rows(2, lifetime=0)
    ours, theirs = (np.zeros(2, value_dtype(Layout.V1_9)) for _ in range(2))
    theirs["lifetime"], ours["lifetime"] = [NOW, NOW + 5], [NOW + 1, NOW + 4]
    theirs["flags"], ours["flags"] = CtFlag.SEEN_NON_SYN, CtFlag.TX_CLOSING
    theirs["rx_flags_seen"], ours["tx_flags_seen"] = 2, 4
    theirs["last_rx_report"], ours["last_rx_report"] = [7, 8], [9, 6]
    theirs["rev_nat_index"], theirs["src_sec_id"], theirs["ifindex"] = 1, 2, 3
    update_batch(gate, old, keys, theirs.view(np.uint8).reshape(2, 56))
    update_batch(gate, new, keys, ours.view(np.uint8).reshape(2, 56))
    tally = passes(gate, stack, old, new).move()
    assert (tally.touched, tally.moved, tally.contended) == (2, 0, 0)
    stays, follows = (value_of(new, key.tobytes()) for key in keys)
    assert (stays["lifetime"], follows["lifetime"]) == (NOW + 1, NOW + 5)
    assert (stays["last_rx_report"], follows["last_rx_report"]) == (9, 8)
    assert stays["flags"] == follows["flags"] == CtFlag.SEEN_NON_SYN | CtFlag.TX_CLOSING
    assert (follows["rx_flags_seen"], follows["tx_flags_seen"]) == (2, 4)
    # What an entry is about is known better by the side that was used last.
    about = ("rev_nat_index", "src_sec_id", "ifindex")
    assert [stays[name] for name in about] == [0, 0, 0]
    assert [follows[name] for name in about] == [1, 2, 3]


@pytest.mark.parametrize(
    ("layout", "counts"),
    [(Layout.V1_9, ("rx_packets", "tx_bytes")), (Layout.V1_18, ("packets", "bytes"))],
)
def test_a_service_keeps_its_backend_where_others_count(
    gate: Gate, stack: ExitStack, layout: Layout, counts: tuple[str, ...]
) -> None:
    old, new = lru(gate, stack, 1024), lru(gate, stack, 1024)
    keys = ct4_rows(1, lifetime=0)[0].view(KEY4)
    keys["flags"] = TupleFlag.TUPLE_F_SERVICE
    value = np.zeros(1, value_dtype(layout))
    value["lifetime"], value["backend_id"] = NOW + 9, 42
    for name in counts:
        value[name] = 5
    raw = keys.view(np.uint8).reshape(1, 14), value.view(np.uint8).reshape(1, 56)
    update_batch(gate, old, *raw)
    run = passes(gate, stack, old, new, layout)
    run.seed()
    seeded = value_of(new, keys.tobytes(), layout)
    assert seeded["backend_id"] == 42
    assert [seeded[name] for name in counts] == [0, 0]
    # The old programs choose another backend before they are replaced.
    value["backend_id"], value["lifetime"] = 43, NOW + 10
    update_batch(gate, old, raw[0], value.view(np.uint8).reshape(1, 56))
    run.move()
    moved = value_of(new, keys.tobytes(), layout)
    assert moved["backend_id"] == 43
    assert [moved[name] for name in counts] == [5, 5]


def test_addresses_of_ipv6_are_keys_like_others(gate: Gate, stack: ExitStack) -> None:
    old, new = lru(gate, stack, 1024, key=38), lru(gate, stack, 1024, key=38)
    keys = np.zeros(300, KEY6)
    keys["daddr"][:, 14:] = np.arange(300, dtype=">u2").view(np.uint8).reshape(300, 2)
    _, values = ct4_rows(300, lifetime=NOW + 60)
    update_batch(gate, old, keys.view(np.uint8).reshape(300, 38), values)
    run = passes(gate, stack, old, new)
    assert run.seed().carried == 300
    assert run.move().moved == 300
    assert set(entries_of(new)) == {key.tobytes() for key in keys}


def test_translations_are_carried_as_they_are(gate: Gate, stack: ExitStack) -> None:
    spec = MapSpec("cilium_snat_v4_external", MapType.LRU_HASH, 14, 24, 2048)
    old, new = (stack.enter_context(create(gate, spec)) for _ in range(2))
    keys, _ = ct4_rows(100, lifetime=0)
    values = np.random.default_rng(1).integers(0, 256, (100, 24), np.uint8)
    update_batch(gate, old, keys, values)
    with Passes(gate, old, new, joining_of(old.info, None)) as run:
        assert run.seed().carried == 100
        assert run.move() == Tally(seen=100, present=100)
    assert entries_of(new) == entries_of(old)


def test_ranks_tell_what_goes_first(gate: Gate, stack: ExitStack) -> None:
    old, new = lru(gate, stack, 1024), lru(gate, stack, 1024)
    keys, _ = ct4_rows(6, lifetime=0)
    values = np.zeros(6, value_dtype(Layout.V1_9))
    values["lifetime"] = [NOW, NOW - 50, NOW + 30, NOW + 30, NOW + 90, 0xFFFFFFFF]
    values["flags"] = [0, 1, CtFlag.RX_CLOSING, CtFlag.TX_CLOSING, 0, 0]
    update_batch(gate, old, keys, values.view(np.uint8).reshape(6, 56))
    run = passes(gate, stack, old, new)
    ranks = run.survey(NOW)
    expired, closing, live = (
        ranks[start : start + 2 * RANK_SECONDS]
        for start in (
            0,
            2 * RANK_SECONDS,
            4 * RANK_SECONDS,
        )
    )
    assert expired.sum() == 2
    assert closing.sum() == closing[60] == 2
    assert live[180] == live[-2] == 1
    # Room for three: both expired and one of the two closing stay behind.
    tally = run.seed(now=NOW, cut=2 * RANK_SECONDS + 60, spare=1)
    assert (tally.carried, tally.left_behind) == (3, 3)
    left = set(entries_of(old)) - set(entries_of(new))
    assert {key.tobytes() for key in keys[:2]} < left


def used(gate: Gate, stack: ExitStack, live: BpfMap, rows: tuple[np.ndarray, np.ndarray]) -> None:
    """Have programs look entries up, as the datapath does with every packet."""
    same = lru(gate, stack, live.info.max_entries)
    update_batch(gate, same, *rows)
    assert passes(gate, stack, same, live).seed().present == len(rows[0])


def test_what_was_used_of_late_is_still_there_when_the_new_map_has_been_filled(
    gate: Gate, stack: ExitStack
) -> None:
    old, new = lru(gate, stack, 1024), lru(gate, stack, 1024)
    update_batch(gate, old, *ct4_rows(768, lifetime=NOW + 60))
    busy = ct4_rows(256, lifetime=NOW + 60, first=300)
    used(gate, stack, old, busy)
    run = passes(gate, stack, old, new)
    assert run.seed(fresh=True).carried == 768
    assert run.seed().present == 768
    assert run.move().moved == 768
    assert run.seed(counted=True).present == 768
    # Flows of one packet each.
    update_batch(gate, new, *ct4_rows(512, lifetime=NOW, first=10_000))
    assert {key.tobytes() for key in busy[0]} <= set(entries_of(new))


def test_a_map_with_nodes_for_each_cpu_takes_all_that_its_cpus_have_room_for(
    gate: Gate, stack: ExitStack
) -> None:
    old = lru(gate, stack, 16384)
    new = lru(gate, stack, 16384, flags=MapFlag.NO_COMMON_LRU)
    update_batch(gate, old, *ct4_rows(12_000, lifetime=NOW + 60))
    before = os.sched_getaffinity(0)
    run = passes(gate, stack, old, new)
    tally = run.seed(fresh=True)
    assert (tally.carried, tally.refused, tally.seen) == (12_000, 0, 12_000)
    assert set(entries_of(new)) == set(entries_of(old))
    assert run.move().moved == 12_000
    assert os.sched_getaffinity(0) == before


def test_a_full_hash_map_refuses_and_nothing_is_lost(gate: Gate, stack: ExitStack) -> None:
    old = lru(gate, stack, 1024)
    keys, values = ct4_rows(100, lifetime=NOW + 60)
    update_batch(gate, old, keys, values)
    spec = MapSpec("small", MapType.HASH, 14, 56, 60)
    new = stack.enter_context(create(gate, spec))
    tally = passes(gate, stack, old, new).seed(counted=True)
    assert (tally.carried, tally.refused, tally.error) == (60, 40, 7)
    kept = value_dtype(Layout.V1_9)
    total = sum(
        int(np.frombuffer(value, kept)["rx_packets"][0])
        for live in (old, new)
        for value in entries_of(live).values()
    )
    assert total == 300


def test_words_without_a_layout_count_nothing(gate: Gate, stack: ExitStack) -> None:
    live = lru(gate, stack, 1024)
    assert joining_of(live.info, None) == Joining(14, 56)
