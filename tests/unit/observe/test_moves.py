from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.event import EventKind, Level
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.moves import Moves
from ctconsole.observe.pins import Replacement

OLD = MapInfo(549, "cilium_lxc", MapType.HASH, 20, 48, 8)
NEW = replace(OLD, id=588)


class Node:
    """Programs and a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.programs = [self.program(number, OLD.id) for number in range(3)]
        self.moves = Moves(60.0, programs=lambda: list(self.programs), clock=lambda: self.now)
        path = Path("/sys/fs/bpf/tc/globals/cilium_lxc")
        self.moves.begin([Replacement(path, OLD, NEW, self.now, lost=3, keys=None)])

    @staticmethod
    def program(number: int, uses: int) -> ProgramInfo:
        return ProgramInfo(number, ProgramType.SCHED_CLS, "p", "", (uses, 7), 0, 0)

    def after(self, seconds: float, moved: int) -> list[EventKind]:
        """What is told after so many seconds, when so many programs have moved."""
        self.now = 1000.0 + seconds
        self.programs = [self.program(n, NEW.id if n < moved else OLD.id) for n in range(3)]
        self.events = self.moves.step()
        return [event.kind for event in self.events]


def test_the_last_program_that_leaves_is_told_with_its_time() -> None:
    node = Node()
    assert node.after(1.0, moved=2) == []
    assert node.after(4.3, moved=3) == [EventKind.PROGRAM_REPLACED]
    fields = node.events[0].fields
    assert (fields["seconds"], fields["programs"], fields["users_before"]) == (4.3, 3, 3)
    assert node.after(5.0, moved=3) == []
    assert node.after(60.0, moved=3) == []
    assert not node.moves.busy


def test_programs_that_are_late_are_an_alarm_long_before_the_story() -> None:
    node = Node()
    assert node.after(14.0, moved=1) == []
    assert node.after(15.0, moved=1) == [EventKind.SPLIT_BRAIN]
    assert (node.events[0].level, node.events[0].fields["left"]) == (Level.ERROR, 2)
    assert node.after(16.0, moved=1) == []
    assert node.after(20.0, moved=3) == [EventKind.PROGRAM_REPLACED]


def test_programs_that_never_move_are_told_at_the_end() -> None:
    node = Node()
    node.after(15.0, moved=0)
    assert node.after(60.0, moved=0) == [EventKind.SPLIT_BRAIN]
    assert not node.moves.busy
