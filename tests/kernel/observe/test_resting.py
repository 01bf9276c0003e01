"""A table at rest is not read again, and whatever changes is seen at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.ct.knowledge import Knowledge
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.reading import Reading
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe import resting
from ctconsole.observe.live import LiveSource
from tests.support.fakes import random_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.ct.table import CtTable

ROWS = 500
NAME = "cilium_ct4_global"


class Watched:
    """A map that is sampled as the console does, and how often it was read whole."""

    def __init__(self, gate: Gate, folder: Path, capacity: int = 1000) -> None:
        self.gate = gate
        self.pin = folder / NAME
        self.reads = 0
        self.create(capacity)
        self.source = LiveSource(folder, layout=Layout.V1_18)
        self.table: CtTable | None = None

    def create(self, capacity: int = 1000) -> None:
        """Pin a new map with entries, in place of one that is there."""
        self.pin.unlink(missing_ok=True)
        with mapwrite.create(self.gate, MapSpec(NAME, MapType.LRU_HASH, 14, 56, capacity)) as live:
            pins.pin(self.gate, live, self.pin)
            table = random_table(live.info, ROWS)
            self.keys = np.ascontiguousarray(table.keys).view(np.uint8).reshape(ROWS, 14)
            self.values = table.values.copy().view(np.uint8).reshape(ROWS, 56)
            mapwrite.update_batch(self.gate, live, self.keys, self.values)

    def sample(self) -> CtTable:
        self.table = self.source.table(self.pin, self.table)
        return self.table

    def rest(self) -> CtTable:
        """Sample until it is no longer read."""
        for _ in range(3):
            self.sample()
        self.reads = 0
        return self.sample()


@pytest.fixture
def watched(gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(gate, bpffs)
    read = BpfMap.read

    def counted(live: BpfMap) -> object:
        made.reads += 1
        return read(live)

    monkeypatch.setattr(BpfMap, "read", counted)
    yield made
    made.source.close()


def test_a_table_at_rest_is_told_of_this_moment_without_being_read(watched: Watched) -> None:
    before = watched.rest()
    assert watched.reads == 0
    then = ktime()
    table = watched.sample()
    assert watched.reads == 0
    assert table.keys is before.keys
    assert table.values is before.values
    assert table.taken_at > before.taken_at
    assert then <= table.now <= ktime()


def test_a_change_of_one_byte_is_read_at_once(watched: Watched) -> None:
    watched.rest()
    value = watched.values[7].copy()
    value[0] ^= 1
    with BpfMap.open(watched.pin) as live:
        mapwrite.update(watched.gate, live, watched.keys[7].tobytes(), value.tobytes())
    table = watched.sample()
    assert watched.reads == 1
    assert value.tobytes() in {row.tobytes() for row in table.values}


def test_an_entry_that_goes_or_comes_is_seen_at_once(watched: Watched) -> None:
    watched.rest()
    key = watched.keys[7].tobytes()
    with BpfMap.open(watched.pin) as live:
        mapwrite.delete(watched.gate, live, key)
        assert len(watched.sample()) == ROWS - 1
        watched.rest()
        mapwrite.update(watched.gate, live, key, watched.values[7].tobytes())
        assert len(watched.sample()) == ROWS


def test_another_map_behind_the_pin_is_read(watched: Watched) -> None:
    before = watched.rest()
    watched.create()
    table = watched.sample()
    assert watched.reads == 1
    assert table.info.id != before.info.id


def test_what_becomes_known_of_the_node_is_told_of_a_table_at_rest(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.rest()
    known = Knowledge(translated={})
    monkeypatch.setattr(watched.source, "reading", lambda: Reading(knowledge=known))
    assert watched.sample().knowledge is known
    assert watched.reads == 0
    monkeypatch.setattr(watched.source, "reading", lambda: Reading(layout=Layout.V1_15))
    assert watched.sample().layout is Layout.V1_15
    assert watched.reads == 1


def test_other_tables_read_in_between_change_nothing(watched: Watched) -> None:
    before = watched.rest()
    assert watched.source.table(before.info.id).keys is not before.keys
    assert watched.reads == 1
    assert watched.sample().keys is before.keys
    assert watched.reads == 1


def test_a_table_that_changes_is_looked_over_once_and_then_only_read(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.rest()
    looks: list[int] = []
    looked_over = watched.source._resting._fingerprint

    def counted(table: CtTable) -> int | None:
        looks.append(table.info.id)
        return looked_over(table)

    monkeypatch.setattr(watched.source._resting, "_fingerprint", counted)
    with BpfMap.open(watched.pin) as live:
        for row in range(5):
            mapwrite.delete(watched.gate, live, watched.keys[row].tobytes())
            watched.sample()
    assert len(looks) == 1
    assert watched.reads == 5


def test_where_it_cannot_be_looked_over_every_sample_is_read(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resting, "open_fingerprints", lambda: None)
    before = watched.rest()
    assert watched.reads == 1
    table = watched.sample()
    assert watched.reads == 2
    assert table.keys is before.keys


def test_a_map_with_much_room_left_is_walked(gate: Gate, bpffs: Path) -> None:
    made = Watched(gate, bpffs, capacity=ROWS * resting.SPARSE + 8)
    made.rest()
    assert made.source._resting._fingerprints is None
    made.source.close()
