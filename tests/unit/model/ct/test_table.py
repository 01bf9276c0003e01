from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctconsole.errors import FormatError
from ctconsole.model.ct.layout import Layout, value_dtype
from ctconsole.model.ct.table import CtTable, Direction, State, joined
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.model.text.addresses import address_text
from tests.support.captures import tables
from tests.support.ct_tables import Entry, ct_table

INFO = MapInfo(7, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 1024)


def test_ends_are_the_way_a_person_means() -> None:
    service, outgoing, incoming = range(3)
    table = tables("real-1.18-svc")[0]
    ends = table.ends
    assert list(table.direction) == [Direction.SERVICE, Direction.OUT, Direction.IN]
    assert address_text(ends.source[service].tobytes()) == "10.244.1.8"
    assert address_text(ends.destination[service].tobytes()) == "10.96.0.10"
    assert (ends.source_port[service], ends.destination_port[service]) == (37278, 80)
    for row in (outgoing, incoming):
        assert address_text(ends.source[row].tobytes()) == "10.244.1.8"
        assert address_text(ends.destination[row].tobytes()) == "10.244.1.192"
        assert (ends.source_port[row], ends.destination_port[row]) == (37278, 8080)


def test_states_follow_the_clock() -> None:
    now = tables("real-1.18-a", now=1509)[0]
    assert int(now.alive.sum()) == 4
    assert set(now.state[~now.alive]) == {State.EXPIRED}
    later = tables("real-1.18-a", now=20_000)[0]
    assert not later.alive.any()
    assert not later.established.any()


def test_jiffies_become_seconds_as_cilium_counts_them() -> None:
    values = np.zeros(2, value_dtype(Layout.V1_9))
    # 100 s and 30 s from a clock of 1000 Hz that stands at 5,000,000 jiffies.
    values["lifetime"] = [5_100_000 >> 8, 4_970_000 >> 8]
    keys = np.zeros((2, 14), np.uint8)
    raw = values.view(np.uint8).reshape(2, 56)
    table = CtTable.from_raw(
        INFO, Layout.V1_9, keys, raw, now=5_000_000 >> 8, taken_at=1e9, hertz=1000
    )
    assert table.remaining.tolist() == [100, -30]
    assert table.alive.tolist() == [True, False]
    assert table.take(slice(1, 2)).remaining.tolist() == [-30]


def test_established_closing_and_opening() -> None:
    table = tables("handmade-1.9", now=1059)[0]
    assert [State(code).name for code in table.state] == [
        "OPENING",
        "CLOSING",
        "ESTABLISHED",
        "ESTABLISHED",
    ]
    assert list(table.established) == [False, False, True, True]


def test_counters_of_service_entries_leave_the_backend_out() -> None:
    table = tables("handmade-1.9")[0]
    keys, values = table.keys.copy(), table.values.copy()
    keys["flags"] = 4
    values["rx_bytes"], values["tx_bytes"] = 5, 100
    service = CtTable(INFO, Layout.V1_9, keys, values, now=0, taken_at=0.0)
    assert list(service.backend) == [5] * 4
    assert list(service.bytes) == [100] * 4


def test_tables_are_frozen_and_cheap() -> None:
    raw_keys, raw_values = np.zeros((2, 14), np.uint8), np.zeros((2, 56), np.uint8)
    table = CtTable.from_raw(INFO, Layout.V1_9, raw_keys, raw_values)
    assert np.shares_memory(table.keys, raw_keys)
    with pytest.raises(ValueError, match="read-only"):
        table.values["lifetime"][0] = 1


@pytest.mark.parametrize(("key", "value"), [(14, 48), (12, 56), (38, 40)])
def test_other_sizes_are_refused(key: int, value: int) -> None:
    with pytest.raises(FormatError, match=f"values of {value} bytes"):
        CtTable.from_raw(
            INFO, Layout.V1_9, np.zeros((1, key), np.uint8), np.zeros((1, value), np.uint8)
        )


def test_parts_of_a_table_are_joined_byte_for_byte() -> None:
    table = ct_table(Entry("10.0.1.1:40000"), Entry("10.0.1.2:443"), Entry("10.0.1.3:80"))
    found = joined([table.take(slice(0, 1)), table.take(slice(1, 3))])
    assert (found.keys.dtype, found.values.dtype) == (table.keys.dtype, table.values.dtype)
    assert found.keys.tobytes() == table.keys.tobytes()
    assert found.values.tobytes() == table.values.tobytes()


@pytest.mark.parametrize("hertz", [0, 1, 100, 250, 300, 1000])
@pytest.mark.parametrize("now", [0, 5, 1_000_000, (1 << 32) - 1])
def test_what_is_before_a_moment_is_told_as_by_its_seconds(hertz: int, now: int) -> None:
    table = replace(ct_table(Entry()), hertz=hertz, now=now)
    near = np.arange(max(0, now - 500), min(now + 500, 1 << 32), dtype=np.uint32)
    stamps = np.concatenate((near, np.array([0, 1, 1 << 31, (1 << 32) - 1], np.uint32)))
    for seconds in (-60, -1, 0, 1, 90):
        slowly = table.seconds_from_now(stamps) < seconds
        assert np.array_equal(table.is_before(stamps, seconds), slowly)
