"""Advice for pools of nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from ctconsole.cli.fleet.verbs import command
from ctconsole.errors import UsageError
from ctconsole.fleet.pools import advise_pools
from ctconsole.fleet.prometheus import PrometheusClient
from tests.support.fake_prometheus import NOW, FakePrometheus, fake_prometheus, series

if TYPE_CHECKING:
    from collections.abc import Iterator

WEEK = 7 * 86_400.0
POOL = {"map_name": "ct4_global", "capacity": "262144"}


def past(*points: tuple[float, float]) -> list[dict[str, Any]]:
    """Seconds before now, and the most living entries at that time."""
    values = [[NOW - ago, str(value)] for ago, value in points]
    return [{"metric": POOL, "values": values}]


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    """A pool of three nodes: room for 262,144 entries, 100,000 living on the fullest."""
    told = {
        "count by (map_name, capacity) (ctconsole_map_capacity": [series(3, **POOL)],
        "min by (map_name, capacity) (ctconsole_map_capacity": [series(262_144, **POOL)],
        "max by (map_name, capacity) (ctconsole_map_capacity": [series(262_144, **POOL)],
        "ctconsole_map_memory": [series(35_000_000, **POOL)],
        "count by (map_name, capacity) ((sum": [series(3, **POOL)],
        "max by (map_name, capacity) ((sum": [series(100_000, **POOL)],
    }
    with fake_prometheus(told=told, past=past((WEEK, 90_000), (600, 100_000))) as found:
        yield found


def advised(fake: FakePrometheus) -> Any:  # noqa: ANN401 - a PoolAdvice
    found = advise_pools(PrometheusClient(fake.url), window=WEEK, clock=lambda: NOW)
    [one] = found.pools
    return one


def test_a_pool_that_has_room_keeps_its_size(fake: FakePrometheus) -> None:
    one = advised(fake)
    assert (one.pool, one.map, one.nodes, one.living) == ("262144", "ct4_global", 3, True)
    assert (one.advice.verdict, one.advice.wanted) == ("keep", 262_144)
    assert [text for text in one.unknown if "Only" in text] == []


def test_the_worst_node_of_all_its_past_says_the_size(fake: FakePrometheus) -> None:
    fake.past = past((WEEK, 90_000), (86_400, 250_000), (600, 100_000))
    one = advised(fake)
    assert (one.advice.verdict, one.advice.wanted) == ("enlarge", 524_288)
    assert one.advice.peak == (NOW - 86_400, 250_000)
    assert one.memory_wanted == 70_000_000


def test_a_short_history_is_said(fake: FakePrometheus) -> None:
    fake.past = past((3 * 3600.0, 90_000))
    assert "Only 3h of the last 7d are known" in advised(fake).unknown[0]


def test_what_was_thrown_out_is_said(fake: FakePrometheus) -> None:
    fake.past = past((WEEK, 0), (3600, 500), (1800, 20), (60, 120))
    one = advised(fake)
    assert one.evicted == 600
    assert any("thrown out about 600 entries" in text for text in one.unknown)


def test_a_label_is_a_label(fake: FakePrometheus) -> None:
    with pytest.raises(UsageError, match="is no label"):
        advise_pools(PrometheusClient(fake.url), by='x) or up{a="', window=WEEK)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "0", "-1", "1e300"])
def test_no_number_ends_it(fake: FakePrometheus, value: str) -> None:
    fake.told = {
        part: [one | {"value": [NOW, value]} for one in told] for part, told in fake.told.items()
    }
    advise_pools(PrometheusClient(fake.url), window=WEEK, clock=lambda: NOW)


def test_it_is_told_to_people_and_to_programs(
    fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctconsole.fleet.pools.time.time", lambda: NOW)
    fake.past = past((WEEK, 90_000), (86_400, 250_000), (600, 100_000))
    told = CliRunner().invoke(command, ["advise", "--prometheus", fake.url])
    assert "ct4_global (capacity=262144, 3 nodes): now at most 100,000 of 262,144" in told.stdout
    assert "size          524,288 (enlarge)" in told.stdout
    assert "33.4 MiB -> about 66.8 MiB on each node, +100.1 MiB in all" in told.stdout
    assert "not known" in told.stdout
    told = CliRunner().invoke(command, ["advise", "--prometheus", fake.url, "--json"])
    [one] = json.loads(told.stdout)
    assert (one["pool"], one["advised"], one["verdict"]) == ("262144", 524_288, "enlarge")
    fake.told = {}
    fake.past = []
    told = CliRunner().invoke(command, ["advise", "--prometheus", fake.url])
    assert "knows no conntrack or NAT table" in told.stderr
