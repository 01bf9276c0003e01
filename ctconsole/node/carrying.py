"""Carrying what is in one map over into another that took its pin, while programs still move.

Of a table that somebody re-created: the new one is seeded at once, what comes meanwhile follows
until no program uses the old one, and then the counts are moved.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError, GoneError
from ctconsole.kernel.clock import ct_now
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.manager.bpfmap import map_event
from ctconsole.manager.resize.sides import Side
from ctconsole.manager.users import users
from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.event import EventKind, Level
from ctconsole.model.memory import LRU_BATCH, room
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.manager.resize.verify import Verified
    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.event import Event, Scalar

SETTLE: Final = 0.05
"""Seconds between two passes for what has come since, at least; after a longer pass, as long."""

LOOK: Final = 0.25
"""Seconds between two looks at who uses the old map."""


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
        verified: what a comparison of both maps found when the last program had left the old
            one; None where some have not.
        seeded_after: seconds from the look that found the new map until it had every entry.
        moved_after: seconds until the last program had left the old map; None if some have not.
    """

    path: Path
    old_id: int
    new_id: int
    layout: str
    carried: int = 0
    merged: int = 0
    verified: Verified | None = None
    seeded_after: float = 0.0
    moved_after: float | None = None

    @property
    def sentence(self) -> str:
        """What was done, in one sentence without a full stop."""
        text = (
            f"{self.path.name} was re-created (map {self.old_id} -> {self.new_id}): "
            f"{count(self.carried)} entries carried over by layout {self.layout}, all there after "
            f"{self.seeded_after:.2f} s"
        )
        if self.moved_after is None:
            return f"{text}; programs still use the old map, whose counts stay there"
        return (
            f"{text}; the last program moved after {self.moved_after:.1f} s, counts of "
            f"{count(self.merged)} entries were added"
            f"{f'; {self.verified.sentence}' if self.verified else ''}"
        )

    @property
    def dropped(self) -> int:
        """Entries for which the new map has no room."""
        if self.verified is None:
            return 0
        return sum(self.verified.dropped.values()) + self.verified.no_room


class Carry:
    """One table that is being carried over; seeded when this is made.

    Args:
        gate: the write gate.
        path: its pin.
        old: the map that lost the pin; this object's to close, as ``new`` is.
        new: the one that has it, with the same key and value size.
        layout: of the entries, None where they are no conntrack entries.
        clock: what their lifetimes count.
        in_slices: let go of the CPU again and again. What both maps hold in common of the counts
            is then known to this process only: not where another one goes on when it is killed,
            which would count twice what was moved by then. Else each pass is one walk, and what
            was moved is gone from the old map.

    Attributes:
        told: what was done, as far as it is known.
    """

    def __init__(
        self,
        gate: Gate,
        path: Path,
        old: BpfMap,
        new: BpfMap,
        *,
        layout: Layout | None,
        clock: ClockSource,
        in_slices: bool = False,
    ) -> None:
        self._began = time.monotonic()
        self._clock = clock
        self._side = (
            Side.sliced(gate, path, old, new, layout, is_used=True)
            if in_slices
            else Side(gate, path, old, new, layout)
        )
        held = old.count()
        growth = max(LRU_BATCH, held // 16)
        missing = held + growth - room(new.info, possible_cpus())
        self._side.choose(missing, ct_now(clock))
        self._side.seed()
        self._next = self._look = self._began
        self.told = Carried(
            path,
            old.info.id,
            new.info.id,
            layout or "unknown",
            seeded_after=time.monotonic() - self._began,
        )

    @property
    def program_ids(self) -> frozenset[int]:
        """Programs of the passes, which use both maps."""
        return self._side.program_ids

    def step(self) -> bool:
        """Carry what has come, if it is time for that; whether the last program has left."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._side.settle()
        took = time.monotonic() - now
        # However large the table is, this is not all that the machine does.
        self._next = time.monotonic() + max(SETTLE, took)
        if now < self._look:
            return False
        self._look = now + LOOK
        if users(self.told.old_id, but=self._side.program_ids):
            return False
        moved_after = time.monotonic() - self._began
        self._side.finish()
        self._tell(self._side.prove(ct_now(self._clock)), moved_after)
        return True

    def give_up(self) -> None:
        """Carry what has come once more; counts stay where programs still write them."""
        self._side.settle()
        self._tell()

    def _tell(self, verified: Verified | None = None, moved_after: float | None = None) -> None:
        tally = self._side.seeded + self._side.moved
        self.told = replace(
            self.told,
            carried=tally.carried,
            merged=tally.moved,
            verified=verified,
            moved_after=moved_after,
        )

    def close(self) -> None:
        """Let go of both maps."""
        self._side.close()


def require_same_sizes(old: BpfMap, new: BpfMap) -> None:
    """See that entries of one map can mean the same in another.

    Raises:
        CtconsoleError: keys or values have another size.
    """
    sizes = [(one.info.key_size, one.info.value_size) for one in (old, new)]
    if sizes[0] != sizes[1]:
        raise CtconsoleError(
            f"keys and values had {sizes[0]} bytes and have {sizes[1]} now, so its entries mean "
            "other things; nothing was carried over"
        )


def layout_in(live: BpfMap) -> Layout | None:
    """What the entries look like; None where there are none."""
    with suppress(GoneError):
        for _, values in live.read_chunks():
            return guess_layout(values).layout
    return None


def carried_event(told: Carried) -> Event:
    """What was carried over, for the history."""
    fields: Mapping[str, Scalar] = {
        "old_id": told.old_id,
        "new_id": told.new_id,
        "layout": told.layout,
        "carried": told.carried,
        "merged": told.merged,
        "dropped": told.dropped,
        "missing": told.verified.missing if told.verified else None,
        "seeded_after": round(told.seeded_after, 3),
        "moved_after": None if told.moved_after is None else round(told.moved_after, 3),
    }
    return map_event(EventKind.MAP_CARRIED, told.path, told.sentence, fields)


def failed_event(path: Path, error: CtconsoleError) -> Event:
    """Why nothing was, for the history."""
    text = f"{path.name} was re-created and not carried over: {error}"
    return map_event(EventKind.WARNING, path, text, level=Level.ERROR)
