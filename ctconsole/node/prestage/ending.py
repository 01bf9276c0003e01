"""Ending what a killed resize of another agent's tables left behind, or saying what to do.

Who has taken what over decides: an agent that has the new map, or programs that use it, lead
forward; an agent that was never restarted leads back. While the agent is down, or is just
starting, both maps stay as they are, which is what its next start wants to find.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError, GoneError
from ctconsole.kernel import pins, procs
from ctconsole.kernel.clock import boot_id
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import map_event, pinned_id
from ctconsole.manager.resize.journal import Stage
from ctconsole.manager.resize.recovery import Ended, Way, exist
from ctconsole.manager.resize.sides import Side, old_pin, pending_pin
from ctconsole.manager.users import users
from ctconsole.model.ct.clock import KTIME
from ctconsole.model.ct.layout import Layout
from ctconsole.model.event import EventKind, Level
from ctconsole.node.carrying import Carry, require_same_sizes
from ctconsole.node.prestage.settings import put_back
from ctconsole.observe.agents import find_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.journal import Entry, Journal, Moving
    from ctconsole.manager.resize.recovery import Recovery

_PAUSE: Final = 0.25
"""Seconds between two passes and two looks."""


def files_of(entry: Entry) -> Callable[[Mapping[str, str | None]], None]:
    """Writes the files of an entry as they are to be; one that somebody changed since stays."""

    def store(wished: Mapping[str, str | None]) -> None:
        for name, text in wished.items():
            forward = text == entry.after.get(name)
            written = entry.before.get(name) if forward else entry.after.get(name)
            with suppress(OSError):
                put_back(Path(name), text, written)

    return store


class Ending:
    """One that was cut off; to be used with the lock of whoever changes maps.

    Args:
        gate: the write gate.
        journal: of the bpffs.
        recovery: of the same journal.
        entry: what it says; ``entry.foreign`` is given.
        folder: where the maps are pinned.
        tell: hears what is waited for.
        patience: seconds to wait for an agent that starts and for programs that move.
    """

    def __init__(
        self,
        gate: Gate,
        journal: Journal,
        recovery: Recovery,
        entry: Entry,
        *,
        folder: Path,
        tell: Callable[[str], None],
        patience: float,
    ) -> None:
        self._gate = gate
        self._journal = journal
        self._recovery = recovery
        self._entry = entry
        self._folder = folder
        self._tell = tell
        self._until = time.monotonic() + patience
        self._names = ", ".join(Path(one.path).name for one in entry.maps)

    def end(self) -> Ended | None:
        """End it, or say what to do; see `ctconsole.manager.resize.recovery.Ended`.

        Raises:
            CtconsoleError: it could not be ended, and is as it was.
        """
        entry = self._entry
        if entry.boot != boot_id() or entry.stage is Stage.STAGE or not exist(entry):
            self._recovery.prepare(Way.NOTHING)
            return self._recovery.finish()
        anew = [one for one in self._entry.maps if self._made_anew(one)]
        if anew:
            return self._carry(anew)
        way = self._way()
        if way is None:
            return self._stays()
        self._recovery.prepare(way)
        if way is Way.FORWARD:
            self._wait_for_programs()
            return self._recovery.finish()
        return self._back()

    def _back(self) -> Ended:
        """Let go of maps that nobody has used; pins and files are as they were."""
        for one in self._entry.maps:
            self._release(one)
        self._journal.clear()
        text = (
            f"A resize of {self._names} was cut off before its agent was restarted, and has been "
            "undone: every program uses the old map, which is pinned again, and the settings are "
            "as they were"
        )
        undo = self._entry.foreign.undo if self._entry.foreign else ""
        return self._ended(Way.BACK, f"{text}; to undo your own part, {undo}" if undo else text)

    def _way(self) -> Way | None:
        """Forward or back; None while only the agent's next start can tell."""
        if self._entry.stage in {Stage.SETTLE, Stage.RELEASE}:
            return Way.FORWARD
        while True:
            new_ids = [one.new_id for one in self._entry.maps]
            agent = find_agent(self._folder)
            if users(*new_ids) or (
                agent is not None and procs.held_maps(agent.process.pid).intersection(new_ids)
            ):
                return Way.FORWARD
            if agent is not None and self._is_before(agent.process.pid, agent.process.ticks):
                return Way.BACK
            if self._entry.stage is Stage.ROLL_BACK:
                return Way.BACK
            if time.monotonic() > self._until:
                return None
            self._tell("waits for the agent to come back")
            time.sleep(_PAUSE)

    def _is_before(self, pid: int, ticks: int) -> bool:
        foreign = self._entry.foreign
        return foreign is not None and (foreign.pid, foreign.ticks) == (pid, ticks)

    def _wait_for_programs(self) -> None:
        """Carry what comes while the agent moves them, as the process that died would have."""
        for one in self._entry.maps:
            side = self._side(one.old_id, one.new_id, one)
            if side is None:
                continue
            with side:
                side.choose_as(one.cut, one.now)
                while users(one.old_id, but=side.program_ids) and time.monotonic() < self._until:
                    self._tell(f"waits for programs that still use the old {side.path.name}")
                    side.settle()
                    time.sleep(_PAUSE)

    def _made_anew(self, one: Moving) -> bool:
        """Whether the agent has pinned a map of its own."""
        return pinned_id(Path(one.path)) not in {0, one.old_id, one.new_id}

    def _carry(self, anew: list[Moving]) -> Ended:
        """Carry everything over into the maps that the agent made."""
        told = []
        left: set[int] = set()
        for one in anew:
            try:
                told.append(self._carried(one, left))
            except CtconsoleError as error:
                told.append(f"{Path(one.path).name} was not carried over: {error}")
        if left:
            text = (
                f"A resize of {self._names} was cut off and the agent made maps of its own: "
                f"{'; '.join(told)}. {len(left)} programs still use the old one; run this again"
            )
            return self._ended(Way.FORWARD, text, tuple(sorted(left)))
        for one in self._entry.maps:
            self._release(one)
        self._journal.clear()
        text = (
            f"A resize of {self._names} was cut off and the agent made maps of its own: "
            f"{'; '.join(told)}"
        )
        return self._ended(Way.FORWARD, text)

    def _carried(self, one: Moving, left: set[int]) -> str:
        path, told = Path(one.path), ""
        for old_id in (one.old_id, one.new_id):
            try:
                old = BpfMap.from_id(old_id)
            except GoneError:
                continue
            new = BpfMap.open(path)
            try:
                require_same_sizes(old, new)
                layout = Layout(one.layout) if one.layout else None
                carry = Carry(self._gate, path, old, new, layout=layout, clock=KTIME)
            except BaseException:
                old.close()
                new.close()
                raise
            try:
                while not carry.step():
                    if time.monotonic() > self._until:
                        left.update(users(old_id, but=carry.program_ids))
                        carry.give_up()
                        break
                    time.sleep(_PAUSE)
                told = told or carry.told.sentence
            finally:
                carry.close()
        return told or f"nothing was left of the old {path.name}"

    def _release(self, one: Moving) -> None:
        for kept in (old_pin(Path(one.path)), pending_pin(Path(one.path))):
            with suppress(GoneError):
                pins.unpin(self._gate, kept)

    def _side(self, old_id: int, new_id: int, one: Moving) -> Side | None:
        try:
            old = BpfMap.from_id(old_id)
        except GoneError:
            return None
        try:
            new = BpfMap.from_id(new_id)
        except GoneError:
            old.close()
            return None
        layout = Layout(one.layout) if one.layout else None
        return Side(self._gate, Path(one.path), old, new, layout)

    def _stays(self) -> Ended:
        foreign = self._entry.foreign
        what = foreign.command if foreign else ""
        text = (
            f"A resize of {self._names} was cut off while its agent was being restarted. The new "
            "map is pinned with every entry and the settings are written, so that the agent takes "
            f"it over when it starts: have it started ({what}), then run this again, which "
            "carries the rest"
        )
        left = users(*(one.old_id for one in self._entry.maps))
        return self._ended(Way.FORWARD, text, left or (0,))

    def _ended(self, way: Way, sentence: str, left: tuple[int, ...] = ()) -> Ended:
        events = tuple(
            map_event(EventKind.WARNING, Path(one.path), sentence, level=Level.WARNING)
            for one in self._entry.maps
        )
        return Ended(way, sentence, left, events)
