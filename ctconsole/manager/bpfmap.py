"""Opening or creating one pinned map, as Cilium 1.9 does it when the agent starts.

``pkg/bpf/map_linux.go`` and ``pkg/bpf/bpf_linux.go``, the article's sections 3.4 to 3.6::

    ManagedMap.create -> open_or_create -> open_or_create_map -> obj_check
                                                              -> create_map

A map whose properties changed is removed with everything in it and made again, empty. The old
kernel object lives on for as long as programs use it.
"""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError, GoneError
from ctconsole.happening import happened
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.mapwrite import EXIST
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.spec import Difference, MapFlag, MapInfo, MapSpec, MapType, differences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Scalar

REMOVING = "Removing map to allow for property upgrade (expect map data loss)"
"""Cilium's own words when a map goes because its properties changed."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A pinned map, open, and what happened on the way.

    Attributes:
        map: the handle, the receiver's to close.
        is_new: whether it was created, for the first time or again; Cilium's ``isNew``.
        events: in the order they happened.
    """

    map: BpfMap
    is_new: bool
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Created:
    """What `ManagedMap.create` leaves behind: `Opened` with the handle closed."""

    info: MapInfo
    is_new: bool
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class ManagedMap:
    """A map the agent is in charge of: the wish, and where it is pinned.

    Attributes:
        spec: the wish; its pre-allocation flag follows from `preallocate`.
        path: pin.
        non_persistent: its entries are worthless after a restart, so it is always made anew.
        preallocate: the option ``preallocate-bpf-maps``.
    """

    spec: MapSpec
    path: Path
    non_persistent: bool = False
    preallocate: bool = True

    @property
    def wish(self) -> MapSpec:
        """The spec with its pre-allocation flag."""
        more = get_pre_allocate_map_flags(self.spec.type, preallocate=self.preallocate)
        return replace(self.spec, flags=self.spec.flags | more)

    def create(self, gate: Gate) -> Created:
        """``Map.Create``: open or create, and close again. Raises what `open_or_create` does."""
        opened = self.open_or_create(gate)
        opened.map.close()
        return Created(opened.map.info, opened.is_new, opened.events)

    def open_or_create(self, gate: Gate) -> Opened:
        """``Map.OpenOrCreate``: remove if non-persistent, then open, re-create or create.

        Raises:
            BpfError: the kernel refused the properties, or memory is short.
            UsageError: the path is not on a bpffs.
        """
        removed: tuple[Event, ...] = ()
        if self.non_persistent and _pinned(self.path):
            pins.unpin(gate, self.path)
            message = "Removing non-persistent map"
            removed = (map_event(EventKind.MAP_REMOVED, self.path, message, level=Level.DEBUG),)
        opened = open_or_create_map(gate, self.path, self.wish)
        return replace(opened, events=removed + opened.events)


def get_pre_allocate_map_flags(kind: MapType, *, preallocate: bool) -> int:
    """``GetPreAllocateMapFlags``: what a type must or may be given.

    An LPM trie cannot be pre-allocated, LRU maps always are, hash maps follow the option; for
    the other types the kernel knows no such flag.
    """
    if kind is MapType.LPM_TRIE:
        return MapFlag.NO_PREALLOC
    if kind in {MapType.HASH, MapType.PERCPU_HASH, MapType.HASH_OF_MAPS} and not preallocate:
        return MapFlag.NO_PREALLOC
    return 0


def open_or_create_map(gate: Gate, path: Path, spec: MapSpec) -> Opened:
    """``OpenOrCreateMap``: the pinned map if it is as wished, else a new one pinned there.

    Args:
        gate: the write gate.
        path: pin; folders above it are made.
        spec: the whole wish, flags included.

    Raises:
        BpfError: the kernel refused the properties, or memory is short.
    """
    events: tuple[Event, ...] = ()
    old: MapInfo | None = None
    lost = 0
    if _pinned(path):
        live = BpfMap.open(path)
        old = live.info
        try:
            redo, events = obj_check(gate, live, path, spec)
            if not redo:
                opened = map_event(
                    EventKind.MAP_OPENED, path, "Opened BPF map", {"id": old.id}, Level.DEBUG
                )
                return Opened(live, is_new=False, events=(*events, opened))
            lost = _count(live)
        except BaseException:
            live.close()
            raise
        live.close()
    live = create_map(gate, spec)
    try:
        pins.pin(gate, live, path)
    except BaseException:
        live.close()
        raise
    return Opened(live, is_new=True, events=(*events, _creation(path, live.info, old, lost)))


def obj_check(
    gate: Gate, live: BpfMap, path: Path, spec: MapSpec
) -> tuple[bool, tuple[Event, ...]]:
    """``objCheck``: compare the five properties, report each difference, remove the pin.

    A PROG_ARRAY is only reported: the kernel drops its programs with the last pin although
    programs still use it, and whoever loads programs replaces it in his own way.

    Beside Cilium's five properties the maps inside a map of maps are compared, as
    ``deleteMapIfMNotMatch`` of ``pkg/maps/lbmap`` does for Maglev tables.

    Returns:
        Whether the map has to be made again (its pin is gone then), and the events.
    """
    found = differences(live.info, spec) or inner_differences(gate, live, spec)
    if not found:
        return False, ()
    events = [_mismatch(path, difference) for difference in found]
    if live.info.type is MapType.PROG_ARRAY:
        return False, tuple(events)
    events.append(map_event(EventKind.MAP_REMOVED, path, REMOVING, level=Level.WARNING))
    pins.unpin(gate, path)
    return True, tuple(events)


def create_map(gate: Gate, spec: MapSpec) -> BpfMap:
    """``CreateMap``: the system call; the maps inside a map of maps are made from `spec.inner`.

    Raises:
        UsageError: a map of maps whose spec does not say what is inside.
        BpfError: the kernel refused the properties, or memory is short.
    """
    return mapwrite.create(gate, spec)


def inner_differences(gate: Gate, live: BpfMap, spec: MapSpec) -> tuple[Difference, ...]:
    """In what the maps inside ``live`` are not what ``spec`` wishes.

    The kernel does not tell what an empty map of maps would take. A hash of maps is asked by
    replacing an entry that is not there: a map that does not fit is refused with EINVAL before
    the key is looked for (``bpf_fd_htab_map_update_elem``, Linux 4.12 to 6.18).
    """
    wish = spec.inner
    if wish is None or not spec.type.holds_maps:
        return ()
    inside = first_inside(live)
    if inside is not None:
        found = differences(inside, wish)
        return tuple(replace(one, property=f"Inner map {one.property}") for one in found)
    if live.info.type is not MapType.HASH_OF_MAPS:
        return ()
    with create_map(gate, wish) as sample:
        try:
            mapwrite.update(
                gate, live, bytes(spec.key_size), sample.fd.to_bytes(4, sys.byteorder), EXIST
            )
        except GoneError:
            return ()
        except BpfError as error:
            if error.errno != errno.EINVAL:
                raise
    return (Difference("Inner map", 0, wish.value_size),)


def first_inside(live: BpfMap) -> MapInfo | None:
    """Facts about the first map found inside a map of maps; lookups answer with its id."""
    for key in live.read().keys:
        value = live.lookup(key.tobytes())
        if value is None or not any(value):
            continue
        try:
            with BpfMap.from_id(int.from_bytes(value[:4], sys.byteorder)) as inside:
                return inside.info
        except GoneError:
            continue
    return None


def _count(live: BpfMap) -> int:
    """Entries that go with a map, 0 for types that cannot be counted."""
    return live.count() if live.info.type.is_hash or live.info.type is MapType.LPM_TRIE else 0


def pinned_id(path: Path) -> int:
    """The kernel id of the map pinned now, 0 where none is."""
    try:
        with BpfMap.open(path) as live:
            return live.info.id
    except BpfError:
        return 0


def _pinned(path: Path) -> bool:
    return path.exists()


def _creation(path: Path, new: MapInfo, old: MapInfo | None, lost: int) -> Event:
    fields: dict[str, Scalar] = {"max_entries": new.max_entries}
    if old is None:
        return map_event(EventKind.MAP_CREATED, path, "Created BPF map", {"id": new.id} | fields)
    fields |= {"old_id": old.id, "new_id": new.id, "lost": lost}
    return map_event(EventKind.MAP_RECREATED, path, "Re-created BPF map", fields)


def _mismatch(path: Path, found: Difference) -> Event:
    old: Scalar = found.old
    new: Scalar = found.new
    if found.property.endswith("Map type"):
        old, new = MapType(found.old).name, MapType(found.new).name
    message = f"{found.property} mismatch for BPF map"
    return map_event(
        EventKind.MAP_MISMATCH, path, message, {"new": new, "old": old}, level=Level.WARNING
    )


def map_event(
    kind: EventKind,
    path: Path,
    message: str,
    fields: Mapping[str, Scalar] | None = None,
    level: Level = Level.INFO,
) -> Event:
    """An event about the map pinned at ``path``, in Cilium's words and with its field."""
    about = {"file-path": str(path), **(fields or {})}
    return happened(kind, "manager", path, message, about, level=level)
