"""The way back of a resize: the old maps take their pins again, with all that has come since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.manager.switch import SwitchEnding
from ctconsole.manager.users import left_on, users
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ctconsole.manager.resize.journal import Journal
    from ctconsole.manager.resize.sides import Side
    from ctconsole.manager.resize.verify import Verified
    from ctconsole.manager.switch import Switch, Ticket


class WayBack:
    """Goes back from a switch that failed, as far as it can, and says how far that was.

    Args:
        sides: the maps.
        journal: of the bpffs.
        switch: moves the programs; None where no program uses the maps.
        own: programs that do not count as users.
    """

    def __init__(
        self,
        sides: Sequence[Side],
        journal: Journal,
        switch: Switch | None,
        own: Collection[int],
    ) -> None:
        self._sides, self._journal, self._switch, self._own = sides, journal, switch, own
        self._failed: list[str] = []
        self._aside: list[str] = []

    def go(
        self,
        why: str,
        ticket: Ticket | None,
        *,
        journaled: Callable[[], None],
        restored: Callable[[], None],
    ) -> tuple[str, tuple[int, ...]]:
        """Do it.

        Args:
            why: what went wrong.
            ticket: of the switch, if it has begun.
            journaled: journals that the way back begins.
            restored: stores the options as they were.

        Returns:
            The failure and the state it left, in words, and programs that use a new map yet.
        """
        ending = ticket.cancel() if ticket else SwitchEnding.STOPPED
        for step in (journaled, restored, self._give_back):
            self._try(step)
        left: tuple[int, ...] = ()
        is_open = True
        if not self._failed:
            failed = self._move_programs()
            why += f"; and moving the programs back failed: {failed}" if failed else ""
            left = left_on(*self._new_ids, but=self._own)
            is_open = bool(left) or ending is SwitchEnding.UNKNOWN
        if not is_open:
            self._try(self._carry_back)
        names = ", ".join(side.path.name for side in self._sides)
        why = "; ".join((f"{names} was not resized: {why}", *self._aside))
        return f"{why}. {self._state(left, is_open=is_open)}", left

    def _state(self, left: tuple[int, ...], *, is_open: bool) -> str:
        """What state that left, as a sentence."""
        if self._failed:
            return (
                f"The way back did not reach its end: {'; '.join(self._failed)}. Both maps are "
                "kept, and ctconsole's next start goes on with it"
            )
        if is_open:
            who = f"{len(left)} programs still use" if left else "some programs may yet use"
            return (
                f"The old map is pinned again, and {who} the new one; ctconsole's next start "
                "carries back what they add"
            )
        if any(pinned_id(side.path) != side.old.info.id for side in self._sides):
            return "Nothing of the old map was changed"
        return "Every program uses the old map, which is pinned again with all its entries"

    def _try(self, step: Callable[[], None]) -> None:
        """One step; that it failed keeps none of the others from being tried."""
        try:
            step()
        except (CtconsoleError, OSError) as error:
            self._failed.append(str(error))

    @property
    def _new_ids(self) -> list[int]:
        return [side.new.info.id for side in self._sides]

    def _give_back(self) -> None:
        for side in self._sides:
            told = side.give_back()
            self._aside += [told] if told else []

    def _move_programs(self) -> str:
        """Move the programs to the old maps again; why that failed."""
        try:
            if self._switch is not None and users(*self._new_ids, but=self._own):
                first = self._sides[0]
                ticket = self._switch(first.path, first.old.info.id)
                ticket.begin()
                ticket.wait()
        except (CtconsoleError, OSError) as error:
            return str(error)
        return ""

    def _carry_back(self) -> None:
        for side in self._sides:
            back = side.reversed()
            try:
                back.finish()
                self._aside += _not_carried(side, back.prove(back.now))
            finally:
                back.close_passes()
        for side in self._sides:
            side.release()
        self._journal.clear()


def _not_carried(side: Side, found: Verified) -> list[str]:
    """What of the new map did not get into the old one; that one is never made to evict."""
    return [
        f"{count(number)} entries that came to {side.path.name} meanwhile {why}"
        for number, why in (
            (found.no_room, "have no room in the old map, which is full, and are lost"),
            (found.missing, "are not in the old map: deleted by somebody else, or lost"),
        )
        if number
    ]
