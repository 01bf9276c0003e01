"""What a Prometheus is asked for with our recording rules, with some of them and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.fleet.looking import QUERIES, RULED, SLOW, FleetLooker
from ctconsole.fleet.prometheus import PrometheusClient
from tests.support.fake_prometheus import NOW, FakePrometheus, a_fleet, fake_prometheus, series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RATIO = "ctconsole_map_entries:ratio"
SELECTOR = 'instance=~".*"'


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    """Three of its four nodes answer."""
    with fake_prometheus(told=a_fleet()) as found:
        yield found


def looking(fake: FakePrometheus, *times: float) -> FleetLooker:
    moments = iter(times)
    return FleetLooker(PrometheusClient(fake.url), clock=lambda: next(moments))


def asked(fake: FakePrometheus, names: Mapping[str, str]) -> set[str]:
    """Which fields were asked for in their own words since it was asked last."""
    own = {name: query.replace("%s", SELECTOR) for name, query in names.items()}
    return {name for name, query in own.items() if query in fake.asked}


def recorded(fake: FakePrometheus) -> None:
    """Have it tell every record, each of the same nodes."""
    by_map = fake.told[RATIO]
    one_each = [series(1, instance=f"n{number}") for number in (1, 2, 3)]
    fake.told = {"instance:ctconsole": one_each, "seconds_to_full": one_each, **fake.told}
    assert fake.told[RATIO] is by_map


def test_exporters_of_another_job_are_told_of(fake: FakePrometheus) -> None:
    assert looking(fake, NOW).look().missing == ()
    fake.told["up{"] = fake.told["up{"][:1]
    [told] = looking(fake, NOW).look().missing
    assert told == (
        "whether their exporters answer is not known of 3 of 4 nodes: "
        "the job that scrapes them has no ctconsole in its name"
    )


def test_with_the_rules_nothing_else_is_asked_for(fake: FakePrometheus) -> None:
    recorded(fake)
    look = looking(fake, NOW).look()
    assert asked(fake, RULED) == set(RULED)
    assert asked(fake, {**QUERIES, **SLOW}) == set(QUERIES) - set(RULED)
    assert look.ruled
    assert {one.node: one.lost for one in look.nodes} == {"n0": None, "n1": 1, "n2": 1, "n3": 1}


def test_what_older_rules_do_not_record_is_asked_for_itself(fake: FakePrometheus) -> None:
    look = looking(fake, NOW).look()
    assert asked(fake, QUERIES) == set(QUERIES) - {"fill", "split"}
    assert asked(fake, SLOW) == {"evicted", "refused"}
    assert look.ruled
    assert [one.entries for one in look.nodes] == [1000, 1000, 1000, None]


@pytest.mark.parametrize("lacking", ["n1", "n3"])
def test_rules_that_do_not_know_each_node_are_not_believed(
    fake: FakePrometheus, lacking: str
) -> None:
    """They may have come a moment ago, or may be those of a part of the fleet."""
    recorded(fake)
    fake.told[RATIO] = [one for one in fake.told[RATIO] if one["metric"]["instance"] != lacking]
    look = looking(fake, NOW).look()
    assert asked(fake, QUERIES) == set(QUERIES)
    assert asked(fake, SLOW) == set(SLOW)
    assert {one.node for one in look.nodes if one.fills} == {"n1", "n2", "n3"}


def test_without_rules_what_looks_back_is_asked_for_once_a_minute(fake: FakePrometheus) -> None:
    del fake.told[RATIO]
    looker = looking(fake, NOW, NOW + 59, NOW + 60)
    for expected in (set(SLOW), set(), set(SLOW)):
        fake.asked.clear()
        look = looker.look()
        assert asked(fake, QUERIES) == set(QUERIES)
        assert asked(fake, SLOW) == expected
        assert not look.ruled
        assert {one.node for one in look.nodes if one.lost} == {"n1"}
