from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from ctconsole import loops
from ctconsole.errors import CtconsoleError
from ctconsole.loops import LONGEST_PAUSE, Loop, LoopState, pause_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 10.0


class Work:
    """A step that does what it is told next, and says when it was called."""

    def __init__(self, *turns: BaseException | float | None) -> None:
        self._turns: Iterator[BaseException | float | None] = iter(turns)
        self.done = threading.Event()
        self.calls = 0

    def __call__(self) -> float | None:
        self.calls += 1
        turn = next(self._turns, None)
        if turn is None:
            self.done.set()
        if isinstance(turn, BaseException):
            raise turn
        return turn


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "FIRST_PAUSE", 0.001)


def ignore(state: LoopState) -> None:
    del state


def run(work: Callable[[], float | None]) -> list[LoopState]:
    told: list[LoopState] = []
    Loop("worker", work, told.append).run()
    return told


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (CtconsoleError("The map is gone", hint="Look again"), "The map is gone. Look again"),
        (OSError("no descriptor"), "no descriptor"),
        (MemoryError(), "There is not enough memory"),
        (MemoryError("for an array"), "There is not enough memory: for an array"),
        (KeyError("x"), "a fault of this program at test_loops.py:"),
    ],
)
def test_a_step_that_raises_is_told_and_tried_again(error: Exception, sentence: str) -> None:
    work = Work(0.0, error, 0.0, None)
    (told,) = run(work)
    assert work.calls == 4
    assert told.running
    assert told.failures == 1
    assert told.error.startswith(sentence)
    assert str(told).startswith(f"The worker loop fails and is tried again: {sentence}")


def test_the_same_failure_in_a_row_is_told_once() -> None:
    told = run(Work(OSError("a"), OSError("a"), OSError("b"), 0.0, OSError("b"), None))
    assert [state.error for state in told] == ["a", "b", "b"]


def test_pauses_grow_to_a_limit() -> None:
    pauses = [pause_after(failures) for failures in range(1, 40)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[3] < pauses[-1] == LONGEST_PAUSE


def test_who_is_told_may_fail_too() -> None:
    work = Work(OSError("a"), None)

    def raising(state: LoopState) -> None:
        raise RuntimeError(str(state))

    Loop("worker", work, raising).run()
    assert work.calls == 2


def test_trouble_is_known_while_it_lasts() -> None:
    seen: list[tuple[LoopState, ...]] = []
    turns: Iterator[int] = iter(range(3))

    def step() -> float | None:
        seen.append(loops.troubles())
        turn = next(turns)
        if turn == 0:
            raise OSError("no descriptor")
        return 0.0 if turn == 1 else None

    run(step)
    before, during, after = seen
    assert before == after == loops.troubles() == ()
    assert [(state.name, state.error) for state in during] == [("worker", "no descriptor")]
    assert LoopState.from_dict(during[0].as_dict()) == during[0]


def test_what_ends_the_interpreter_ends_a_loop_and_is_known_to_have() -> None:
    told: list[LoopState] = []
    loop = Loop("worker", Work(SystemExit("enough")), told.append)
    with pytest.raises(SystemExit):
        loop.run()
    assert [str(state) for state in told] == [str(loop.state)]
    assert str(loop.state).startswith("The worker loop has ended: ")
    assert loop.state in loops.troubles()
    loop.stop()
    assert loops.troubles() == ()


def test_a_rest_is_ended_by_hurry_and_by_stop() -> None:
    twice, finished = threading.Event(), threading.Event()
    work = Work(3600.0, 3600.0)

    def step() -> float | None:
        rest = work()
        if work.calls == 2:
            twice.set()
        return rest

    loop = Loop("worker", step, ignore, finish=finished.set)
    assert loop.start()
    assert not loop.start()
    loop.hurry()
    assert twice.wait(PATIENCE)
    assert loop.stop(PATIENCE)
    assert finished.is_set()
    assert not loop.alive
    assert loops.troubles() == ()


def test_stop_does_not_wait_for_a_long_step() -> None:
    begun, go_on, finished = threading.Event(), threading.Event(), threading.Event()

    def step() -> float | None:
        begun.set()
        go_on.wait(PATIENCE)
        raise OSError("too late to matter")

    told: list[LoopState] = []
    loop = Loop("worker", step, told.append, finish=finished.set)
    loop.start()
    assert begun.wait(PATIENCE)
    assert not loop.stop(patience=0.01)
    assert not finished.is_set()
    go_on.set()
    assert finished.wait(PATIENCE)
    assert told == []
