"""Which programs use which generation of a map, and whether a pin shows what the node does.

After an agent re-created a map its pin is the new, empty one, while the programs loaded before
work on the old one until each is replaced. In between a dump of the pin, its fill and its entries
say nothing about the traffic: the brain is split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ctconsole.errors import BpfError, CtconsoleError, NoSuchMapError
from ctconsole.history import History
from ctconsole.kernel.attachments import attachments
from ctconsole.kernel.bpffs import find_bpffs, pinned_maps
from ctconsole.kernel.clock import booted
from ctconsole.kernel.maps import BpfMap, all_maps, all_programs
from ctconsole.model.event import EventKind, Level
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctconsole.kernel.hooks import Attachment
    from ctconsole.kernel.maps import ProgramInfo
    from ctconsole.model.spec import MapInfo

Slots: TypeAlias = tuple[tuple[int, int], ...]
"""Place and program id, of each filled place of a program array."""

_SMALL_ARRAY = 1024
"""An array of so many places is looked into whoever calls through it: it costs next to nothing."""


@dataclass(frozen=True, slots=True)
class User:
    """A program that uses a map.

    Attributes:
        program: what the kernel says of it.
        where: its hooks; of a program reached by tail calls those of its callers.
        how: ``attached``, ``tail call`` or ``loaded``.
    """

    program: ProgramInfo
    where: tuple[str, ...]
    how: str

    @property
    def live(self) -> bool:
        """Whether packets can reach it, as far as can be seen."""
        return self.how != "loaded"


@dataclass(frozen=True, slots=True)
class MapGeneration:
    """One kernel map that is or was behind a pin.

    Attributes:
        map: the map.
        pinned: whether the pin holds it now.
        users: the programs that use it.
        why: why it is taken for a generation of this pin.
    """

    map: MapInfo
    pinned: bool
    users: tuple[User, ...]
    why: str

    @property
    def live_users(self) -> tuple[User, ...]:
        """Those that packets can reach."""
        return tuple(user for user in self.users if user.live)


@dataclass(frozen=True, slots=True)
class MapUsage:
    """A pin, the map behind it, other generations that programs still use, and the verdict.

    Attributes:
        path: the pin.
        pinned: the generation pinned now.
        others: the older ones, newest first.
        level: ERROR where nobody uses the pinned map while programs use another one, WARNING
            while both are in use, else INFO.
        verdict: the explanation for a person; empty where all is well.
    """

    path: Path
    pinned: MapGeneration
    others: tuple[MapGeneration, ...]
    level: Level
    verdict: str

    @property
    def split(self) -> bool:
        """Whether this is the red alarm."""
        return self.level is Level.ERROR


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a bpffs and at the programs of the machine, the dearest thing asked of a node.

    Attributes:
        pinned: the maps below the root, by pin.
        known: pin's name by the ids of maps it held before.
        maps: every map of the machine, by id.
        programs: every program of the machine.
        users: see `find_users`.
        slots: the places of the program arrays that were looked into, by map id.
    """

    pinned: Mapping[Path, MapInfo]
    known: Mapping[int, str]
    maps: Mapping[int, MapInfo]
    programs: tuple[ProgramInfo, ...]
    users: Mapping[int, tuple[User, ...]]
    slots: Mapping[int, Slots]


def look_at(
    root: Path, history: Path | None = None, passed_over: Callable[[str], None] = lambda _: None
) -> Look:
    """Look once, for `map_usage` and `ctconsole.observe.calls.tail_calls`.

    Args:
        root: a bpffs, or a folder on one.
        history: events that tell which maps a pin held before; need not exist.
        passed_over: told a sentence of each pin that could not be opened.

    Raises:
        NoSuchMapError: ``root`` is not there.
        DeniedError: programs or maps may not be listed.
    """
    pinned = pinned_maps(root, passed_over)
    known = former_ids(history)
    maps, programs = {info.id: info for info in all_maps()}, tuple(all_programs())
    ours = frozenset(info.id for info in pinned.values()) | known.keys()
    slots: dict[int, Slots] = {}
    users = find_users(programs, attachments(programs, maps.values()), maps, ours, slots)
    return Look(pinned, known, maps, programs, users, slots)


def map_usage(
    root: Path,
    history: Path | None = None,
    passed_over: Callable[[str], None] = lambda _: None,
    look: Look | None = None,
) -> list[MapUsage]:
    """Judge every map pinned below ``root``; takes some 10 ms and more on a busy node.

    Args:
        root: see `look_at`.
        history: see `look_at`.
        passed_over: see `look_at`.
        look: one just taken, None to take one.

    Raises:
        NoSuchMapError: ``root`` is not there.
        DeniedError: programs or maps may not be listed.
    """
    seen = look or look_at(root, history, passed_over)
    anywhere = pinned_anywhere()
    ours = frozenset(info.id for info in seen.pinned.values())
    return [
        judge(
            path,
            info,
            seen.maps.values(),
            seen.users,
            ours=ours,
            pinned_ids=anywhere,
            known=seen.known,
        )
        for path, info in seen.pinned.items()
    ]


def find_users(
    programs: Iterable[ProgramInfo],
    attached: Iterable[Attachment],
    maps: Mapping[int, MapInfo],
    ours: frozenset[int],
    slots: dict[int, Slots],
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
    """
    by_id = {program.id: program for program in programs}
    where: dict[int, dict[str, None]] = {}
    for one in attached:
        if one.prog_id in by_id:
            where.setdefault(one.prog_id, {})[str(one)] = None
    first = frozenset(where)
    _follow_calls(by_id, where, maps, ours, slots)
    found: dict[int, list[User]] = {}
    for program in by_id.values():
        reached = "tail call" if program.id in where else "loaded"
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
            and (near or maps[number].max_entries <= _SMALL_ARRAY)
        ]
        for number in arrays:
            if number not in slots:
                try:
                    slots[number] = read_slots(number)
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


def judge(
    path: Path,
    info: MapInfo,
    maps: Iterable[MapInfo],
    users: Mapping[int, tuple[User, ...]],
    *,
    ours: frozenset[int],
    pinned_ids: frozenset[int],
    known: Mapping[int, str],
) -> MapUsage:
    """Compare the pinned map with other generations of it.

    Args:
        path: the pin.
        info: the map behind it.
        maps: every map of the machine.
        users: see `find_users`.
        ours: ids of all maps pinned on this bpffs.
        pinned_ids: ids of maps pinned anywhere, none of which is a lost generation.
        known: pin's name by the ids of maps it held before.
    """
    others = []
    for other in maps:
        if other.id in ours or other.id in pinned_ids or not users.get(other.id):
            continue
        why = _why(path, info, other, users[other.id], ours=ours, known=known)
        if why:
            others.append(MapGeneration(other, pinned=False, users=users[other.id], why=why))
    others.sort(key=lambda generation: -generation.map.id)
    pinned = MapGeneration(info, pinned=True, users=users.get(info.id, ()), why="pinned")
    level, verdict = _verdict(path, pinned, others)
    return MapUsage(path, pinned, tuple(others), level, verdict)


def _why(
    path: Path,
    info: MapInfo,
    other: MapInfo,
    users: Sequence[User],
    *,
    ours: frozenset[int],
    known: Mapping[int, str],
) -> str:
    """Why ``other`` is an older generation of the pin; empty where nothing says so.

    The kernel's name alone does not: labs and other datapaths have maps of the same name. So
    its programs must also use something that is pinned here.
    """
    if known.get(other.id) == path.name:
        return f"{path.name} held it before, by the history"
    # An array of programs is new with every generation of programs, on purpose.
    if info.type is MapType.PROG_ARRAY:
        return ""
    same = (other.name, other.type, other.key_size, other.value_size) == (
        info.name,
        info.type,
        info.key_size,
        info.value_size,
    )
    if not same:
        return ""
    shared = {number for user in users for number in user.program.map_ids} & (ours - {info.id})
    if not shared:
        return ""
    return f"same name and sizes, and its programs use {len(shared)} maps pinned here"


def _verdict(
    path: Path, pinned: MapGeneration, others: Sequence[MapGeneration]
) -> tuple[Level, str]:
    busy = [generation for generation in others if generation.live_users]
    if not busy:
        return Level.INFO, ""
    told = " and ".join(
        f"{len(one.live_users)} programs use map {one.map.id}, which is pinned nowhere"
        for one in busy
    )
    lists = " and ".join(f"--map-id {one.map.id}" for one in busy)
    if pinned.live_users:
        return Level.WARNING, (
            f"{path.name} is changing hands: {len(pinned.live_users)} programs use the pinned "
            f"map {pinned.map.id}, {told}. Different endpoints work on different tables until "
            f"all are regenerated; list the other with {lists}"
        )
    return Level.ERROR, (
        f"Nobody uses the pinned {path.name} (map {pinned.map.id}), while {told}. What the pin "
        "shows is not what the node does: its entries and fill mean nothing until the agent has "
        f"regenerated its endpoints. List what is in use with {lists}"
    )


def former_ids(history: Path | None) -> dict[int, str]:
    """Pin names by the ids of maps they held before, since this boot."""
    if history is None:
        return {}
    # Ids start again with every boot, so older events would name other maps.
    started = booted()
    found = {}
    try:
        with History(history, create=False) as events:
            for _, event in events.read(kinds=[EventKind.MAP_RECREATED]):
                old = event.fields.get("old_id")
                if isinstance(old, int) and event.time >= started:
                    found[old] = Path(event.subject).name
    except (CtconsoleError, OSError):
        # Without a history, or one that may not be read, nothing is known.
        return found
    return found


def pinned_anywhere() -> frozenset[int]:
    """Ids of every map pinned on any bpffs that is mounted here."""
    found: set[int] = set()
    for mounted in find_bpffs():
        try:
            found.update(info.id for info in pinned_maps(mounted).values())
        except BpfError:
            continue
    return frozenset(found)


def read_slots(number: int) -> Slots:
    """The filled places of a program array; none where it has gone.

    Raises:
        BpfError: it may not be read.
    """
    try:
        with BpfMap.from_id(number) as live:
            dump = live.read()
    except NoSuchMapError:
        return ()
    places = dump.keys.copy().view("=u4").ravel().tolist()
    numbers = dump.values.copy().view("=u4").ravel().tolist()
    return tuple(sorted(pair for pair in zip(places, numbers, strict=True) if pair[1]))
