"""One table while the agent that owns it takes another map over for it, or makes its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from ctconsole.errors import CtconsoleError, GoneError
from ctconsole.kernel.clock import ct_now
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.manager.resize.report import MapReport
from ctconsole.manager.resize.sides import Side
from ctconsole.manager.users import users
from ctconsole.model.plan import Row
from ctconsole.model.units import count
from ctconsole.node.carrying import (
    LOOK,
    SETTLE,
    Carry,
    carried_event,
    failed_event,
    require_same_sizes,
)

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.plan import MapPlan
    from ctconsole.manager.resize.verify import Verified
    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.event import Event
    from ctconsole.model.spec import MapInfo

_CALM: Final = 2.0
"""Seconds between two passes as long as nobody can use the new map yet."""


class Table:
    """The old map, the one made for the agent, and those it made itself. A context manager.

    Args:
        gate: the write gate.
        side: the old map and the one made for the agent; this object's to close.
        layout: of the entries, None where they are no conntrack entries.
        clock: what their lifetimes count.

    Attributes:
        side: those two.
        renewed: the map that the agent made in the place of ours, None as long as it has not.
        events: what happened beside the plan.
        programs: those that use a map which is to go, by the last look.
        users_of_new: those that use the one made for the agent.
        gap: seconds that an entry which an old program had just made was missing for the new
            ones, at the most.
    """

    def __init__(self, gate: Gate, side: Side, layout: Layout | None, clock: ClockSource) -> None:
        self.side = side
        self.renewed: MapInfo | None = None
        self.events: list[Event] = []
        self.programs = users(side.old.info.id, but=side.program_ids)
        self.users_of_new: tuple[int, ...] = ()
        self.gap = 0.0
        self._gate = gate
        self._layout = layout
        self._clock = clock
        self._carries: list[Carry] = []
        self._told: list[str] = []
        self._lost = ""
        self._verified: Verified | None = None
        self._next = self._look_at = 0.0
        self._settled: float | None = None

    @classmethod
    def stage(cls, gate: Gate, plan: MapPlan, clock: ClockSource) -> Table:
        """Make the map; see `Side.stage`."""
        return cls(gate, Side.stage(gate, plan), plan.layout, clock)

    @property
    def progress(self) -> object:
        """Something that changes whenever the agent's restart has come further."""
        renewed = self.renewed.id if self.renewed else 0
        return renewed, self.programs, self.users_of_new

    @property
    def is_over(self) -> bool:
        """Whether no program uses a map any more that is to go, by the last look."""
        return not self._carries if self.renewed else not self.programs

    @property
    def entries(self) -> int:
        """Entries of the old map when both were compared, 0 before."""
        return self._verified.entries if self._verified else 0

    def step(self, *, hurried: bool) -> None:
        """See what is pinned, and carry what has come.

        Args:
            hurried: whether the agent may be using the new map.
        """
        number = pinned_id(self.side.path)
        if number and number != (self.renewed.id if self.renewed else self.side.new.info.id):
            self._made_anew(number)
        for carry in list(self._carries):
            if carry.step():
                self._carries.remove(carry)
                self._end(carry)
        now = time.monotonic()
        late = hurried and self._settled is None
        if (late or now >= self._next) and not self.renewed:
            self._settle(now, hurried=hurried)
        if now >= self._look_at:
            self._look_at = now + LOOK
            self._look()

    def _settle(self, now: float, *, hurried: bool) -> None:
        self.side.settle()
        took = time.monotonic() - now
        if hurried and self._settled is not None:
            # An entry may be as old as the beginning of the pass before this one.
            self.gap = max(self.gap, time.monotonic() - self._settled)
        self._settled = now if hurried else None
        # However large the table is, this is not all that the machine does.
        self._next = time.monotonic() + max(SETTLE if hurried else _CALM, took)

    def finish(self) -> None:
        """Move the counts to the map made for the agent, if it has taken that.

        Raises:
            CtconsoleError: something is left that cannot be moved.
        """
        if not self.renewed:
            self.side.finish()

    def verify(self) -> None:
        """Compare both maps after that.

        Raises:
            CtconsoleError: as `finish`, or a map cannot be read.
        """
        if not self.renewed:
            self._verified = self.side.prove(ct_now(self._clock))

    @property
    def told(self) -> Row:
        """What the agent did with the map made for it."""
        if not self.renewed:
            return Row(
                "taken over",
                f"{self.side.path.name} as it was made: map {self.side.new.info.id}",
            )
        return Row("made anew", "; ".join((*self._told, *([self._lost] if self._lost else []))))

    @property
    def failure(self) -> str:
        """What became of the entries where the agent made a map of its own."""
        if self.renewed is None:
            return ""
        wish, made = self.side.new.info, self.renewed
        name = self.side.path.name
        if self._lost:
            return f"{name}: {self._lost}"
        what = (
            f"{count(made.max_entries)} entries instead of {count(wish.max_entries)}"
            if made.max_entries != wish.max_entries
            else f"flags {made.flags:#x} instead of {wish.flags:#x}"
            if made.flags != wish.flags
            else "the same properties"
        )
        return (
            f"{name} was not resized as wished: the agent made a map of its own with {what}. "
            f"Nothing is lost by that: {'; '.join(self._told)}"
        )

    def report(self) -> MapReport:
        """What became of the map."""
        tally = self.side.seeded + self.side.moved
        old = self.side.old.info
        return MapReport(
            path=self.side.path,
            old_id=old.id,
            new_id=self.side.new.info.id,
            pinned_id=pinned_id(self.side.path),
            old_entries=old.max_entries,
            new_entries=self.side.new.info.max_entries,
            carried=tally.carried,
            merged=tally.moved,
            verified=self._verified,
            recreated=tally.recreated,
            touched=tally.touched,
            contended=tally.contended,
        )

    def _made_anew(self, number: int) -> None:
        """Carry everything there is into the map that the agent made."""
        former = [self.side.old.info.id]
        if self.users_of_new or self.renewed:
            former += [self.side.new.info.id]
        if self.renewed:
            former.append(self.renewed.id)
        for carry in self._carries:
            carry.give_up()
            self._end(carry)
        self._carries.clear()
        # Its passes use both maps and would be taken for programs that have not moved.
        self.side.close_passes()
        try:
            with BpfMap.from_id(number) as live:
                self.renewed = live.info
        except GoneError:
            return
        self._look_at = 0.0
        for old_id in former:
            try:
                self._carry(old_id, number)
            except CtconsoleError as error:
                self._lost = str(error)
                self.events.append(failed_event(self.side.path, error))
                return

    def _carry(self, old_id: int, new_id: int) -> None:
        try:
            old = BpfMap.from_id(old_id)
        except GoneError:
            return
        new = BpfMap.from_id(new_id)
        try:
            require_same_sizes(old, new)
            carry = Carry(
                self._gate, self.side.path, old, new, layout=self._layout, clock=self._clock
            )
        except BaseException:
            old.close()
            new.close()
            raise
        self._carries.append(carry)

    def _end(self, carry: Carry) -> None:
        self._told.append(carry.told.sentence)
        self.events.append(carried_event(carry.told))
        carry.close()

    def _look(self) -> None:
        own = self.side.program_ids.union(*(carry.program_ids for carry in self._carries))
        going = {self.side.old.info.id}
        if self.renewed:
            going.add(self.side.new.info.id)
        self.programs = users(*going, but=own)
        self.users_of_new = () if self.renewed else users(self.side.new.info.id, but=own)

    def close(self) -> None:
        """Let go of every map."""
        for carry in self._carries:
            carry.close()
        self.side.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
