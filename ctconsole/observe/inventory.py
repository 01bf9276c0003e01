"""Which programs there are, where they are attached, and which maps they use.

The look at every hook of a machine is the dearest that is taken here. So what cannot change is
kept by its id, which the kernel gives to nothing else while the machine runs, and the hooks are
looked at again only when programs, maps or links came or went, else after `STALE` seconds.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ctconsole.errors import BpfError, FormatError, GoneError
from ctconsole.kernel.bpffs import pin_entries
from ctconsole.kernel.maps import BpfMap, all_map_ids, map_of
from ctconsole.kernel.mounts import find_bpffs
from ctconsole.kernel.programs import all_program_ids, program_by_id
from ctconsole.kernel.slots import SMALL_ARRAY, SlotReader
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ctconsole.kernel.attachments import Attachments
    from ctconsole.kernel.programs import ProgramInfo
    from ctconsole.kernel.slots import Slots
    from ctconsole.model.spec import MapInfo

T = TypeVar("T")

STALE = 30.0
"""Seconds after which the hooks are looked at again though no id changed.

Within that time a program that was loaded all along may have been attached elsewhere, which
agents do not do: they load programs anew.
"""

NOT_KNOWN = "not known"
"""How a program is reached that may be attached where nobody could look."""


@dataclass(frozen=True, slots=True)
class User:
    """A program that uses a map.

    Attributes:
        program: what the kernel says of it.
        where: its hooks; of a program reached by tail calls those of its callers.
        how: ``attached``, ``tail call``, ``loaded``, or ``not known`` where it may be attached to a
            network namespace that could not be asked.
    """

    program: ProgramInfo
    where: tuple[str, ...]
    how: str

    @property
    def live(self) -> bool:
        """Whether packets can reach it, as far as can be seen."""
        return self.how not in {"loaded", NOT_KNOWN}


@dataclass(frozen=True, slots=True)
class Programs:
    """What one look at the machine has found.

    Attributes:
        users: programs by the ids of the maps they use.
        names: of all programs, by id.
        maps: every map, by id.
        slots: the places of the program arrays that were looked into, by map id.
        unknown: a sentence for each network namespace that could not be asked.
    """

    users: Mapping[int, tuple[User, ...]]
    names: Mapping[int, str]
    maps: Mapping[int, MapInfo]
    slots: Mapping[int, Slots]
    unknown: tuple[str, ...] = ()


class Inventory:
    """Knows the programs and maps of this machine. Not for several threads at once.

    Args:
        stale: seconds after which the hooks are looked at again though no id changed.
        clock: a clock in seconds, by which a look grows stale.
    """

    def __init__(
        self, *, stale: float = STALE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stale = stale
        self._clock = clock
        self._programs: dict[int, ProgramInfo] = {}
        self._maps: dict[int, MapInfo] = {}
        self._pins: dict[tuple[int, int], int] = {}
        self._look: Programs | None = None
        self._seen: tuple[frozenset[int], ...] = ()
        self._taken = 0.0

    def programs(self) -> Iterable[ProgramInfo]:
        """Every loaded program; one unloaded meanwhile is left out.

        Raises:
            DeniedError: without CAP_SYS_ADMIN.
        """
        self._programs = _kept(self._programs, all_program_ids(), program_by_id)
        return self._programs.values()

    def maps(self) -> Mapping[int, MapInfo]:
        """Every map, by id; of its memory is told what it was when it was met first.

        Raises:
            DeniedError: without CAP_SYS_ADMIN.
        """
        self._maps = _kept(self._maps, all_map_ids(), map_of)
        return self._maps

    def meet(self, pinned: Mapping[Path, MapInfo]) -> None:
        """Take over what was learned of pinned maps by looking at their pins."""
        for path, info in pinned.items():
            self._maps.setdefault(info.id, replace(info, pin=None))
            try:
                status = path.lstat()
            except OSError:
                continue
            self._pins[status.st_dev, status.st_ino] = info.id

    def look(self, ours: frozenset[int]) -> Programs:
        """Where programs are attached, and what they use.

        Args:
            ours: ids of the maps asked about, see `find_users`.

        Raises:
            DeniedError: without CAP_SYS_ADMIN.
        """
        # What looks at hooks speaks netlink in other namespaces; lists of maps seldom need it.
        from ctconsole.kernel.attachments import attachments, link_ids

        programs, maps = list(self.programs()), self.maps()
        seen = (frozenset(self._programs), frozenset(maps), frozenset(link_ids()), ours)
        now = self._clock()
        if self._look is not None and seen == self._seen and now - self._taken < self._stale:
            return self._look
        attached = attachments(programs, maps.values())
        names = {program.id: program.called for program in programs}
        slots: dict[int, Slots] = {}
        with SlotReader() as reader:
            users = find_users(programs, attached, maps, ours, slots, read=reader.read)
        self._look = Programs(users, names, dict(maps), slots, attached.unknown)
        self._seen = seen
        # What could not be asked is asked again the next time.
        self._taken = now if not attached.unknown else -math.inf
        return self._look

    def pinned_anywhere(self) -> frozenset[int]:
        """Ids of every map pinned on any bpffs that is mounted here."""
        found: dict[tuple[int, int], int] = {}
        for mounted in find_bpffs():
            try:
                for path, place in pin_entries(mounted):
                    if place not in found:
                        kept = self._pins.get(place)
                        found[place] = _id_behind(path) if kept is None else kept
            except BpfError:
                continue
        self._pins = found
        return frozenset(found.values()) - {0}


def _kept(
    before: Mapping[int, T], numbers: Iterable[int], read: Callable[[int], T]
) -> dict[int, T]:
    """What is known by id: kept of those that are still there, read of those that are new."""
    found = {}
    for number in numbers:
        kept = before.get(number)
        if kept is None:
            try:
                kept = read(number)
            except GoneError:
                continue
        found[number] = kept
    return found


def _id_behind(path: Path) -> int:
    """The id of the map pinned there; 0 where there is no map, or none that may be opened."""
    try:
        with BpfMap.open(path) as live:
            return live.info.id
    except (BpfError, FormatError):
        return 0


def find_users(
    programs: Iterable[ProgramInfo],
    attached: Attachments,
    maps: Mapping[int, MapInfo],
    ours: frozenset[int],
    slots: dict[int, Slots],
    *,
    read: Callable[[MapInfo], Slots],
) -> dict[int, tuple[User, ...]]:
    """Users by map id, with the way packets reach each of them.

    A datapath is many programs joined by tail calls, of which only the first is attached; so
    arrays of programs are followed from the attached ones on.

    Args:
        programs: those of the machine.
        attached: where they are attached.
        maps: those of the machine, by id.
        ours: ids of the maps asked about; a large array whose callers use none of them is
            another datapath's and is not looked into, however many of those live here.
        slots: takes what was found in the arrays.
        read: reads one of them (see `SlotReader.read`).
    """
    from ctconsole.kernel.attachments import IN_NAMESPACES

    by_id = {program.id: program for program in programs}
    where: dict[int, dict[str, None]] = {}
    for one in attached.found:
        if one.prog_id in by_id:
            where.setdefault(one.prog_id, {})[str(one)] = None
    first = frozenset(where)
    _follow_calls(by_id, where, maps, ours, slots, read=read)
    found: dict[int, list[User]] = {}
    for program in by_id.values():
        unseen = NOT_KNOWN if attached.unknown and program.type in IN_NAMESPACES else "loaded"
        reached = "tail call" if program.id in where else unseen
        how = "attached" if program.id in first else reached
        user = User(program, tuple(where.get(program.id, ())), how)
        for number in program.map_ids:
            found.setdefault(number, []).append(user)
    return {number: tuple(users) for number, users in found.items()}


def _follow_calls(
    by_id: Mapping[int, ProgramInfo],
    where: dict[int, dict[str, None]],
    maps: Mapping[int, MapInfo],
    ours: frozenset[int],
    slots: dict[int, Slots],
    *,
    read: Callable[[MapInfo], Slots],
) -> None:
    """Add to ``where`` the programs that those in it call, with their callers' hooks."""
    waiting = list(where)
    while waiting:
        caller = waiting.pop()
        near = not ours.isdisjoint(by_id[caller].map_ids)
        arrays = [
            number
            for number in by_id[caller].map_ids
            if number in maps
            and maps[number].type is MapType.PROG_ARRAY
            and (near or maps[number].max_entries <= SMALL_ARRAY)
        ]
        for number in arrays:
            if number not in slots:
                try:
                    slots[number] = read(maps[number])
                except BpfError:
                    # What cannot be read is not followed; who asks for this array is told.
                    continue
            for _, called in slots[number]:
                if called not in by_id:
                    continue
                if called not in where:
                    where[called] = {}
                    waiting.append(called)
                where[called] |= where[caller]
