"""One map in the place of another: the pin, the programs, and what is true if they do not move."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError, GoneError, UsageError
from ctconsole.kernel import pins
from ctconsole.manager.bpfmap import map_event, pinned_id
from ctconsole.manager.running import Running, watch
from ctconsole.manager.switch import SwitchEnding
from ctconsole.manager.users import left_on, users
from ctconsole.model.catalogue import PENDING
from ctconsole.model.event import EventKind, Level

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.manager.interrupts import Interrupts
    from ctconsole.manager.switch import Switch, Ticket
    from ctconsole.model.event import Event


class Swap:
    """A map that has taken another's place, while programs are moved to it.

    Args:
        gate: the write gate.
        path: the pin.
        old: the map that was pinned before.
        new: the one that is pinned now.
        heard: who asks this process to end.

    Attributes:
        running: what was seen of the programs at their hooks after they had been moved.
    """

    def __init__(self, gate: Gate, path: Path, old: BpfMap, new: BpfMap, heard: Interrupts) -> None:
        self._gate, self._path, self._heard = gate, path, heard
        self._old, self._new = old, new
        self.running = Running()

    def finish(self, switch: Switch) -> tuple[str, list[Event]]:
        """Move the programs; what went wrong and what state that left, and events about it."""
        ticket = switch(self._path, self._new.info.id)
        try:
            with self._heard.waiting():
                ticket.begin()
                ticket.wait()
        except KeyboardInterrupt:
            reason = "it was interrupted"
        except CtconsoleError as error:
            reason = str(error).rstrip(".")
        except Exception as error:  # noqa: BLE001 - whatever it is, the state is to be told
            reason = f"{type(error).__name__}: {error}"
        else:
            return self._proved(switch)
        ending = self._cancel(ticket)
        if ending is SwitchEnding.DONE:
            # Only the answer was lost, or the wish to end came too late.
            return "", []
        state, events = self._after(ending)
        done = "was re-created as map" if pinned_id(self._path) != self._old.info.id else ""
        what = f"{done} {self._new.info.id}, but" if done else "was not re-created:"
        failure = f"{self._path} {what} the switch failed: {reason}. {state}"
        warning = map_event(EventKind.WARNING, self._path, failure, level=Level.ERROR)
        return failure, [*events, warning]

    def _proved(self, switch: Switch) -> tuple[str, list[Event]]:
        """Watch the programs run; go back where one of them never does."""
        self.running = watch(self._gate, [self._new.info.id])
        try:
            self.running.check()
        except CtconsoleError as error:
            failure = f"{self._path} was not re-created: {error}. {self._moved_back(switch)}"
            return failure, [map_event(EventKind.WARNING, self._path, failure, level=Level.ERROR)]
        return "", []

    def _moved_back(self, switch: Switch) -> str:
        """Pin the old map again and move the programs to it; the state as a sentence."""
        old, new = self._old.info.id, self._new.info.id
        if pinned_id(self._path) != new:
            return f"The pin is no longer the new map's, map {new}, which the programs keep using"
        try:
            pin_over(self._gate, self._old, self._path, new)
            ticket = switch(self._path, old)
            with self._heard.waiting():
                ticket.begin()
                ticket.wait()
        except KeyboardInterrupt:
            failed = "it was interrupted"
        except (CtconsoleError, OSError) as error:
            failed = str(error)
        else:
            return f"Every program uses map {old} again, which is pinned with its entries"
        return (
            f"Moving the programs back to map {old} failed: {failed}; {len(left_on(new))} use "
            f"map {new}; restart the agent to move them all"
        )

    def _cancel(self, ticket: Ticket) -> SwitchEnding:
        """End the switch; who asks to end once more waits no longer for an answer."""
        self._heard.again()
        try:
            with self._heard.waiting():
                return ticket.cancel()
        except KeyboardInterrupt:
            return SwitchEnding.UNKNOWN

    def _after(self, ending: SwitchEnding) -> tuple[str, list[Event]]:
        """Pin the old map again where that is certain to be right; the state as sentences."""
        old, new = self._old.info.id, self._new.info.id
        if ending is SwitchEnding.UNKNOWN:
            return (
                "Whether programs are still being moved is not known, because whoever moves them "
                "has not answered that it stopped; so the old map was not pinned again. Now "
                f"{len(users(new))} programs use the new map and {len(users(old))} the old one, "
                f"map {old}; restart the agent to move them all"
            ), []
        # Programs that were loaded and then thrown away need a moment to go.
        if moved := left_on(new):
            return (
                f"{len(moved)} programs use the new map and {len(left_on(old))} still use the old "
                f"one, map {old}; restart the agent to move them all"
            ), []
        if (found := pinned_id(self._path)) != new:
            what = f"Somebody else has pinned map {found} there" if found else "The pin is gone"
            return (
                f"{what} meanwhile, which was left alone; "
                f"{len(users(old))} programs use the old map, {old}"
            ), []
        try:
            pin_over(self._gate, self._old, self._path, new)
        except CtconsoleError as error:
            return (
                f"The old map, {old}, could not be pinned again: {error.message}; "
                f"{len(users(old))} programs use it; restart the agent to move them all"
            ), []
        return self._pinned_again()

    def _pinned_again(self) -> tuple[str, list[Event]]:
        old, new = self._old.info.id, self._new.info.id
        event = map_event(
            EventKind.MAP_PINNED,
            self._path,
            "Repinning old BPF map after failed switch",
            {"id": old, "dropped_id": new},
            Level.WARNING,
        )
        # Programs of other work of the agent, which had opened the pin the moment before.
        if late := left_on(new):
            return (
                f"Map {old} is pinned again with its entries, but {len(late)} programs use map "
                f"{new}, which is pinned nowhere; restart the agent to move them"
            ), [event]
        return (
            f"Every program still uses map {old}, which is pinned again with its entries",
            [event],
        )


def pin_over(gate: Gate, live: BpfMap, path: Path, instead: int) -> None:
    """Pin a map in the place of another, with no gap.

    Args:
        gate: the write gate.
        live: the map that takes the pin.
        path: the pin.
        instead: kernel id of the map that has it, and loses it.

    Raises:
        UsageError: another map was pinned there in the meantime, which keeps its pin.
        GoneError: nothing is pinned there any more; nothing was changed.
        BpfError: the pin cannot be made; nothing was changed.
    """
    pending = path.with_name(path.name + PENDING)
    # One that a killed run left behind.
    with suppress(GoneError):
        pins.unpin(gate, pending)
    pins.pin(gate, live, pending)
    try:
        pins.exchange(gate, pending, path)
        if (found := pinned_id(pending)) != instead:
            pins.exchange(gate, pending, path)
            raise UsageError(
                f"Somebody else has pinned map {found} at {path} meanwhile, which was map "
                f"{instead}; it was left alone",
                hint="Look who that is, and try again",
            )
        live.repinned(path)
    finally:
        # Whatever anybody else may have brought there by the same means stays.
        if pinned_id(pending) in {live.info.id, instead}:
            pins.unpin(gate, pending)


def let_go_of_pending(gate: Gate, folder: Path) -> None:
    """Unpin what a killed process had beside the pins of a folder; nobody changes maps there now.

    Not to be called while a resize that was cut off is to be ended.
    """
    for pending in folder.glob(f"cilium_*{PENDING}"):
        with suppress(GoneError):
            pins.unpin(gate, pending)
