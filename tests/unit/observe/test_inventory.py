"""A look at a node goes not into other datapaths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.kernel.attachments import Attachments
from ctconsole.kernel.hooks import Attachment
from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.inventory import find_users

if TYPE_CHECKING:
    from ctconsole.kernel.slots import Slots

LARGE, SMALL = 65535, 25


def program(number: int, *maps: int) -> ProgramInfo:
    return ProgramInfo(number, ProgramType.SCHED_CLS, f"p{number}", "", maps, 0, 0)


def array(number: int, places: int) -> MapInfo:
    return MapInfo(number, f"calls{number}", MapType.PROG_ARRAY, 4, 4, places)


def test_a_large_array_is_looked_into_only_where_its_callers_are_of_this_datapath() -> None:
    holds = {20: ((0, 2),), 21: ((3, 4),), 22: ((7, 6),)}
    read = []

    def slots_of(array: MapInfo) -> Slots:
        read.append(array.id)
        return holds[array.id]

    # 1 calls 2 through a large array; 3 calls 4 likewise but has nothing of ours; 5 calls 6
    # through a small one.
    programs = [
        *(program(1, 10, 20), program(2, 10)),
        *(program(3, 99, 21), program(4, 99)),
        *(program(5, 22), program(6, 10)),
    ]
    maps = {one.id: one for one in (array(20, LARGE), array(21, LARGE), array(22, SMALL))}
    hooks = [Attachment("tc", f"ingress of eth{number}", number) for number in (1, 3, 5)]
    slots: dict[int, Slots] = {}
    users = find_users(
        programs, Attachments(tuple(hooks)), maps, frozenset({10}), slots, read=slots_of
    )
    assert sorted(read) == [20, 22]
    assert slots == {20: holds[20], 22: holds[22]}
    assert {user.program.id: user.how for user in users[10]} == {
        1: "attached",
        2: "tail call",
        6: "tail call",
    }
