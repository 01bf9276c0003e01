"""Carrying entries over for an agent that is not ours: when it re-creates a table, nothing is lost.

Cilium removes the pin of a table whose size changed and pins an empty one; its programs go on
using the old table until each is loaded anew, some seconds later (4 to 25 s were seen with a
real agent). A guard holds the old table meanwhile: it seeds the new one at once, carries what
comes until no program uses the old one, and then moves the counts.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from ctconsole.errors import CtconsoleError, GoneError
from ctconsole.kernel.clock import ct_now
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import map_event
from ctconsole.manager.resize.sides import Side
from ctconsole.manager.users import users
from ctconsole.model.catalogue import classify
from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.event import EventKind, Level
from ctconsole.model.memory import LRU_BATCH, room
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.event import Event, Scalar

PACE: Final = 0.02
"""Seconds between two looks at the pins."""

_SETTLE: Final = 0.25
"""Seconds between two passes for what has come since, and two looks at who uses the old map."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of the entries of one table that was re-created.

    Attributes:
        path: its pin.
        old_id: kernel id of the map that lost the pin.
        new_id: of the one that has it.
        layout: of its entries; says which words are counts.
        carried: entries stored in the new map.
        merged: entries whose counts were added to those in the new map.
        dropped: entries for which the new map has no room.
        seeded_after: seconds from the look that found the new map until it had every entry.
        moved_after: seconds until the last program had left the old map; None if some have not.
    """

    path: Path
    old_id: int
    new_id: int
    layout: str
    carried: int = 0
    merged: int = 0
    dropped: int = 0
    seeded_after: float = 0.0
    moved_after: float | None = None

    @property
    def sentence(self) -> str:
        """What was done, in one sentence without a full stop."""
        text = (
            f"{self.path.name} was re-created (map {self.old_id} -> {self.new_id}): "
            f"{count(self.carried)} entries carried over, all there after {self.seeded_after:.2f} s"
        )
        if self.dropped:
            text += f"; {count(self.dropped)} had no room"
        if self.moved_after is None:
            return f"{text}; programs still use the old map, whose counts stay there"
        return (
            f"{text}; the last program moved after {self.moved_after:.1f} s, counts of "
            f"{count(self.merged)} entries were added"
        )


class _Carry:
    """One table that is being carried over."""

    def __init__(self, gate: Gate, path: Path, old: BpfMap, new: BpfMap, reading: Reading) -> None:
        self._began = time.monotonic()
        layout = reading.layout or _layout_of(old)
        self._side = Side(gate, path, old, new, layout)
        held = old.count()
        growth = max(LRU_BATCH, held // 16)
        missing = held + growth - room(new.info, possible_cpus())
        self._side.choose(missing, ct_now(reading.clock))
        self._side.seed()
        self._next = self._began
        self.told = Carried(
            path,
            old.info.id,
            new.info.id,
            layout or "unknown",
            seeded_after=time.monotonic() - self._began,
        )

    def step(self) -> bool:
        """Carry what has come, if it is time for that; whether the last program has left."""
        if time.monotonic() < self._next:
            return False
        self._side.settle()
        if users(self.told.old_id, but=self._side.program_ids):
            self._next = time.monotonic() + _SETTLE
            return False
        moved_after = time.monotonic() - self._began
        found = self._side.finish()
        self._tell(dropped=found.absent, moved_after=moved_after)
        return True

    def give_up(self) -> None:
        """Carry what has come once more; counts stay where programs still write them."""
        self._side.settle()
        self._tell()

    def _tell(self, dropped: int = 0, moved_after: float | None = None) -> None:
        tally = self._side.seeded + self._side.moved
        self.told = replace(
            self.told,
            carried=tally.carried,
            merged=tally.moved,
            dropped=dropped,
            moved_after=moved_after,
        )

    def close(self) -> None:
        """Let go of both maps."""
        self._side.close()


class Guard:
    """Holds the conntrack tables of a node. A context manager; `look` is to be called often.

    Args:
        gate: the write gate.
        folder: where the tables are pinned.
        reading: how their entries are read.
    """

    def __init__(self, gate: Gate, folder: Path, reading: Reading) -> None:
        self._gate, self._folder, self._reading = gate, folder, reading
        self._held: dict[Path, tuple[int, BpfMap]] = {}
        self._carries: dict[Path, _Carry] = {}
        for _ in self.look():
            pass

    @property
    def held(self) -> int:
        """How many tables are held."""
        return len(self._held)

    def look(self) -> Iterator[Event]:
        """Look at every pin once and do what is due; yields what happened.

        A table that cannot be carried over is told and let go of; nothing is done to it.
        """
        for path in sorted(self._folder.glob("cilium_ct*")):
            yield from self._look_at(path)
        for path, carry in list(self._carries.items()):
            try:
                if not carry.step():
                    continue
            except CtconsoleError as error:
                yield _failed(path, error)
            else:
                yield _event(carry.told)
            del self._carries[path]
            carry.close()

    def _look_at(self, path: Path) -> Iterator[Event]:
        try:
            number = path.stat().st_ino
            before = self._held.get(path)
            # A new pin is a new inode, also of the same map.
            if before and before[0] == number:
                return
            live = BpfMap.open(path)
        except (OSError, CtconsoleError):
            # Gone between two steps, or no map; the table that was there is held on.
            return
        entry = classify(path.name, live.info)
        if entry is None or not entry.is_ct or (before and before[1].info.id == live.info.id):
            live.close()
            return
        self._held[path] = (number, live)
        if before is not None:
            yield from self._replaced(path, before[1], live.info.id)

    def _replaced(self, path: Path, old: BpfMap, new_id: int) -> Iterator[Event]:
        was = self._carries.pop(path, None)
        if was is not None:
            # Re-created once more before the programs had moved.
            was.give_up()
            yield _event(was.told)
            was.close()
        new = BpfMap.from_id(new_id)
        try:
            _require_same_sizes(old, new)
            self._carries[path] = _Carry(self._gate, path, old, new, self._reading)
        except CtconsoleError as error:
            old.close()
            new.close()
            yield _failed(path, error)

    def close(self) -> Iterator[Event]:
        """Let go of everything; yields what became of tables whose programs had not moved."""
        for path, carry in self._carries.items():
            try:
                carry.give_up()
                yield _event(carry.told)
            except CtconsoleError as error:
                yield _failed(path, error)
            carry.close()
        self._carries.clear()
        for _, live in self._held.values():
            live.close()
        self._held.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        for _ in self.close():
            pass


def _require_same_sizes(old: BpfMap, new: BpfMap) -> None:
    sizes = [(one.info.key_size, one.info.value_size) for one in (old, new)]
    if sizes[0] != sizes[1]:
        raise CtconsoleError(
            f"keys and values had {sizes[0]} bytes and have {sizes[1]} now, so its entries mean "
            "other things; nothing was carried over"
        )


def _layout_of(live: BpfMap) -> Layout | None:
    """What the entries look like; None where there are none."""
    with suppress(GoneError):
        for _, values in live.read_chunks():
            return guess_layout(values).layout
    return None


def _event(told: Carried) -> Event:
    fields: Mapping[str, Scalar] = {
        "old_id": told.old_id,
        "new_id": told.new_id,
        "layout": told.layout,
        "carried": told.carried,
        "merged": told.merged,
        "dropped": told.dropped,
        "seeded_after": round(told.seeded_after, 3),
        "moved_after": None if told.moved_after is None else round(told.moved_after, 3),
    }
    return map_event(EventKind.MAP_CARRIED, told.path, told.sentence, fields)


def _failed(path: Path, error: CtconsoleError) -> Event:
    text = f"{path.name} was re-created and not carried over: {error}"
    return map_event(EventKind.WARNING, path, text, level=Level.ERROR)
