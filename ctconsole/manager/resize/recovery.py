"""Ending what a killed resize has begun: forward where programs have moved, else back.

Both maps of a resize have every entry from the moment the pins are exchanged, and either stays
pinned until the last count is moved. So neither way loses anything; which one is taken depends
on the programs alone.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError, GoneError
from ctconsole.kernel import pins
from ctconsole.kernel.clock import boot_id
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import map_event, pinned_id
from ctconsole.manager.resize.journal import Stage
from ctconsole.manager.resize.sides import Side, known_pin, old_pin, pending_pin, put_aside
from ctconsole.manager.resize.undo import Undos, undoable
from ctconsole.manager.users import left_on, users
from ctconsole.model.ct.layout import Layout
from ctconsole.model.event import EventKind, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.journal import Entry, Journal, Moving
    from ctconsole.manager.switch import Switch
    from ctconsole.model.event import Event

    Store = Callable[[Mapping[str, str | None]], None]


class Way(StrEnum):
    """How a resize that was cut off ends."""

    NOTHING = "nothing"
    """It had touched nothing that anybody uses, or was through."""

    FORWARD = "forward"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a resize that was cut off ended.

    Attributes:
        way: which way.
        sentence: what happened, for a person.
        left: programs that have not moved; while there are any the journal stays.
        events: in their order.
    """

    way: Way
    sentence: str
    left: tuple[int, ...] = ()
    events: tuple[Event, ...] = ()


class Recovery:
    """What is left to do of a resize whose process died.

    To be used with the lock of whoever changes maps: who has it knows that nobody goes on.

    Args:
        gate: the write gate.
        journal: of the bpffs.
        store: writes options where the agent's next start finds them; None unsets one.

    Raises:
        FormatError: the journal cannot be read.
    """

    def __init__(self, gate: Gate, journal: Journal, store: Store) -> None:
        self._gate = gate
        self._journal = journal
        self._store = store
        self._entry = journal.read()
        self._way = Way.NOTHING
        self._aside: list[str] = []

    @property
    def is_due(self) -> bool:
        """Whether there is anything to end."""
        return self._entry is not None

    @property
    def entry(self) -> Entry | None:
        """What the process that died was about to do, None where there is nothing to end."""
        return self._entry

    def prepare(self, way: Way | None = None) -> Way:
        """Choose the way, and let pins and options agree with it; programs come after that.

        Args:
            way: the way, from somebody who knows more than which programs use which map.

        Raises:
            CtconsoleError: the maps are another agent's, about which nothing is known here.
        """
        entry = self._entry
        if entry is None:
            return Way.NOTHING
        if entry.foreign is not None and way is None:
            raise CtconsoleError(
                f"A resize of {Path(entry.maps[0].path).name} of another agent was cut off here",
                hint="End it first: ctconsole map resize, with its name and the size wished for",
            )
        self._way = way or self._choose(entry)
        if entry.boot == boot_id():
            for one in entry.maps:
                self._put_right(one)
        if self._way is Way.FORWARD:
            self._store(entry.after)
        elif self._way is Way.BACK:
            self._store(entry.before)
        return self._way

    def finish(self, switch: Switch | None = None) -> Ended | None:
        """Move programs and counts; to be called after `prepare`.

        Args:
            switch: moves the programs to the maps pinned now; None where that has been done.

        Returns:
            How it ended, None where there was nothing to end.
        """
        entry = self._entry
        if entry is None:
            return None
        names = ", ".join(Path(one.path).name for one in entry.maps)
        if self._way is Way.NOTHING:
            self._journal.clear()
            return self._ended(f"A resize of {names} was cut off before it changed anything")
        with ExitStack() as stack:
            sides = [stack.enter_context(side) for one in entry.maps if (side := self._side(one))]
            own = frozenset[int]().union(*(side.program_ids for side in sides))
            leave = [side.old.info.id for side in sides]
            if switch is not None and sides and users(*leave, but=own):
                ticket = switch(sides[0].path, sides[0].new.info.id)
                ticket.begin()
                ticket.wait()
            left = left_on(*leave, but=own)
            if left:
                return self._ended(
                    f"A resize of {names} was cut off; {len(left)} programs still use the maps "
                    "that are to go, and it ends when they have moved",
                    left,
                )
            for side in sides:
                side.finish()
            lacking = [told for side in sides if (told := side.lacking())]
            for side in sides:
                side.release()
            if sides and self._way is Way.FORWARD:
                # What it began is done, whether it can be undone by a word or not.
                with suppress(OSError):
                    Undos(self._journal.path).keep(undoable(sides))
        self._journal.clear()
        if self._way is Way.BACK:
            how = "every program uses the old map again, with everything that has come since"
        else:
            chosen = any(one.cut for one in entry.maps)
            but = " but what was to be left behind" if chosen else ""
            how = f"every program uses the new map, which has everything{but}"
        told = "; ".join((how, *lacking))
        return self._ended(f"A resize of {names} was cut off and has been ended: {told}")

    def _choose(self, entry: Entry) -> Way:
        if entry.boot != boot_id() or entry.stage is Stage.STAGE or not exist(entry):
            return Way.NOTHING
        if entry.stage is Stage.RELEASE or entry.stage is Stage.SETTLE:
            return Way.FORWARD
        if entry.stage is Stage.ROLL_BACK:
            return Way.BACK
        new_ids = [one.new_id for one in entry.maps]
        return Way.FORWARD if users(*new_ids) else Way.BACK

    def _put_right(self, one: Moving) -> None:
        """Let the pin have the map that this way wants, and nothing wait beside it in vain."""
        path = Path(one.path)
        wanted = one.new_id if self._way is Way.FORWARD else one.old_id
        for other in (pending_pin(path), old_pin(path)):
            if pinned_id(path) == wanted:
                break
            if pinned_id(other) == wanted:
                told = put_aside(self._gate, path, {one.old_id, one.new_id})
                self._aside += [told] if told else []
                if pinned_id(path):
                    # The one that goes has entries to be carried; it waits where the other did.
                    pins.exchange(self._gate, other, path)
                else:
                    pins.rename(self._gate, other, path)
        if self._way is Way.NOTHING:
            for other in (pending_pin(path), old_pin(path), known_pin(path)):
                # At a pin of ours nobody else has a map; one of this resize is let go of.
                if pinned_id(other):
                    pins.unpin(self._gate, other)

    def _side(self, one: Moving) -> Side | None:
        """The two maps, the one that is to go first; None where that one is gone."""
        path = Path(one.path)
        leaving, staying = one.old_id, one.new_id
        if self._way is Way.BACK:
            leaving, staying = staying, leaving
        try:
            old = BpfMap.from_id(leaving)
        except GoneError:
            return None
        with ExitStack() as opened:
            opened.push(old)
            new = opened.enter_context(BpfMap.from_id(staying))
            layout = Layout(one.layout) if one.layout else None
            known = self._known(one)
            side = Side(
                self._gate,
                path,
                old,
                new,
                layout,
                known=opened.enter_context(known) if known else None,
                is_back=self._way is Way.BACK,
                counted=bool(known) or not one.known_id,
            )
            opened.pop_all()
        if self._way is Way.FORWARD:
            side.choose_as(one.cut, one.now)
        return side

    def _known(self, one: Moving) -> BpfMap | None:
        """What both maps hold in common of the counts; None where that is nothing or is gone."""
        if not one.known_id:
            return None
        try:
            return BpfMap.from_id(one.known_id)
        except GoneError:
            self._aside.append(
                f"what both maps of {Path(one.path).name} had counted was not there any more, so "
                "that each entry has the counts that its last map had"
            )
            return None

    def _ended(self, sentence: str, left: tuple[int, ...] = ()) -> Ended:
        entry = self._entry
        sentence = "; ".join((sentence, *self._aside))
        events = tuple(
            map_event(EventKind.WARNING, Path(one.path), sentence, level=Level.WARNING)
            for one in (entry.maps if entry else ())
        )
        return Ended(self._way, sentence, left, events)


def exist(entry: Entry) -> bool:
    """Whether the maps are there: their bpffs may have been taken down with all its pins."""
    for one in entry.maps:
        for number in (one.old_id, one.new_id):
            try:
                BpfMap.from_id(number).close()
            except GoneError:
                continue
            return True
    return False
