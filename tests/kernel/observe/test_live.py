from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import FormatError, GoneError
from ctconsole.history import History
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.model.catalogue import Group
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.turnover import turnover_between
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe.live import LiveSource
from tests.support.fakes import random_table, story

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

ROWS = 500


@pytest.fixture
def source(gate: Gate, bpffs: Path, tmp_path: Path) -> Iterator[LiveSource]:
    """A CT map with entries, a NAT map with the sizes of one, and a program array."""
    # Map names as Cilium pins them; the NAT map's IPv6 sizes are those of a CT map.
    for spec in (
        MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 4096),
        MapSpec("cilium_snat_v6_external", MapType.LRU_HASH, 38, 56, 1024),
        MapSpec("cilium_calls_00010", MapType.PROG_ARRAY, 4, 4, 24),
        MapSpec("cilium_ipcache", MapType.LPM_TRIE, 24, 12, 1024, flags=1),
    ):
        with mapwrite.create(gate, spec) as made:
            pins.pin(gate, made, bpffs / spec.name)
            if spec.name == "cilium_ct4_global":
                table = random_table(made.info, ROWS)
                keys = np.ascontiguousarray(table.keys).view(np.uint8).reshape(ROWS, 14)
                values = table.values.copy().view(np.uint8).reshape(ROWS, 56)
                mapwrite.update_batch(gate, made, keys, values, 0)
    live = LiveSource(bpffs, tmp_path / "state" / "history.db")
    yield live
    live.close()


def test_maps_are_counted_and_grouped(source: LiveSource) -> None:
    rows = {row.info.label: row for row in source.maps().rows}
    ct = rows["cilium_ct4_global"]
    assert (ct.entries, ct.exact, ct.group) == (ROWS, True, Group.CONNTRACK)
    assert ct.fill == pytest.approx(ROWS / 4096)
    assert [name for name, row in rows.items() if row.is_conntrack] == ["cilium_ct4_global"]
    assert rows["cilium_snat_v6_external"].group is Group.NAT
    assert rows["cilium_calls_00010"].entries == 0
    assert rows["cilium_calls_00010"].fill is None
    assert rows["cilium_ipcache"].entries == 0
    assert not rows["cilium_ipcache"].exact


def test_a_table_is_read_whole_with_its_clock_and_layout(source: LiveSource, bpffs: Path) -> None:
    then = ktime()
    table = source.table(bpffs / "cilium_ct4_global")
    assert len(table) == ROWS
    assert table.layout is Layout.V1_9
    assert then <= table.now <= ktime()
    assert table.walk.complete
    assert len(source.table(table.info.id)) == ROWS


def test_the_keys_of_a_table_tell_what_comes_and_goes(source: LiveSource, bpffs: Path) -> None:
    before = source.headcount(bpffs / "cilium_ct4_global")
    after = source.headcount(bpffs / "cilium_ct4_global")
    assert len(before.hashes) == ROWS
    fewer = replace(before, hashes=before.hashes[10:])
    found = turnover_between(fewer, after)
    assert found is not None
    assert found.new * found.seconds == pytest.approx(10)
    assert (found.gone, found.evicted) == (0, None)
    with pytest.raises(GoneError):
        source.headcount(bpffs / "nothing")


def test_tables_that_cannot_be_read_say_why(source: LiveSource, bpffs: Path) -> None:
    with pytest.raises(GoneError):
        source.table(bpffs / "nothing")
    with pytest.raises(FormatError):
        source.table(bpffs / "cilium_ipcache")


def test_the_history_may_come_later(source: LiveSource, tmp_path: Path) -> None:
    assert list(source.events(0, 100)) == []
    with History(tmp_path / "state" / "history.db") as history:
        history.append(event for _, event in story())
    assert [event.message for _, event in source.events(8, 100)] == [
        "Programs replaced",
        "Agent is ready",
    ]
    assert [number for number, _ in source.events(0, 2)] == [9, 10]


def test_a_history_that_was_replaced_is_read_on(source: LiveSource, tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.db"
    with History(path) as history:
        history.append(event for _, event in story())
    last = source.events(0, 100)[-1][0]
    shutil.rmtree(path.parent)
    assert list(source.events(last, 100)) == []
    with History(path) as history:
        history.append(event for _, event in story()[:3])
    assert [number for number, _ in source.events(last, 100)] == [last + 1, last + 2, last + 3]
