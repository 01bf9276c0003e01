"""What needs a look is told in words, and a full table is never told to fill up soon."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from ctconsole.model.ct.turnover import Turnover
from ctconsole.model.event import Level
from ctconsole.model.fullness import Thresholds
from ctconsole.observe.alarms import advice_of, alarms, full_of
from ctconsole.observe.sampler import Sample
from tests.support.fakes import CT4, CT_ANY4, EPOCH, FakeSource


def sample(counts: dict[float, int], turnover: Turnover | None = None) -> Sample:
    """A node whose ct4 had so many entries so many seconds ago; nothing else is in it."""
    source = FakeSource()
    source.rows = {CT4: replace(source.rows[CT4], entries=counts[0.0])}
    node = replace(source.maps(), cpus=2)
    trend = tuple((EPOCH - ago, entries) for ago, entries in sorted(counts.items(), reverse=True))
    turnovers = {str(CT4): turnover} if turnover else {}
    return Sample(
        node=node,
        trends=MappingProxyType({str(CT4): trend}),
        turnovers=MappingProxyType(turnovers),
        taken_at=EPOCH,
    )


def test_a_full_table_is_full_however_its_count_moves() -> None:
    for now in (524_040, 524_250, 524_288):
        counts = {600.0: 500_000, 20.0: 524_100, 10.0: 524_180, 0.0: now}
        found = sample(counts, Turnover(2.0, 300.0, 320.0, 320.0))
        [alarm] = alarms(found)
        assert alarm.level is Level.ERROR
        assert "cilium_ct4_global is FULL: evicting about 320/s, live ones too, since" in alarm.text
        assert "full in" not in alarm.text
        row = found.node.rows[0] if found.node else None
        assert row is not None
        assert full_of(found, row) is not None
        advice = advice_of(found, row)
        assert advice
        assert advice.full_in is None


def test_nobody_is_to_enlarge_a_map_that_is_on_its_way_out() -> None:
    found = sample({60.0: 524_288, 0.0: 524_288})
    assert len(alarms(found)) == 1
    assert found.node is not None
    [row] = found.node.rows
    for sign in (":old", ":pending"):
        leaving = replace(row, info=replace(row.info, pin=CT4.with_name(f"{CT4.name}{sign}")))
        trends = MappingProxyType({leaving.key: found.trends[row.key]})
        assert not alarms(replace(found, node=replace(found.node, rows=(leaving,)), trends=trends))


def test_a_table_that_fills_up_is_told_when_it_will_be_full() -> None:
    [alarm] = alarms(sample({60.0: 400_000, 0.0: 430_000}))
    assert alarm.level is Level.WARNING
    assert "is 82% full, at +500/s it is full in about 3m 8s" in alarm.text


def test_the_fullest_comes_first_and_none_is_kept_back() -> None:
    source = FakeSource()
    source.rows[CT_ANY4] = replace(source.rows[CT_ANY4], entries=262_144)
    node = source.maps()
    found = Sample(
        node=node,
        trends=MappingProxyType({row.key: ((EPOCH, row.entries or 0),) for row in node.rows}),
    )
    told = [one.text for one in alarms(found)]
    assert [text.split(" is ")[0] for text in told] == [
        "cilium_ct_any4_global",
        "cilium_ct4_global",
        "cilium_snat_v4_external",
    ]
    assert alarms(Sample()) == ()


def test_a_map_with_thresholds_of_its_own_is_told_of_by_those() -> None:
    found = sample({0.0: 200_000})
    assert alarms(found) == ()
    [alarm] = alarms(found, Thresholds(own={"ct4": (0.2, 0.3)}))
    assert alarm.level is Level.ERROR
    assert "cilium_ct4_global is 38% full" in alarm.text
