from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.event import EventKind, Level
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.moves import Moves
from ctconsole.observe.pins import Replacement
from ctconsole.observe.reached import Reach

if TYPE_CHECKING:
    from collections.abc import Iterable

OLD = MapInfo(549, "cilium_lxc", MapType.HASH, 20, 48, 8)
NEW = replace(OLD, id=588)


class Known(Reach):
    """Programs that a test sets, all of them reached but for some."""

    def __init__(self, programs: list[ProgramInfo]) -> None:
        super().__init__()
        self.all = programs
        self.dead: set[int] = set()

    def programs(self) -> list[ProgramInfo]:
        return list(self.all)

    def among(self, programs: Iterable[ProgramInfo]) -> list[ProgramInfo]:
        return [program for program in programs if program.id not in self.dead]


class Node:
    """Programs and a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.known = Known([self.program(number, OLD.id) for number in range(3)])
        self.moves = Moves(60.0, reach=self.known, clock=lambda: self.now)
        path = Path("/sys/fs/bpf/tc/globals/cilium_lxc")
        self.moves.begin([Replacement(path, OLD, NEW, self.now, lost=3, keys=None)])

    @staticmethod
    def program(number: int, uses: int) -> ProgramInfo:
        return ProgramInfo(number, ProgramType.SCHED_CLS, "p", "", (uses, 7), 0, 0)

    def after(self, seconds: float, moved: int) -> list[EventKind]:
        """What is told after so many seconds, when so many programs have moved."""
        self.now = 1000.0 + seconds
        self.known.all = [self.program(n, NEW.id if n < moved else OLD.id) for n in range(3)]
        self.events = self.moves.step()
        return [event.kind for event in self.events]


def test_the_last_program_that_leaves_is_told_with_its_time() -> None:
    node = Node()
    assert node.after(1.0, moved=2) == []
    assert node.after(4.2, moved=2) == []
    # It left between these two looks, so half of what lies between them.
    assert node.after(4.4, moved=3) == [EventKind.PROGRAM_REPLACED]
    fields = node.events[0].fields
    assert (fields["seconds"], fields["programs"], fields["users_before"]) == (4.3, 3, 3)
    assert node.after(5.0, moved=3) == []
    assert node.after(60.0, moved=3) == []
    assert not node.moves.busy


def test_programs_that_moved_before_the_first_look_are_told_too() -> None:
    node = Node()
    node.known.all = [node.program(number, NEW.id) for number in range(3)]
    node.moves = Moves(60.0, reach=node.known, clock=lambda: node.now)
    path = Path("/sys/fs/bpf/tc/globals/cilium_lxc")
    node.moves.begin([Replacement(path, OLD, NEW, node.now, lost=3, keys=None)])
    assert node.after(0.1, moved=3) == [EventKind.PROGRAM_REPLACED]
    assert node.events[0].message == "3 programs had left map 549 when it was looked at"
    assert node.events[0].fields["seconds"] == 0.05


def test_a_map_that_no_program_uses_has_no_programs_that_move() -> None:
    node = Node()
    node.known.all = []
    node.moves = Moves(60.0, reach=node.known, clock=lambda: node.now)
    path = Path("/sys/fs/bpf/tc/globals/cilium_lxc")
    node.moves.begin([Replacement(path, OLD, NEW, node.now, lost=3, keys=None)])
    node.now += 0.1
    assert node.moves.step() == []


def test_programs_that_are_late_are_an_alarm_long_before_the_story() -> None:
    node = Node()
    assert node.after(14.0, moved=1) == []
    assert node.after(15.0, moved=1) == [EventKind.SPLIT_BRAIN]
    assert (node.events[0].level, node.events[0].fields["left"]) == (Level.ERROR, 2)
    assert node.after(16.0, moved=1) == []
    assert node.after(20.0, moved=3) == [EventKind.PROGRAM_REPLACED]


def test_programs_that_nothing_calls_any_more_keep_no_move_from_being_over() -> None:
    node = Node()
    assert node.after(1.0, moved=1) == []
    node.known.dead = {2}
    assert node.after(4.0, moved=2) == [EventKind.PROGRAM_REPLACED]
    assert node.events[0].fields["seconds"] == 2.5
    assert node.after(20.0, moved=2) == []


def test_programs_that_nothing_called_from_the_beginning_did_not_move() -> None:
    node = Node()
    node.known.dead = {0, 1, 2}
    assert node.after(1.0, moved=0) == []
    assert node.after(60.0, moved=0) == []


def test_programs_that_never_move_are_told_at_the_end() -> None:
    node = Node()
    node.after(15.0, moved=0)
    assert node.after(60.0, moved=0) == [EventKind.SPLIT_BRAIN]
    assert not node.moves.busy


class Slow(Known):
    """Programs of which each listing takes 0.8 s of a node's time."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.known.all)
        self.node = node

    def programs(self) -> list[ProgramInfo]:
        self.node.now += 0.4
        found = super().programs()
        self.node.now += 0.4
        return found


def test_a_long_look_makes_the_time_no_later() -> None:
    node = Node()
    node.known = Slow(node)
    node.moves = Moves(60.0, reach=node.known, clock=lambda: node.now)
    path = Path("/sys/fs/bpf/tc/globals/cilium_lxc")
    node.moves.begin([Replacement(path, OLD, NEW, 1000.0, lost=3, keys=None)])
    # Looks at 1.4 and 2.6 in their middles; the last program left between these.
    assert node.after(1.0, moved=2) == []
    assert node.after(2.2, moved=3) == [EventKind.PROGRAM_REPLACED]
    assert node.events[0].fields["seconds"] == 2.0
