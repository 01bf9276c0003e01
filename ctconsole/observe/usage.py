"""Which programs use which generation of a map, and whether a pin shows what the node does.

After an agent re-created a map its pin is the new, empty one, while the programs loaded before
work on the old one until each is replaced. In between a dump of the pin, its fill and its entries
say nothing about the traffic: the brain is split.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import booted
from ctconsole.model.catalogue import use_of
from ctconsole.model.event import EventKind, Level
from ctconsole.model.spec import MapType
from ctconsole.observe.inventory import NOT_KNOWN, Inventory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.inventory import User


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
        in_doubt: whether something that could tell was not to be asked.
        since: when the pinned map took its place, seconds since the Unix epoch; None where
            nothing tells.
    """

    path: Path
    pinned: MapGeneration
    others: tuple[MapGeneration, ...]
    level: Level
    verdict: str
    in_doubt: bool = False
    since: float | None = None

    @property
    def split(self) -> bool:
        """Whether this is the red alarm."""
        return self.level is Level.ERROR

    @property
    def older(self) -> MapGeneration | None:
        """The older generation that packets meet most; None where they meet none."""
        busy = [one for one in self.others if one.live_users]
        return max(busy, key=lambda one: (len(one.live_users), one.map.id), default=None)

    def stands(self, pinned_id: int, programs: int | None) -> bool:
        """Whether what was found may still hold of a pin, by what is seen of it now.

        Args:
            pinned_id: the map behind the pin.
            programs: that refer to it; None where that is not known.
        """
        return pinned_id == self.pinned.map.id and not (self.split and programs)


_MOST_NAMED = 3
"""Programs of an older generation that are named; how many there are is told."""


def in_use(usage: MapUsage) -> str:
    """Which older generation is in use, by whom and since when; empty where none is."""
    older = usage.older
    if older is None:
        return ""
    names = list(dict.fromkeys(user.program.called for user in older.live_users))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    who = f"{', '.join(names[:_MOST_NAMED])}{more}"
    own = f"{use_of(len(usage.pinned.live_users))}; " if usage.pinned.live_users else ""
    since = "" if usage.since is None else f", replaced {_moment(usage.since)},"
    return f"{own}older map {older.map.id}{since} in use by {use_of(len(older.live_users))} ({who})"


def older_in_use(root: Path, history: Callable[[], Path | None]) -> list[MapUsage]:
    """The pinned maps of which programs use an older generation.

    Costs a listing of programs and maps, and a look at the hooks only where that tells of some.

    Args:
        root: a bpffs, or a folder on one.
        history: finds events that tell which maps a pin held before; they need not exist. Asked
            only where programs use maps that are not pinned here.

    Raises:
        GoneError: ``root`` is not there.
        DeniedError: programs or maps may not be listed.
    """
    pinned = pinned_maps(root, lambda _: None)
    inventory = Inventory()
    inventory.meet(pinned)
    ours = frozenset(info.id for info in pinned.values())
    strange = {number for one in inventory.programs() for number in one.map_ids} - ours
    if not strange:
        return []
    past = history()
    held = former_maps(past).keys() & strange
    if not held and not forsaken(pinned.values(), ours, inventory)[0]:
        return []
    return [one for one in map_usage(root, past, inventory=inventory) if one.older]


def _moment(seconds: float) -> str:
    """The time of day, with the date where that is not today's."""
    local = time.localtime(seconds)
    today = local[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", local)


def forsaken(
    pinned: Iterable[MapInfo], ours: frozenset[int], inventory: Inventory
) -> tuple[frozenset[int], frozenset[int]]:
    """Maps in use that are pinned nowhere and look like some of the pinned ones; their programs.

    Cheap, and no proof: whose generation they are, and whether packets meet them, says `map_usage`.

    Args:
        pinned: the maps for which others like them are sought.
        ours: ids of all maps pinned on this bpffs.
        inventory: knows programs and maps.

    Returns:
        Ids of the maps, and of the programs that use them.

    Raises:
        DeniedError: programs may not be listed.
    """
    kinds = {_kind(info) for info in pinned if info.type is not MapType.PROG_ARRAY}
    if not kinds:
        return frozenset(), frozenset()
    programs = list(inventory.programs())
    used = {number for program in programs for number in program.map_ids}
    lost = {
        info.id
        for info in inventory.maps().values()
        if info.id in used and info.id not in ours and _kind(info) in kinds
    }
    # Labs and other datapaths have maps of the same names, pinned elsewhere.
    if lost:
        lost -= inventory.pinned_anywhere()
    users = {program.id for program in programs if not lost.isdisjoint(program.map_ids)}
    return frozenset(lost), frozenset(users)


def map_usage(
    root: Path,
    history: Path | None = None,
    passed_over: Callable[[str], None] = lambda _: None,
    *,
    inventory: Inventory | None = None,
) -> list[MapUsage]:
    """Look at every map pinned below ``root``; takes some 10 ms and more on a busy node.

    Args:
        root: a bpffs, or a folder on one.
        history: events that tell which maps a pin held before; need not exist.
        passed_over: told a sentence of each pin that could not be opened.
        inventory: what is known from the looks before; a new one where there were none.

    Raises:
        GoneError: ``root`` is not there.
        DeniedError: programs or maps may not be listed.
    """
    pinned = pinned_maps(root, passed_over)
    inventory = inventory or Inventory()
    inventory.meet(pinned)
    known, ours = former_maps(history), frozenset(info.id for info in pinned.values())
    seen = inventory.look(ours | known.keys())
    held = inventory.pinned_anywhere() | ours
    lost = [info for info in seen.maps.values() if info.id not in held and info.id in seen.users]
    by_kind: dict[tuple[object, ...], list[MapInfo]] = {}
    for info in lost:
        by_kind.setdefault(_kind(info), []).append(info)
    alike = Counter(_kind(info) for info in pinned.values())
    found = []
    for path, info in pinned.items():
        # Of pins whose maps have one name to the kernel, those in use have no other generation.
        doubtful = alike[_kind(info)] > 1 and info.id in seen.users
        likely = {} if doubtful else {one.id: one for one in by_kind.get(_kind(info), ())}
        likely |= {one.id: one for one in lost if _was(known, one.id, path)}
        one = judge(
            path,
            info,
            likely.values(),
            seen.users,
            ours=ours,
            known=known,
            unknown=seen.unknown,
        )
        found.append(replace(one, since=_since(one, known)) if one.others else one)
    return found


def _was(known: Mapping[int, Former], number: int, path: Path) -> bool:
    """Whether a pin of this name held the map before, by the history."""
    return number in known and known[number].name == path.name


def _since(usage: MapUsage, known: Mapping[int, Former]) -> float | None:
    """When the pinned map took its place: by the history, else when its pin was made."""
    told = [known[one.map.id].until for one in usage.others if _was(known, one.map.id, usage.path)]
    if told:
        return max(told)
    try:
        return usage.path.lstat().st_mtime
    except OSError:
        return None


def _kind(info: MapInfo) -> tuple[object, ...]:
    """What a map and its successor have in common."""
    return info.name, info.type, info.key_size, info.value_size


def judge(
    path: Path,
    info: MapInfo,
    maps: Iterable[MapInfo],
    users: Mapping[int, tuple[User, ...]],
    *,
    ours: frozenset[int],
    known: Mapping[int, Former],
    unknown: Sequence[str] = (),
) -> MapUsage:
    """Compare the pinned map with other generations of it.

    Args:
        path: the pin.
        info: the map behind it.
        maps: maps that are pinned nowhere and have users.
        users: see `find_users`.
        ours: ids of all maps pinned on this bpffs.
        known: what pins held before, by the ids of the maps.
        unknown: what could not be looked at; no alarm rests on that.
    """
    others = []
    for other in maps:
        why = _why(path, info, other, users[other.id], ours=ours, known=known)
        if why:
            others.append(MapGeneration(other, pinned=False, users=users[other.id], why=why))
    others.sort(key=lambda generation: -generation.map.id)
    pinned = MapGeneration(info, pinned=True, users=users.get(info.id, ()), why="pinned")
    level, verdict = _verdict(path, pinned, others, unknown)
    return MapUsage(path, pinned, tuple(others), level, verdict, in_doubt=bool(unknown))


def _why(
    path: Path,
    info: MapInfo,
    other: MapInfo,
    users: Sequence[User],
    *,
    ours: frozenset[int],
    known: Mapping[int, Former],
) -> str:
    """Why ``other`` is an older generation of the pin; empty where nothing says so.

    The kernel's name alone does not: labs and other datapaths have maps of the same name. So
    its programs must also use something that is pinned here.
    """
    if _was(known, other.id, path):
        return f"{path.name} held it before, by the history"
    # An array of programs is new with every generation of programs, on purpose.
    if info.type is MapType.PROG_ARRAY:
        return ""
    if _kind(other) != _kind(info):
        return ""
    shared = {number for user in users for number in user.program.map_ids} & (ours - {info.id})
    if not shared:
        return ""
    return f"same name and sizes, and its programs use {len(shared)} maps pinned here"


def _verdict(
    path: Path, pinned: MapGeneration, others: Sequence[MapGeneration], unknown: Sequence[str]
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
    if any(user.how == NOT_KNOWN for user in pinned.users):
        return Level.WARNING, (
            f"Whether anybody uses the pinned {path.name} (map {pinned.map.id}) is not known, "
            f"because a network namespace could not be asked ({'; '.join(unknown)}); {told}"
        )
    return Level.ERROR, (
        f"Nobody uses the pinned {path.name} (map {pinned.map.id}), while {told}. What the pin "
        "shows is not what the node does: its entries and fill mean nothing until the agent has "
        f"regenerated its endpoints. List what is in use with {lists}"
    )


@dataclass(frozen=True, slots=True)
class Former:
    """A map that a pin held before.

    Attributes:
        name: of the pin.
        until: when it was seen to hold another one, seconds since the Unix epoch.
    """

    name: str
    until: float


def former_maps(history: Path | None) -> dict[int, Former]:
    """What pins held before, by the ids of the maps, since this boot."""
    if history is None:
        return {}
    # Ids start again with every boot, so older events would name other maps.
    started = booted()
    found: dict[int, Former] = {}
    try:
        if not history.exists():
            return found
        # Only now: where there is none, a list of maps need not load a database for it.
        from ctconsole.history import History

        with History(history, create=False) as events:
            for _, event in events.read(kinds=[EventKind.MAP_RECREATED]):
                old = event.fields.get("old_id")
                if isinstance(old, int) and event.time >= started:
                    found[old] = Former(Path(event.subject).name, event.time)
    except (CtconsoleError, OSError):
        # Without a history, or one that may not be read, nothing is known.
        return found
    return found
