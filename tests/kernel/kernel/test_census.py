from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import DatapathError
from ctconsole.kernel import mapiter, mapwrite
from ctconsole.kernel.census import CensusTaker, open_census
from ctconsole.kernel.programs import all_programs
from ctconsole.model.ct.census import PROTOCOLS
from ctconsole.model.ct.clock import Moment
from ctconsole.model.ct.layout import KEYS, Layout, value_dtype
from ctconsole.model.ct.stats import stats_of
from ctconsole.model.ct.table import CtTable
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

ENTRIES = 3000
CAPACITY = 200_000
"""More nodes than one call of the iterator looks at."""

NOW = 10_000
AT = Moment(seconds=NOW, taken_at=1.0)


@pytest.fixture(params=[(14, 0), (14, 2), (38, 0)], ids=["ipv4", "distributed", "ipv6"])
def live(gate: Gate, request: pytest.FixtureRequest) -> Iterator[BpfMap]:
    size, flags = request.param
    spec = MapSpec("counted", MapType.LRU_HASH, size, 56, CAPACITY, flags)
    with mapwrite.create(gate, spec) as made:
        mapwrite.update_batch(gate, made, *entries(size))
        yield made


def entries(size: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Every combination of what decides over a state comes up among them."""
    random = np.random.default_rng(seed)
    keys = np.zeros(ENTRIES, KEYS[size])
    keys["daddr"] = random.integers(0, 256, keys["daddr"].shape)
    keys["sport"] = np.arange(ENTRIES)
    keys["nexthdr"] = random.choice([1, 6, 17, 58, 132, 47, 0], ENTRIES)
    keys["flags"] = random.integers(0, 8, ENTRIES)
    values = np.zeros(ENTRIES, value_dtype(Layout.V1_18))
    values["lifetime"] = NOW + random.choice([-100, 0, 1, 59, 60, 61, 9000], ENTRIES)
    values["flags"] = random.integers(0, 1 << 16, ENTRIES)
    for name in ("last_rx_report", "last_tx_report"):
        values[name] = random.choice([0, 1], ENTRIES)
    return (
        keys.view(np.uint8).reshape(ENTRIES, size),
        values.view(np.uint8).reshape(ENTRIES, 56),
    )


def test_it_counts_what_reading_every_entry_counts(live: BpfMap) -> None:
    raw = live.read()
    with CensusTaker(live.info) as taker:
        found = taker.take(AT)
    assert found is not None
    told = stats_of(CtTable.from_raw(live.info, Layout.V1_18, raw.keys, raw.values, now=NOW))
    assert found.kinds == told.kinds
    assert found.related == told.related
    named = {p for p in PROTOCOLS if p is not None}
    assert {(p, d): kinds for p, d, kinds in found.shares() if p} == {
        (one.protocol, one.direction): one.kinds for one in told.shares if one.protocol in named
    }
    rest = sum(kinds.entries for protocol, _, kinds in found.shares() if protocol is None)
    assert rest == sum(one.kinds.entries for one in told.shares if one.protocol not in named)


def test_stamps_in_jiffies_go_by_whole_seconds(gate: Gate) -> None:
    spec = MapSpec("counted", MapType.LRU_HASH, 14, 56, 4096)
    keys, values = entries(14)
    now = (250 * 5000) >> 8
    values.view(value_dtype(Layout.V1_18))["lifetime"][:, 0] = now + np.arange(ENTRIES) % 100
    with mapwrite.create(gate, spec) as made, CensusTaker(made.info) as taker:
        mapwrite.update_batch(gate, made, keys, values)
        found = taker.take(Moment(5000, now, 250, 1.0))
        raw = made.read()
        table = CtTable.from_raw(made.info, Layout.V1_18, raw.keys, raw.values, now=now, hertz=250)
        assert found is not None
        assert found.kinds == stats_of(table).kinds


def test_what_came_and_went_is_told_from_the_second_look_on(gate: Gate, live: BpfMap) -> None:
    size = live.info.key_size
    keys, values = entries(size)
    lifetimes = values.view(value_dtype(Layout.V1_18))["lifetime"][:, 0]
    more, _ = entries(size, seed=2)
    with CensusTaker(live.info) as taker:
        first = taker.take(AT)
        again = taker.take(AT)
        for key in keys[:700]:
            mapwrite.delete(gate, live, key.tobytes())
        mapwrite.update_batch(gate, live, more[:50], values[:50])
        changed = taker.take(AT)
    assert first is not None
    assert (first.came, first.gone, first.early) == (None, None, None)
    assert again is not None
    assert (again.came, again.gone, again.early) == (0, 0, 0)
    assert changed is not None
    early = int(np.count_nonzero(lifetimes[:700] > NOW))
    assert (changed.came, changed.gone, changed.early) == (50, 700, early)


def test_an_empty_table_has_nothing(gate: Gate) -> None:
    spec = MapSpec("counted", MapType.LRU_HASH, 14, 56, 1000)
    with mapwrite.create(gate, spec) as made, CensusTaker(made.info) as taker:
        found = taker.take(AT)
        assert found is not None
        assert found.kinds.entries == 0
        assert not list(found.shares())


def test_a_map_that_is_gone_is_not_counted(gate: Gate) -> None:
    spec = MapSpec("counted", MapType.LRU_HASH, 14, 56, 1000)
    with mapwrite.create(gate, spec) as made:
        taker = CensusTaker(made.info)
    with taker:
        assert taker.take(AT) is None


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [(MapType.HASH, 14, 56), (MapType.LRU_HASH, 8, 56), (MapType.LRU_HASH, 14, 8)],
)
def test_there_is_none_of_other_maps(gate: Gate, kind: MapType, key: int, value: int) -> None:
    with mapwrite.create(gate, MapSpec("other", kind, key, value, 100)) as other:
        assert open_census(other.info) is None


def test_no_program_uses_the_map_for_it(live: BpfMap) -> None:
    with CensusTaker(live.info) as taker:
        taker.take(AT)
        assert not [one for one in all_programs() if live.info.id in one.map_ids]


def test_a_kernel_that_refuses_has_none(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object, **_more: object) -> None:
        raise DatapathError("iter_census.bpf.o does not load: invalid func bpf_loop")

    monkeypatch.setattr(mapiter, "BpfObject", refuse)
    spec = MapSpec("counted", MapType.LRU_HASH, 14, 56, 1000)
    with mapwrite.create(gate, spec) as made:
        assert open_census(made.info) is None
