from __future__ import annotations

import threading
from typing import NoReturn

import pytest

from ctconsole.errors import BpfError
from ctconsole.observe.sampler import Sample, Sampler
from tests.support.fakes import CT4, CT_ANY4, FakeSource, story


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
    one.stop()
    assert "Input/output error" in good[1].error
    assert good[1].node is good[0].node
    assert source.closed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_ours_is_shown_and_not_taken_for_calm(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault() -> NoReturn:
        raise KeyError("nobody thought of this")

    monkeypatch.setattr(source, "maps", fault)
    shown: list[Sample] = []
    one = Sampler(source, 3600, shown.append)
    one.start()
    one.stop()
    assert "nobody thought of this" in shown[-1].error


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
    one.stop()
    assert seen[0].table is None
    assert seen[1].table is source.tables[CT_ANY4]
    assert seen[1].watched == CT_ANY4


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
