"""Which loaded programs packets can still reach, without reading any array of programs.

After a restart the programs of the generation before live on for most of a minute where the agent
holds a descriptor of their array, though nothing calls them any more. Programs of one object share
the array they call each other through. So a program is reached where it is attached, or has an
array of programs in common with one that is reached. Arrays that all objects share (one place for
each endpoint, some 65,000) say nothing of that; what has only those counts as reached.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ctconsole.kernel.attachments import IN_NAMESPACES, attachments
from ctconsole.kernel.programs import ProgramType
from ctconsole.kernel.slots import SMALL_ARRAY
from ctconsole.model.spec import MapType
from ctconsole.observe.inventory import Inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctconsole.kernel.attachments import Attachments
    from ctconsole.kernel.programs import ProgramInfo
    from ctconsole.model.spec import MapInfo

REST: Final = 4.0
"""Times as long as a look took, until the next: hooks are many on a large node."""


class Reach:
    """Sorts out programs that nothing calls any more. Not for several threads at once.

    Args:
        inventory: knows programs and maps by their ids.
        look: finds what is attached, for tests.
        clock: a clock in seconds.
    """

    def __init__(
        self,
        inventory: Inventory | None = None,
        look: Callable[[Iterable[ProgramInfo], Iterable[MapInfo]], Attachments] = attachments,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inventory = inventory or Inventory()
        self._look = look
        self._clock = clock
        self._next = 0.0
        self._reached: frozenset[int] = frozenset()
        self._seen: frozenset[int] = frozenset()

    def programs(self) -> list[ProgramInfo]:
        """Every loaded program but those that user space calls, as the passes of a resize do.

        They use maps and see no packet.

        Raises:
            DeniedError: without CAP_SYS_ADMIN.
        """
        programs = self._inventory.programs()
        return [one for one in programs if one.type is not ProgramType.SYSCALL]

    def among(self, programs: Iterable[ProgramInfo]) -> list[ProgramInfo]:
        """Those of some programs that packets can reach, as far as can be seen.

        One loaded since the last look counts as reached.

        Raises:
            DeniedError: without CAP_SYS_ADMIN.
        """
        now = self._clock()
        if now >= self._next:
            every, maps = self.programs(), self._inventory.maps()
            self._reached = reached(every, maps, self._look(every, maps.values()))
            self._seen = frozenset(program.id for program in every)
            took = self._clock() - now
            self._next = now + took + REST * took
        return [one for one in programs if one.id in self._reached or one.id not in self._seen]


def reached(
    programs: Iterable[ProgramInfo], maps: Mapping[int, MapInfo], attached: Attachments
) -> frozenset[int]:
    """Ids of programs that are attached, or share an array of programs with one that is reached.

    Args:
        programs: those of the machine.
        maps: those of the machine, by id.
        attached: where programs are attached; where it could not look, what may be attached
            there counts as reached.
    """
    programs = list(programs)
    found = {one.prog_id for one in attached.found}
    if attached.unknown:
        found |= {program.id for program in programs if program.type in IN_NAMESPACES}
    arrays = {program.id: _arrays(program, maps) for program in programs}
    found |= {number for number, (own, shared) in arrays.items() if shared and not own}
    live: set[int] = set()
    before = -1
    while len(found) > before:
        before = len(found)
        for number in found & arrays.keys():
            live |= arrays[number][0]
        found |= {number for number, (own, _) in arrays.items() if not own.isdisjoint(live)}
    return frozenset(found)


def _arrays(
    program: ProgramInfo, maps: Mapping[int, MapInfo]
) -> tuple[frozenset[int], frozenset[int]]:
    """The arrays of programs it calls through: those of its object, and those of all."""
    used = [
        maps[number]
        for number in program.map_ids
        if number in maps and maps[number].type is MapType.PROG_ARRAY
    ]
    own = frozenset(info.id for info in used if info.max_entries <= SMALL_ARRAY)
    return own, frozenset(info.id for info in used) - own
