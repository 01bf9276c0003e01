"""A guard beside an agent that drops its tables: entries, counts and order of events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import BusyError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.changing import changing
from ctconsole.manager.resize.journal import journal_of
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.run import resize
from ctconsole.model.ct.layout import Layout, value_dtype
from ctconsole.model.ct.reading import Reading
from ctconsole.model.event import EventKind, Level
from ctconsole.model.memory import LRU_BATCH, room
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.node.guard import Guard
from ctconsole.node.guarding import Guarding
from ctconsole.recorder import Recorder
from tests.support.churner import Churner, compiled
from tests.support.counting_more import count_more
from tests.support.ct_entries import ct4_rows
from tests.support.foreign import until
from tests.support.map_users import PinnedUsers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event

NAME = "cilium_ct4_global"
READING = Reading(layout=Layout.V1_9)


def table(entries: int, value_size: int = 56) -> MapSpec:
    return MapSpec(NAME, MapType.LRU_HASH, 14, value_size, entries)


@pytest.fixture(autouse=True)
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path))


@pytest.fixture
def pin(gate: Gate, bpffs: Path) -> Path:
    path = bpffs / "globals" / NAME
    with open_or_create_map(gate, path, table(4096)).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(1000, lifetime=ktime() + 500))
    return path


@pytest.fixture
def programs(gate: Gate, pin: Path) -> PinnedUsers:
    made = PinnedUsers(gate, pin)
    made.load_all()
    return made


@pytest.fixture
def guard(gate: Gate, pin: Path) -> Iterator[Guard]:
    with Guard(gate, pin.parent, READING) as made:
        yield made


def recreated(gate: Gate, pin: Path, spec: MapSpec) -> None:
    """What Cilium does: the pin goes, then an empty map is pinned there."""
    pins.unpin(gate, pin)
    open_or_create_map(gate, pin, spec).map.close()


def events_of(guard: Guard, seconds: float = 20.0) -> list[Event]:
    """What the guard tells next."""
    end = time.monotonic() + seconds
    found: list[Event] = []
    while not found and time.monotonic() < end:
        found = list(guard.look())
    return found


def entries_at(pin: Path) -> dict[bytes, bytes]:
    with BpfMap.open(pin) as live:
        dump = live.read()
    return {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)}


def counted(value: bytes) -> int:
    """Packets of an entry."""
    return int(np.frombuffer(value, value_dtype(Layout.V1_9))["rx_packets"][0])


def test_nothing_is_lost_while_the_programs_are_replaced_one_by_one(
    gate: Gate, pin: Path, programs: PinnedUsers, guard: Guard
) -> None:
    before = entries_at(pin)
    with BpfMap.open(pin) as old:
        recreated(gate, pin, table(8192))
        assert list(guard.look()) == []
        # At once, and without counts: the old programs still add to them.
        assert set(entries_at(pin)) == set(before)
        # These have counted nothing.
        keys, values = ct4_rows(10, lifetime=ktime() + 500, first=9000)
        values.view(value_dtype(Layout.V1_9))["rx_packets"] = 0
        mapwrite.update_batch(gate, old, keys, values)
        old_id = old.info.id
    programs.begin()
    programs.wait()
    [event] = events_of(guard)
    assert event.kind is EventKind.MAP_CARRIED
    told = dict(event.fields)
    seeded, moved = told.pop("seeded_after"), told.pop("moved_after")
    with BpfMap.open(pin) as live:
        ids = {"old_id": old_id, "new_id": live.info.id}
    numbers = {"carried": 1010, "merged": 1000, "dropped": 0, "missing": 0}
    assert told == {**ids, "layout": "1.9", **numbers, "file-path": str(pin)}
    assert isinstance(seeded, float)
    assert isinstance(moved, float)
    assert 0 < seeded < moved
    assert "counts of 1,000 entries were added" in event.message
    after = entries_at(pin)
    assert {key: after[key] for key in before} == before
    assert len(after) == 1010


def test_the_same_size_again_is_carried_too(
    gate: Gate, pin: Path, programs: PinnedUsers, guard: Guard
) -> None:
    before = entries_at(pin)
    for _ in range(2):
        recreated(gate, pin, table(4096))
        assert list(guard.look()) == []
        programs.begin()
        programs.wait()
        [event] = events_of(guard)
        assert event.kind is EventKind.MAP_CARRIED
    assert entries_at(pin) == before


def test_a_smaller_table_keeps_those_with_most_time_left(
    gate: Gate, pin: Path, guard: Guard
) -> None:
    with BpfMap.open(pin) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(600, lifetime=1, first=20_000))
    recreated(gate, pin, table(1536))
    [event] = events_of(guard)
    dropped = event.fields["dropped"]
    assert isinstance(dropped, int)
    assert 300 <= dropped <= 600
    alive = {key.tobytes() for key in ct4_rows(1000, lifetime=0)[0]}
    assert alive <= set(entries_at(pin))


def test_room_is_left_for_those_that_come_while_it_is_carried(
    gate: Gate, pin: Path, guard: Guard
) -> None:
    with BpfMap.open(pin) as live:
        sooner = ct4_rows(600, lifetime=ktime() + 100, first=20_000)
        mapwrite.update_batch(gate, live, *sooner)
    recreated(gate, pin, table(1536))
    [event] = events_of(guard)
    assert event.fields["dropped"] == 1600 + LRU_BATCH - room(table(1536), possible_cpus())


def test_other_sizes_are_told_and_nothing_is_touched(gate: Gate, pin: Path, guard: Guard) -> None:
    recreated(gate, pin, MapSpec(NAME, MapType.LRU_HASH, 38, 56, 1024))
    [event] = events_of(guard)
    assert event.level is Level.ERROR
    assert "keys and values had (14, 56) bytes and have (38, 56) now" in event.message
    assert entries_at(pin) == {}
    # The new one is held from now on.
    recreated(gate, pin, MapSpec(NAME, MapType.LRU_HASH, 38, 56, 2048))
    [event] = events_of(guard)
    assert event.kind is EventKind.MAP_CARRIED


def test_whoever_ends_the_guard_hears_of_programs_that_have_not_moved(
    gate: Gate, pin: Path, programs: PinnedUsers
) -> None:
    assert programs
    with Guard(gate, pin.parent, READING) as guard:
        recreated(gate, pin, table(8192))
        assert list(guard.look()) == []
        [event] = guard.close()
    assert event.fields["moved_after"] is None
    assert "programs still use the old map" in event.message
    assert len(entries_at(pin)) == 1000


def test_re_created_twice_before_the_programs_moved_all_is_in_the_last(
    gate: Gate, pin: Path, programs: PinnedUsers, guard: Guard
) -> None:
    before = entries_at(pin)
    keys, _ = ct4_rows(30, lifetime=0)
    with BpfMap.open(pin) as first:
        recreated(gate, pin, table(8192))
        assert list(guard.look()) == []
        # Some programs use the one between, others go on with the first.
        with BpfMap.open(pin) as between:
            count_more(gate, between, keys[:20], 100)
        recreated(gate, pin, table(16384))
        told, *_ = guard.look()
        assert told.fields["moved_after"] is None
        assert told.fields["carried"] == 1000
        count_more(gate, first, keys[10:], 5)
        mapwrite.update_batch(gate, first, *ct4_rows(10, lifetime=ktime() + 500, first=9000))
    programs.begin()
    programs.wait()
    assert until(lambda: list(guard.look()) == [] and not guard.carrying)
    after = entries_at(pin)
    more = [counted(after[key.tobytes()]) - counted(before[key.tobytes()]) for key in keys]
    assert more == [100] * 10 + [105] * 10 + [5] * 10
    uncounted = before.keys() - {key.tobytes() for key in keys}
    assert {key: after[key] for key in uncounted} == {key: before[key] for key in uncounted}
    assert len(after) == 1010


def test_a_table_that_is_changed_on_purpose_is_left_until_that_is_over(
    gate: Gate, pin: Path, guard: Guard
) -> None:
    with changing(pin.parent, "changes it on purpose"):
        recreated(gate, pin, table(8192))
        assert list(guard.look()) == []
        assert entries_at(pin) == {}
    [event] = events_of(guard)
    assert event.fields["carried"] == 1000
    assert until(lambda: not list(guard.look()))
    changing(pin.parent, "changes it again").close()


def test_what_a_resize_has_carried_over_is_left_alone(gate: Gate, pin: Path, guard: Guard) -> None:
    """Also what it dropped on purpose."""
    with changing(pin.parent, "resizes it"):
        plan = plan_resize({pin: MapWish(1024)})
        resize(gate, plan, None, journal_of(pin.parent)).check()
        kept = entries_at(pin)
        assert list(guard.look()) == []
    assert list(guard.look()) == []
    assert guard.carrying == 0
    assert entries_at(pin) == kept
    # And is held from now on.
    recreated(gate, pin, table(8192))
    [event] = events_of(guard)
    assert event.fields["carried"] == len(kept)


def test_nobody_else_changes_maps_while_it_carries(
    gate: Gate, pin: Path, programs: PinnedUsers, guard: Guard
) -> None:
    recreated(gate, pin, table(8192))
    assert list(guard.look()) == []
    with pytest.raises(BusyError, match="carries cilium_ct4_global over"):
        changing(pin.parent, "resizes it")
    programs.begin()
    programs.wait()
    events_of(guard)
    changing(pin.parent, "resizes it").close()


def test_the_switch_records_what_was_carried_and_ends_cleanly(gate: Gate, pin: Path) -> None:
    told: list[Event] = []
    record = Recorder(told.extend, source="manager", subject="test")
    switch = Guarding(gate, lambda: pin.parent, lambda: READING, record)
    assert switch.told == ""
    assert "holds what is pinned now (1)" in switch.switch(on=True)
    assert switch.switch(on=True) == "the guard is on already"
    assert switch.told == "guard on"
    recreated(gate, pin, table(8192))
    assert until(lambda: switch.told == "guard on · 1 carried over")
    assert switch.switch(on=False) == "the guard is off"
    assert switch.told == ""
    assert [event.kind for event in told] == [EventKind.MAP_CARRIED]
    # Nobody holds anything any more: a table re-created now is empty.
    recreated(gate, pin, table(4096))
    assert entries_at(pin) == {}


def test_counts_are_exact_where_programs_count_all_the_time(
    gate: Gate, pin: Path, programs: PinnedUsers, guard: Guard, tmp_path: Path
) -> None:
    """In the agent's order: the pin goes, an empty map comes, programs follow one by one."""
    with Churner(gate, compiled(tmp_path), pin, steady=1000, fleeting=100) as churner:
        recreated(gate, pin, table(8192))
        assert list(guard.look()) == []
        programs.begin()
        programs.wait()
        # The endpoint under load is the last to be regenerated.
        for _ in range(3):
            assert list(guard.look()) == []
        churner.wait()
        [event] = events_of(guard)
        churner.end()
    assert (event.kind, event.fields["dropped"]) == (EventKind.MAP_CARRIED, 0)
    after = entries_at(pin)
    keys = [key.tobytes() for key in ct4_rows(1000, lifetime=0)[0]]
    assert set(keys) <= set(after)
    assert churner.missing == 0
    stayed = np.frombuffer(b"".join(after[key] for key in keys), value_dtype(Layout.V1_9))
    assert int(stayed["rx_packets"].sum()) == 3000 + churner.counted
