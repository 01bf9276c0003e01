from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BusyError, ClusterError, CutOffError
from ctconsole.fleet.rolling.journal import NodeState, RollingJournal, RunNotes
from ctconsole.fleet.rolling.watch import Limits
from tests.support.rolling import BEFORE, SIZE, FakeFleet, FakeOption, notes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[RollingJournal]:
    with RollingJournal(tmp_path / "run.json") as opened:
        yield opened


def states(run: RunNotes) -> list[str]:
    return [one.state.value for one in run.nodes]


def kept(journal: RollingJournal) -> RunNotes:
    found = journal.read()
    assert found is not None
    return found


def test_nodes_are_resized_one_after_the_other(tmp_path: Path, journal: RollingJournal) -> None:
    fleet = FakeFleet(tmp_path)
    report = fleet.run(journal).forward()
    assert report.ok
    assert fleet.nodes.did == ["a 2000", "b 2000", "c 2000"]
    assert kept(journal).over
    assert states(kept(journal)) == ["done"] * 3


def test_a_node_is_in_the_journal_before_it_is_begun(
    tmp_path: Path, journal: RollingJournal
) -> None:
    fleet = FakeFleet(tmp_path)
    seen = []
    fleet.nodes.then = lambda name: seen.append((name, states(kept(journal))))
    fleet.run(journal).forward()
    assert seen == [
        ("a", ["begun", "to do", "to do"]),
        ("b", ["done", "begun", "to do"]),
        ("c", ["done", "done", "begun"]),
    ]


def test_trouble_on_the_second_node_keeps_the_third_from_being_begun(
    tmp_path: Path, journal: RollingJournal
) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.nodes.fails["b"] = ClusterError("b: the disk is full")
    report = fleet.run(journal).forward()
    assert not report.ok
    assert report.failure == f"b: the disk is full; it holds {BEFORE} entries"
    assert states(report.run) == ["done", "failed", "to do"]
    assert fleet.nodes.sizes == {"a": SIZE, "b": BEFORE, "c": BEFORE}
    assert not kept(journal).over


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"evicted": 7}, "a: 7 living entries were evicted since"),
        ({"refused": 1}, "a: 1 entries could not be created since"),
        ({"split": 1}, "a: 1 pins are used by no program while programs use an older map"),
        ({"entries": 1950}, "a: the table is 98% full"),
        ({"capacity": 1000}, "a: Prometheus sees a table for 1,000 entries, not 2,000"),
    ],
)
def test_a_node_that_is_not_well_after_it_stops_the_run(
    tmp_path: Path, journal: RollingJournal, changed: dict[str, object], sentence: str
) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.nodes.then = lambda name: fleet.health.changed.update({name: changed})
    report = fleet.run(journal).forward()
    assert report.failure == sentence
    assert fleet.nodes.did == ["a 2000"]


def test_a_node_done_before_is_watched_as_well(tmp_path: Path, journal: RollingJournal) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.nodes.then = lambda name: fleet.health.changed.update(
        {"a": {"evicted": 3}} if name == "b" else {}
    )
    report = fleet.run(journal).forward()
    assert report.failure == "a: 3 living entries were evicted since"
    assert fleet.nodes.did == ["a 2000", "b 2000"]


def test_silence_is_trouble_after_its_time(tmp_path: Path, journal: RollingJournal) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.nodes.then = fleet.health.silent.add
    report = fleet.run(journal).forward()
    assert report.failure.startswith("a: no new figures of it for 1m")
    assert fleet.health.now >= fleet.limits.silence
    assert fleet.nodes.did == ["a 2000"]


def test_a_prometheus_that_is_away_for_a_while_is_waited_for(
    tmp_path: Path, journal: RollingJournal
) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.nodes.then = lambda _: setattr(fleet.health, "gone", 4)
    assert fleet.run(journal).forward().ok


def test_a_node_that_is_not_well_before_is_not_begun(
    tmp_path: Path, journal: RollingJournal
) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.health.changed["a"] = {"split": 2}
    assert "it is not begun" in fleet.run(journal).forward().failure
    fleet.health.changed["a"] = {"up": False}
    assert "it is not begun" in fleet.run(journal).forward().failure
    assert fleet.nodes.did == []


def test_trouble_leads_back_where_that_was_asked_for(
    tmp_path: Path, journal: RollingJournal
) -> None:
    fleet = FakeFleet(tmp_path, Limits(seconds=1, silence=5, undo=True), option=FakeOption())
    fleet.nodes.fails["c"] = ClusterError("c: no")
    report = fleet.run(journal).forward()
    assert report.failure.endswith("every node of this run has the size before again")
    assert fleet.nodes.did == ["a 2000", "b 2000", "c 2000", "b undo", "a undo"]
    assert set(fleet.nodes.sizes.values()) == {BEFORE}
    assert states(report.run) == ["undone", "undone", "undone"]
    assert fleet.option is not None
    assert fleet.option.values == ["2000", "old"]
    assert kept(journal).over


def test_entries_that_were_lost_are_trouble(tmp_path: Path, journal: RollingJournal) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.nodes.lost = 2
    assert "2 not found again" in fleet.run(journal).forward().failure
    assert fleet.nodes.did == ["a 2000"]


def test_the_option_is_written_before_the_first_node(
    tmp_path: Path, journal: RollingJournal
) -> None:
    fleet = FakeFleet(tmp_path, option=FakeOption())
    option = fleet.option
    assert option is not None
    seen = []
    fleet.nodes.then = lambda _: seen.append(list(option.values))
    fleet.run(journal).forward()
    assert seen[0] == ["2000"]
    assert kept(journal).option_written


def test_several_at_a_time(tmp_path: Path, journal: RollingJournal) -> None:
    fleet = FakeFleet(tmp_path, Limits(seconds=1, silence=5, at_a_time=2))
    fleet.nodes.fails["b"] = ClusterError("b: no")
    report = fleet.run(journal).forward()
    assert sorted(fleet.nodes.did) == ["a 2000", "b 2000"]
    assert states(report.run) == ["done", "failed", "to do"]


class TestResume:
    def cut_off(self, state: NodeState) -> RunNotes:
        run = notes("a", "b", "c")
        run = run.with_node(replace(run.of("a"), state=NodeState.DONE))
        return run.with_node(replace(run.of("b"), state=state))

    def test_a_node_that_was_begun_is_asked_and_was_done(
        self, tmp_path: Path, journal: RollingJournal
    ) -> None:
        fleet = FakeFleet(tmp_path)
        fleet.nodes.sizes |= {"a": SIZE, "b": SIZE}
        report = fleet.run(journal, self.cut_off(NodeState.BEGUN)).forward()
        assert report.ok
        assert fleet.nodes.did == ["c 2000"]
        assert report.run.of("b").note == "it has the size, as it says itself"

    def test_one_that_is_still_at_it_is_waited_for(
        self, tmp_path: Path, journal: RollingJournal
    ) -> None:
        fleet = FakeFleet(tmp_path)
        fleet.nodes.sizes |= {"a": SIZE, "b": SIZE}
        fleet.nodes.busy["b"] = 3
        assert fleet.run(journal, self.cut_off(NodeState.BEGUN)).forward().ok
        assert fleet.nodes.did == ["c 2000"]

    def test_one_that_does_not_come_to_its_end_stops_the_run(
        self, tmp_path: Path, journal: RollingJournal
    ) -> None:
        fleet = FakeFleet(tmp_path)
        fleet.nodes.busy["b"] = 1 << 30
        report = fleet.run(journal, self.cut_off(NodeState.BEGUN)).forward()
        assert report.failure == "b: what became of it is not known: process 1 resizes"
        assert states(kept(journal)) == ["done", "begun", "to do"]

    def test_one_that_was_led_back_or_cut_off_is_begun_anew(
        self, tmp_path: Path, journal: RollingJournal
    ) -> None:
        fleet = FakeFleet(tmp_path)
        fleet.nodes.sizes["a"] = SIZE
        fleet.nodes.cut_off.add("b")
        assert fleet.run(journal, self.cut_off(NodeState.BEGUN)).forward().ok
        assert fleet.nodes.did == ["b 2000", "c 2000"]

    def test_a_connection_that_breaks_is_no_failure_of_the_node(
        self, tmp_path: Path, journal: RollingJournal
    ) -> None:
        fleet = FakeFleet(tmp_path)
        fleet.nodes.fails["b"] = CutOffError("the connection broke")
        fleet.nodes.then = lambda name: fleet.nodes.sizes.update({name: SIZE})
        assert fleet.run(journal).forward().ok
        assert fleet.nodes.did == ["a 2000", "b 2000", "c 2000"]


def test_who_asks_to_stop_is_told_how_far_it_is(tmp_path: Path, journal: RollingJournal) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.nodes.then = lambda _: setattr(fleet, "cancelled", True)
    report = fleet.run(journal).forward()
    assert report.stopped
    assert report.failure == "Stopped as asked: no node is at work"
    assert states(kept(journal)) == ["done", "to do", "to do"]


def test_a_lease_that_is_lost_stops_it_and_leads_nothing_back(
    tmp_path: Path, journal: RollingJournal
) -> None:
    fleet = FakeFleet(tmp_path, Limits(seconds=1, silence=5, undo=True))
    run = fleet.run(journal)

    def check() -> None:
        if fleet.nodes.did:
            raise BusyError("The Lease was taken by x")

    run.check = check
    assert run.forward().failure == "The Lease was taken by x"
    assert fleet.nodes.did == ["a 2000"]


def test_nodes_are_led_back_on_demand_the_last_one_first(
    tmp_path: Path, journal: RollingJournal
) -> None:
    fleet = FakeFleet(tmp_path)
    fleet.run(journal).forward()
    report = fleet.run(journal, kept(journal)).back()
    assert fleet.nodes.did[3:] == ["c undo", "b undo", "a undo"]
    assert report.failure == ""
    assert states(report.run) == ["undone"] * 3


class TestJournal:
    def test_it_is_its_users_alone(self, journal: RollingJournal) -> None:
        journal.write(notes("a"))
        assert journal.path.stat().st_mode & 0o777 == 0o600
        assert kept(journal) == notes("a")

    def test_two_at_once_are_refused(self, journal: RollingJournal) -> None:
        with pytest.raises(BusyError, match="is at the run of"):
            RollingJournal(journal.path)

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"form": 2}', '{"form": 1, "nodes": [{}]}', "[" * 100_000]
    )
    def test_what_is_none_is_one_sentence(self, journal: RollingJournal, text: str) -> None:
        journal.path.write_text(text)
        with pytest.raises(Exception, match="is no journal of a rolling resize") as caught:
            journal.read()
        assert "\n" not in str(caught.value)

    def test_states_that_nobody_knows_are_refused(self, journal: RollingJournal) -> None:
        journal.write(notes("a"))
        told = json.loads(journal.path.read_text())
        told["nodes"][0]["state"] = "dancing"
        journal.path.write_text(json.dumps(told))
        with pytest.raises(Exception, match="dancing"):
            journal.read()
