from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.kernel.attachments import Attachments
from ctconsole.kernel.hooks import Attachment
from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.inventory import Inventory
from ctconsole.observe.reached import Reach, reached

if TYPE_CHECKING:
    from collections.abc import Iterable

CT = 1
OLD_CALLS, NEW_CALLS, EVERYBODYS = 10, 11, 12
MAPS = {
    CT: MapInfo(CT, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 8),
    OLD_CALLS: MapInfo(OLD_CALLS, "cilium_calls_00", MapType.PROG_ARRAY, 4, 4, 33),
    NEW_CALLS: MapInfo(NEW_CALLS, "cilium_calls_00", MapType.PROG_ARRAY, 4, 4, 33),
    EVERYBODYS: MapInfo(EVERYBODYS, "cilium_call_pol", MapType.PROG_ARRAY, 4, 4, 65535),
}


def program(number: int, *uses: int) -> ProgramInfo:
    return ProgramInfo(number, ProgramType.SCHED_CLS, "p", "", uses, 0, 0)


def attached(*numbers: int, unknown: tuple[str, ...] = ()) -> Attachments:
    return Attachments(tuple(Attachment("tc", "eth0", one) for one in numbers), unknown)


def test_programs_of_an_object_are_reached_through_the_array_they_share() -> None:
    programs = [program(1, CT, NEW_CALLS), program(2, CT, NEW_CALLS), program(3, CT, OLD_CALLS)]
    assert reached(programs, MAPS, attached(1)) == {1, 2}


def test_a_generation_whose_array_only_a_descriptor_holds_is_not() -> None:
    programs = [program(1, NEW_CALLS, EVERYBODYS), program(2, CT, OLD_CALLS, EVERYBODYS)]
    assert reached(programs, MAPS, attached(1)) == {1}


def test_one_that_is_only_in_an_array_of_all_counts_as_reached() -> None:
    assert reached([program(1, CT, EVERYBODYS)], MAPS, attached()) == {1}


def test_where_a_namespace_could_not_be_asked_whatever_may_be_attached_there_counts() -> None:
    assert reached([program(1, CT)], MAPS, attached()) == set()
    assert reached([program(1, CT)], MAPS, attached(unknown=("pod: busy",))) == {1}


def test_what_user_space_calls_is_none_of_the_programs_that_use_a_map() -> None:
    """The passes of a resize have a map as programs of packets do, and never leave it."""

    class Known(Inventory):
        def programs(self) -> Iterable[ProgramInfo]:
            call = ProgramInfo(2, ProgramType.SYSCALL, "seed", "", (CT,), 0, 0)
            return [program(1, CT), call]

    assert [one.id for one in Reach(Known()).programs()] == [1]
