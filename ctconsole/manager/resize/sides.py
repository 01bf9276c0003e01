"""One map of a resize: the old one, the new one, and what is carried from one to the other."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.errors import BpfError, CtconsoleError, DatapathError, GoneError, UsageError
from ctconsole.handles import Closing
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.counts import count_maps, open_counter
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.passes import ANY_NUMBER, RANK_SECONDS, Passes, Tally
from ctconsole.kernel.slices import SlicedPasses, known_map
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.manager.resize.verify import Rule, Verified, verify
from ctconsole.model.catalogue import PENDING
from ctconsole.model.ct.joining import joining_of
from ctconsole.model.memory import LRU_BATCH, room

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from ctconsole.kernel.counts import ElementCounter
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.plan import MapPlan
    from ctconsole.model.ct.layout import Layout

OLD: Final = ":old"
"""Added to the name under which the replaced map stays pinned until it is empty."""

KNOWN: Final = ":carried"
"""Added to the name under which it is kept what both maps hold in common."""

MOST_MOVES: Final = 20
"""Passes after which a map that no program uses must have nothing left to move."""


def pending_pin(path: Path) -> Path:
    """Where the map that will be pinned at ``path`` waits."""
    return path.with_name(path.name + PENDING)


def old_pin(path: Path) -> Path:
    """Where the map that was pinned at ``path`` is kept."""
    return path.with_name(path.name + OLD)


def known_pin(path: Path) -> Path:
    """Where it is kept what both maps of a resize hold in common of the counts."""
    return path.with_name(path.name + KNOWN)


def put_aside(gate: Gate, path: Path, ours: Collection[int]) -> str:
    """Move the pin of a map that is none of ours out of the way; nothing of it is lost.

    Args:
        gate: the write gate.
        path: the pin.
        ours: ids of the maps that belong there.

    Returns:
        What was there and where it is kept, as a sentence without its end; empty where there
        was nothing else.
    """
    found = pinned_id(path)
    if not found or found in ours:
        return ""
    aside = path.with_name(f"{path.name}:{found}")
    pins.rename(gate, path, aside)
    return f"somebody else had pinned map {found} there meanwhile, which is kept as {aside.name}"


class Side(Closing):
    """The two maps of one pin while it is resized; owns handles. A context manager.

    Args:
        gate: the write gate.
        path: the pin.
        old: the map whose entries are carried.
        new: the map they are carried to.
        layout: of the entries, None where they are no conntrack entries.
        known: what both hold in common of the counts, so that the passes go in slices; None
            where they hold nothing in common, and each pass is a single walk.
        is_back: whether ``known`` belongs to the new map, because this is the way back.
        is_used: whether programs use the new map already (`SlicedPasses`, ``bare``).
        counted: whether counts are moved at all.

    Attributes:
        seeded: what the seeds did.
        moved: what the moves did.
        known: as given.
    """

    def __init__(
        self,
        gate: Gate,
        path: Path,
        old: BpfMap,
        new: BpfMap,
        layout: Layout | None,
        *,
        known: BpfMap | None = None,
        is_back: bool = False,
        is_used: bool = False,
        counted: bool = True,
    ) -> None:
        self.path = path
        self.old = old
        self.new = new
        self.known = known
        self.seeded = Tally()
        self.moved = Tally()
        self._gate = gate
        self._cut = 0
        joining = joining_of(old.info, layout)
        if not counted:
            joining = replace(joining, counters=0, service_counters=0)
        self._joining = joining
        self._passes = (
            Passes(gate, old, new, joining)
            if known is None
            else SlicedPasses(gate, old, new, joining, known=known, reverse=is_back, bare=is_used)
        )
        self._layout = layout
        self._counter: ElementCounter | None = None

    @classmethod
    def stage(cls, gate: Gate, plan: MapPlan, *, in_slices: bool = False) -> Side:
        """Make the new map and pin it beside the old one.

        Args:
            gate: the write gate.
            plan: of the map.
            in_slices: go in slices where the kernel can, and carry the counts at once; not where
                the new map may be left for a third one by whoever goes on after this process.

        Raises:
            UsageError: another map is pinned there than the one planned for, or the kernel made
                another map than wished; nothing was changed.
            BpfError: the new map cannot be made or pinned (ENOMEM); nothing was changed.
        """
        old = BpfMap.open(plan.path)
        try:
            _require_planned(plan, old)
            new = mapwrite.create(gate, plan.wish, old)
            try:
                return cls._pinned(gate, plan, old, new, in_slices=in_slices)
            except BaseException:
                new.close()
                raise
        except BaseException:
            old.close()
            raise

    @classmethod
    def _pinned(
        cls, gate: Gate, plan: MapPlan, old: BpfMap, new: BpfMap, *, in_slices: bool
    ) -> Side:
        if new.info.max_entries != plan.wish.max_entries:
            raise UsageError(
                f"The kernel made {new.info.max_entries} entries of the {plan.wish.max_entries} "
                f"wished for {plan.path.name}",
                hint=f"Give {new.info.max_entries}",
            )
        side = (
            cls.sliced(gate, plan.path, old, new, plan.layout)
            if in_slices
            else cls(gate, plan.path, old, new, plan.layout)
        )
        try:
            for live, place in ((new, pending_pin(plan.path)), (side.known, known_pin(plan.path))):
                # One that a killed run left behind.
                with suppress(GoneError):
                    pins.unpin(gate, place)
                if live is not None:
                    pins.pin(gate, live, place)
        except BaseException:
            side.close_passes()
            raise
        return side

    @classmethod
    def sliced(
        cls,
        gate: Gate,
        path: Path,
        old: BpfMap,
        new: BpfMap,
        layout: Layout | None,
        *,
        is_used: bool = False,
    ) -> Side:
        """One whose passes go in slices, where this kernel and these maps let them.

        What both maps hold in common of the counts is in a map that nobody else knows of until
        it is pinned.

        Args:
            gate: the write gate.
            path: the pin.
            old: the map whose entries are carried.
            new: the map they are carried to.
            layout: of the entries, None where they are no conntrack entries.
            is_used: whether programs use the new map already.

        Raises:
            BpfError: there is no memory for what is known of the old map.
        """
        try:
            known = known_map(gate, old.info, new.info, joining_of(old.info, layout))
        except BpfError:
            # Where programs look for what is not carried yet the other way is better than none.
            if not is_used:
                raise
            known = None
        if known is None:
            return cls(gate, path, old, new, layout)
        try:
            return cls(gate, path, old, new, layout, known=known, is_used=is_used)
        except DatapathError:
            known.close()
            return cls(gate, path, old, new, layout)
        except BaseException:
            known.close()
            raise

    @property
    def cut(self) -> int:
        """Entries of a lower rank stay behind; 0 where all are carried."""
        return self._cut

    @property
    def now(self) -> int:
        """The moment that ranks are counted from, by the clock of the lifetimes."""
        return self._now

    def choose_as(self, cut: int, now: int) -> None:
        """Leave behind what another process had chosen to."""
        self._cut, self._now = cut, now

    @property
    def program_ids(self) -> frozenset[int]:
        """Programs of the passes, which use both maps."""
        return self._passes.program_ids

    def choose(self, missing: int, now: int) -> None:
        """Leave so many entries behind: the expired, then the closing, then the oldest.

        Args:
            missing: how many do not fit; none or fewer carries all.
            now: the clock of the lifetimes.
        """
        self._now = now
        if missing <= 0:
            return
        below = np.cumsum(self._passes.survey(now).astype(np.int64))
        cut = int(np.searchsorted(below, missing))
        self._spare = int(below[min(cut, len(below) - 1)]) - missing
        # A cut of 0 would mean none: of the very first rank all stay behind.
        self._cut = max(1, cut)

    _now = 0
    _spare = 0

    @contextmanager
    def asking(self, ask: Callable[[], None]) -> Iterator[None]:
        """Ask somebody again and again while a pass runs in slices; what it raises ends that."""
        self._passes.between = ask
        try:
            yield
        finally:
            del self._passes.between

    def seed(self) -> None:
        """Carry every entry; the new map is empty and nobody uses it.

        What was used of late is marked so there, and an LRU map throws out the others first.
        """
        tally = self._passes.seed(now=self._now, cut=self._cut, spare=self._spare, fresh=True)
        self._spare = tally.spare
        self.seeded += tally

    def settle(self) -> None:
        """Carry what has come since, while programs still use the old map."""
        self.seeded += self._passes.seed(now=self._now, cut=self._cut, free=self._free())

    def finish(self) -> Tally:
        """Move counters until the old map has none; no program may use it any more.

        Returns:
            What the last pass found; ``absent`` are those left behind on purpose, and
            ``refused`` of them those for which the new map has no room.

        Raises:
            CtconsoleError: something is left that cannot be moved.
        """
        for _ in range(MOST_MOVES):
            found = self._passes.settle(now=self._now, cut=self._cut, free=self._free())
            self.seeded += found
            if found.is_even:
                return found
        raise self._written_still()

    def prove(self, now: int = 0) -> Verified:
        """Compare both maps by reading them; what was left in the old one is moved once more.

        To be called after `finish`.

        Args:
            now: the clock of the lifetimes; 0 where it is not known.

        Raises:
            CtconsoleError: a counter is left that cannot be moved.
            BpfError: a map cannot be read.
        """
        kept = self.known is not None
        rule = Rule(self._cut, self._now, now, _fill_of_a_full_one(self.new), kept)
        for _ in range(MOST_MOVES):
            found = verify(self.old, self.new, self._joining, rule)
            moved = self.seeded.moved
            if kept or found.counting:
                self.finish()
            # Of what the old map keeps only the passes can say that no more has come.
            if self.seeded.moved == moved and (kept or not found.counting):
                return found
        raise self._written_still()

    def lacking(self) -> str:
        """Compare both maps as `prove` does; what is not there and should be, in words.

        Raises:
            CtconsoleError: see `prove`.
        """
        found = self.prove(self._now)
        return f"of {self.path.name} {found.sentence}" if found.lost else ""

    def _free(self) -> int:
        """How many more entries the new map takes before it throws one out by itself."""
        return self._free_of(self.new)

    def _free_of(self, live: BpfMap) -> int:
        if not live.info.type.is_lru:
            # A full one takes no more, and loses nothing by being asked.
            return ANY_NUMBER
        if self._counter is None:
            self._counter = open_counter()
        held = count_maps([live.info], self._counter)[live.info.id].entries
        return max(0, room(live.info, possible_cpus()) - held)

    def _written_still(self) -> CtconsoleError:
        return CtconsoleError(
            f"Counters keep coming in map {self.old.info.id}, the old {self.path.name}: "
            "something writes it that is no program this machine lists"
        )

    def take_pin(self) -> None:
        """Let the new map take the pin, with no moment at which nothing is pinned there.

        Raises:
            UsageError: another map than the old one is pinned there by now; it stays.
        """
        pending = pending_pin(self.path)
        self._require_old(pinned_id(self.path))
        pins.exchange(self._gate, pending, self.path)
        try:
            self._require_old(pinned_id(pending))
        except UsageError:
            pins.exchange(self._gate, pending, self.path)
            raise
        pins.rename(self._gate, pending, old_pin(self.path))
        self.new.repinned(self.path)

    def _require_old(self, found: int) -> None:
        if found != self.old.info.id:
            what = f"map {found} is" if found else "nothing is"
            raise UsageError(
                f"{what} pinned at {self.path} now, which was map {self.old.info.id}: somebody "
                "else changed it meanwhile, and it was left alone",
                hint="Plan again",
            )

    def give_back(self) -> str:
        """Let the old map take its pin again, if it lost it to the new one.

        Returns:
            What somebody else had pinned there meanwhile and where that is kept; empty where
            there was nothing of the kind.
        """
        kept = old_pin(self.path)
        if pinned_id(kept) != self.old.info.id:
            return ""
        told = put_aside(self._gate, self.path, {self.old.info.id, self.new.info.id})
        if pinned_id(self.path):
            # The new map has what has come since: it stays pinned until that is carried back.
            pins.exchange(self._gate, kept, self.path)
        else:
            pins.rename(self._gate, kept, self.path)
        self.old.repinned(self.path)
        return told

    def release(self) -> None:
        """Let go of the map that no program uses any more, wherever it was kept."""
        for kept in (old_pin(self.path), pending_pin(self.path), known_pin(self.path)):
            with suppress(GoneError):
                pins.unpin(self._gate, kept)

    def reversed(self) -> Side:
        """The same two maps the other way round, for a roll back; owns nothing but its passes."""
        known, layout = self.known, self._layout
        back = Side(self._gate, self.path, self.new, self.old, layout, known=known, is_back=True)
        if self._now and self._free_of(self.old) < self.new.count():
            # Where it may get tight nothing that is over takes room from what lives.
            back.choose_as(2 * RANK_SECONDS, self._now)
        return back

    def close_passes(self) -> None:
        """Unload the programs of the passes."""
        self._passes.close()
        if self._counter is not None:
            self._counter.close()

    def close(self) -> None:
        """Let go of everything."""
        self.close_passes()
        if self.known is not None:
            self.known.close()
        self.old.close()
        self.new.close()


def _fill_of_a_full_one(live: BpfMap) -> int:
    """With how many entries a map may have thrown out or refused some already."""
    info = live.info
    if not info.type.is_lru:
        return info.max_entries
    cpus = possible_cpus()
    full = room(info, cpus) // (cpus if info.is_distributed else 1)
    # What it throws out it throws out in batches.
    return max(0, full - LRU_BATCH)


def _require_planned(plan: MapPlan, old: BpfMap) -> None:
    if old.info.id != plan.info.id:
        raise UsageError(
            f"{plan.path} is map {old.info.id} now, the plan was made for map {plan.info.id}",
            hint="Plan again",
        )
