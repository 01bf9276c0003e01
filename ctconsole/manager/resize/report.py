"""What a resize did: for every map what was carried, and how long each stage took."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.manager.running import Running
from ctconsole.model.plan import Row
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.manager.resize.undo import Undoable
    from ctconsole.manager.resize.verify import Verified
    from ctconsole.model.event import Event

_DOUBTS: Final = (
    ("recreated", "entries were made anew meanwhile: their counts cannot be proved"),
    ("touched", "entries had flags or times written on both sides, which were joined"),
    ("contended", "words kept being written by others and may be the older ones"),
)


@dataclass(frozen=True, slots=True)
class MapReport:
    """What became of one map.

    Attributes:
        path: its pin.
        old_id: kernel id of the map that was there.
        new_id: of the one made.
        pinned_id: of the one pinned now: ``new_id``, or ``old_id`` after a roll back, unless
            somebody else changed it; 0 for none.
        old_entries: capacity of the old map.
        new_entries: capacity of the new map.
        carried: entries stored in the new map.
        merged: entries whose counts were added to those the new map had counted meanwhile.
        verified: what a comparison of both maps found at the end; None where there was none.
        recreated: entries that the datapath stored anew while their counts were moved, so that
            the counts cannot be proved.
        touched: entries of which flags or times were written on both sides.
        contended: words that others kept writing, which may be the older ones.
    """

    path: Path
    old_id: int
    new_id: int
    pinned_id: int
    old_entries: int
    new_entries: int
    carried: int = 0
    merged: int = 0
    verified: Verified | None = None
    recreated: int = 0
    touched: int = 0
    contended: int = 0

    @property
    def dropped(self) -> int:
        """Entries left behind because there was no room for them."""
        return sum(self.verified.dropped.values()) if self.verified else 0

    @property
    def lost(self) -> int:
        """Entries that should be in the new map and were not found there."""
        return self.verified.lost if self.verified else 0

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {**asdict(self), "path": str(self.path), "dropped": self.dropped}


@dataclass(frozen=True, slots=True)
class ResizeReport:
    """What happened; a `ctconsole.model.plan.Report`.

    Attributes:
        maps: the maps that changed together.
        stages: seconds by stage, in their order.
        gap: seconds that an entry which an old program had just made was missing for the new
            ones, at the most.
        running: what was seen of the programs at their hooks after they had been moved.
        left: programs that still use an old map; 0 after a resize that went well.
        failure: what went wrong and what state that left; empty where all went well.
        events: in the order they happened.
        seconds: wall time of it all.
        unrecorded: why the events are not in the history, empty where they are.
        undo: what restores the sizes before, None after a roll back.
        no_undo: why that could not be kept, empty where it was.
        notes: what more is to be known, of the maps' owner.
    """

    maps: tuple[MapReport, ...]
    stages: Mapping[str, float] = field(default_factory=dict)
    gap: float = 0.0
    running: Running = field(default_factory=Running)
    left: tuple[int, ...] = ()
    failure: str = ""
    events: tuple[Event, ...] = ()
    seconds: float = 0.0
    unrecorded: str = ""
    undo: Undoable | None = None
    no_undo: str = ""
    notes: tuple[Row, ...] = ()

    @property
    def sentence(self) -> str:
        """What was done."""
        names = ", ".join(
            f"{one.path.name} from {count(one.old_entries)} to {count(one.new_entries)} entries"
            for one in self.maps
        )
        kinds: Counter[str] = Counter()
        for one in self.maps:
            kinds.update(one.verified.dropped if one.verified else {})
        why = ", ".join(f"{count(number)} {kind}" for kind, number in kinds.items())
        told = [f"{count(kinds.total())} dropped ({why})"] if kinds else []
        lost = sum(one.lost for one in self.maps)
        told += [f"{count(lost)} not found again"] if lost else []
        carried = count(sum(one.carried for one in self.maps))
        fate = ", ".join(told) or "none lost"
        return f"Resized {names} in {self.seconds:.2f} s: {carried} entries carried, {fate}"

    @property
    def rows(self) -> tuple[Row, ...]:
        """What can be told of the entries, and the time each stage took."""
        totals = {
            what: sum(getattr(one, what) for one in self.maps)
            for what in ("merged", "recreated", "touched", "contended")
        }
        found = [
            Row("counts", f"of {count(totals['merged'])} entries were added to the new map's"),
            Row("gap", f"at most {self.gap:.3f} s between an old program's entry and its copy"),
            *self._verified,
            Row("stages", ", ".join(f"{name} {took:.2f} s" for name, took in self.stages.items())),
        ]
        if self.running.sentence:
            found.append(Row("hooks", self.running.sentence))
        for what, text in _DOUBTS:
            if totals[what]:
                found.append(Row("doubt", f"{count(totals[what])} {text}"))
        if self.undo:
            name = self.maps[0].path.name
            text = (
                f"can be undone until {self.undo.until_when}: u in the console, or "
                f"ctconsole map resize {name} --undo"
            )
            found.append(Row("undo", text))
        if self.no_undo:
            found.append(Row("undo", f"cannot be undone by a word: {self.no_undo}"))
        found += self.notes
        if self.unrecorded:
            found.append(Row("history", self.unrecorded))
        if self.left:
            found.append(Row("programs", f"{len(self.left)} still use an old map"))
        return tuple(found)

    @property
    def _verified(self) -> Iterator[Row]:
        """What the comparison of each map found."""
        for one in self.maps:
            if one.verified:
                whose = f"{one.path.name}: " if len(self.maps) > 1 else ""
                yield Row("verified", f"{whose}{one.verified.sentence}")

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "maps": [one.facts for one in self.maps],
            "stages": {name: round(took, 6) for name, took in self.stages.items()},
            "gap": round(self.gap, 6),
            "hooks": dict(self.running.facts),
            "left_programs": list(self.left),
            "seconds": round(self.seconds, 6),
            "undo_until": self.undo.until if self.undo else None,
            **({"notes": {one.label: one.text for one in self.notes}} if self.notes else {}),
        }

    def check(self) -> None:
        """Raise CtconsoleError with the failure, if there is one; store the events before."""
        if self.failure:
            raise CtconsoleError(self.failure)
