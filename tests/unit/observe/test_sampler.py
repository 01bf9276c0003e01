from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn
from weakref import ref

import pytest

from ctconsole.errors import BpfError
from ctconsole.observe.sampler import Sample, Sampler
from tests.support.fakes import CT4, CT_ANY4, FakeSource, random_table, story

if TYPE_CHECKING:
    from pathlib import PurePath
    from weakref import ReferenceType

    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.source import NodeSnapshot


@pytest.fixture
def source() -> FakeSource:
    return FakeSource(most_entries=50)


def sampler(source: FakeSource, budget: float = 0.2) -> Sampler:
    return Sampler(source, 2.0, lambda _: None, budget=budget)


def test_a_sample_holds_maps_events_and_trends(source: FakeSource) -> None:
    sample = sampler(source).sample()
    assert sample.node is not None
    assert sample.node.row(str(CT4))
    assert sample.events == tuple(story())
    assert sample.trends[str(CT4)] == ((source.clock(), 476_102),)
    assert sample.table is None


def test_events_are_asked_for_once(source: FakeSource) -> None:
    one = sampler(source)
    one.sample()
    source.log.append((11, source.log[0][1]))
    assert [number for number, _ in one.sample().events] == list(range(1, 12))


def test_an_error_keeps_what_is_known() -> None:
    source = FakeSource()
    good: list[Sample] = []
    ready = threading.Event()

    def keep(sample: Sample) -> None:
        good.append(sample)
        ready.set()

    one = Sampler(source, 3600, keep)
    one.start()
    assert ready.wait(10)
    ready.clear()
    source.error = BpfError(5, "BPF_OBJ_GET", "here")
    one.hurry()
    assert ready.wait(10)
    one.stop(patience=10)
    assert "Input/output error" in good[1].error
    assert good[1].node is good[0].node
    assert source.closed


def test_a_fault_of_ours_is_shown_and_tried_again(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps, faults = source.maps, iter([KeyError("nobody thought of this")])

    def fault() -> NodeSnapshot:
        for error in faults:
            raise error
        return maps()

    monkeypatch.setattr(source, "maps", fault)
    shown: list[Sample] = []
    enough = threading.Event()

    def keep(sample: Sample) -> None:
        shown.append(sample)
        if len(shown) == 2:
            enough.set()

    one = Sampler(source, 3600, keep)
    one.start()
    assert enough.wait(10)
    one.stop(patience=10)
    assert "The sampler loop fails and is tried again" in shown[0].error
    assert "nobody thought of this" in shown[0].error
    assert shown[1].error == ""
    assert shown[1].node is not None


def test_too_little_memory_for_a_table_is_a_sentence_beside_the_rest(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(where: object, _before: object) -> NoReturn:
        raise MemoryError(f"Unable to allocate 900 MiB for {where}")

    one = sampler(source)
    one.watch(CT4)
    monkeypatch.setattr(source, "table", too_large)
    sample = one.sample()
    assert sample.error.startswith("There is not enough memory: Unable to allocate 900 MiB")
    assert sample.node is not None
    assert sample.events
    monkeypatch.undo()
    assert one.sample().error == ""


def test_stop_does_not_wait_for_a_look_that_takes_long(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    maps = source.maps

    def slow() -> NodeSnapshot:
        begun.set()
        assert go_on.wait(10)
        return maps()

    monkeypatch.setattr(source, "maps", slow)
    monkeypatch.setattr(source, "close", closed.set)
    shown: list[Sample] = []
    one = Sampler(source, 3600, shown.append)
    one.start()
    assert begun.wait(10)
    one.stop(patience=0.01)
    assert not closed.is_set()
    go_on.set()
    assert closed.wait(10)
    assert shown == []


def test_watching_a_map_samples_it_at_once(source: FakeSource) -> None:
    seen: list[Sample] = []
    ready = threading.Semaphore(0)

    def keep(sample: Sample) -> None:
        seen.append(sample)
        ready.release()

    one = Sampler(source, 3600, keep)
    one.start()
    assert ready.acquire(timeout=10)
    one.watch(CT_ANY4)
    assert ready.acquire(timeout=10)
    one.stop(patience=10)
    assert seen[0].table is None
    assert seen[1].table is source.tables[CT_ANY4]
    assert seen[1].watched == CT_ANY4


def test_no_third_table_is_read_while_the_one_before_the_newest_is_still_shown(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = threading.Semaphore(0)
    shown: list[CtTable] = []
    read: list[ReferenceType[CtTable]] = []
    held: list[int] = []

    others = source.table

    def fresh(where: PurePath, before: CtTable | None = None) -> CtTable:
        if where != CT_ANY4:
            return others(where, before)
        held.append(sum(one() is not None for one in read))
        table = random_table(source.rows[where].info, 20, seed=len(read))
        read.append(ref(table))
        return table

    def keep(sample: Sample) -> None:
        if sample.table is not None and len(shown) < 2:
            shown.append(sample.table)
        ready.release()

    monkeypatch.setattr(source, "table", fresh)
    one = Sampler(source, 3600, keep)
    one.watch(CT_ANY4)
    one.start()
    assert ready.acquire(timeout=10)
    one.hurry()
    assert ready.acquire(timeout=10)
    # By now there are two; the third comes by itself when the first is let go of.
    one.hurry()
    let_go = threading.Timer(0.3, shown.clear)
    let_go.start()
    assert ready.acquire(timeout=10)
    one.stop(patience=10)
    let_go.join()
    assert held == [0, 1, 1]


@pytest.mark.parametrize(
    ("cpu_seconds", "pause", "skipped"),
    [(0.0, 2.0, 0), (0.4, 2.0, 0), (0.41, 4.0, 1), (2.0, 10.0, 4)],
)
def test_a_beat_over_the_budget_leaves_out_the_next_ones(
    source: FakeSource, cpu_seconds: float, pause: float, skipped: int
) -> None:
    one = sampler(source, budget=0.2)
    assert one._pause(cpu_seconds) == pytest.approx(pause)
    assert one.sample().skipped == skipped
