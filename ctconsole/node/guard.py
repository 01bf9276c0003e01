"""Carrying entries over for an agent that is not ours: when it re-creates a table, nothing is lost.

Cilium removes the pin of a table whose size changed and pins an empty one; its programs go on
using the old table until each is loaded anew, some seconds later (4 to 25 s were seen with a
real agent). A guard holds the old table meanwhile: it seeds the new one at once, carries what
comes until no program uses the old one, and then moves the counts.

While it carries it holds the lock of whoever changes maps. Where somebody else holds that, the
table is being changed on purpose: a guard then waits for the end, leaves alone what a resize has
carried over itself, and carries what was dropped.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from ctconsole.errors import BusyError, CtconsoleError, GoneError
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.changing import changing
from ctconsole.manager.resize.journal import journal_of
from ctconsole.manager.resize.undo import Undos
from ctconsole.model.catalogue import classify
from ctconsole.node.carrying import (
    Carry,
    carried_event,
    failed_event,
    layout_in,
    require_same_sizes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.changing import Changing
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.event import Event

PACE: Final = 0.02
"""Seconds between two looks at the pins."""

_LIST: Final = 0.5
"""Seconds between two looks for pins that are new; one that was re-created has its name."""


class Guard:
    """Holds the conntrack tables of a node. A context manager; `look` is to be called often.

    Args:
        gate: the write gate.
        folder: where the tables are pinned.
        reading: how their entries are read.

    Raises:
        DeniedError: nothing could be carried over here, for want of CAP_SYS_ADMIN.
    """

    def __init__(self, gate: Gate, folder: Path, reading: Reading) -> None:
        self._gate, self._folder, self._reading = gate, folder, reading
        self._held: dict[Path, tuple[int, BpfMap]] = {}
        self._carries: dict[Path, list[Carry]] = {}
        self._changing: Changing | None = None
        self._paths: list[Path] = []
        self._list_at = 0.0
        for _ in self.look():
            pass
        self._need_ids()

    def _need_ids(self) -> None:
        """Find out now whether maps are to be had by their ids, as carrying over wants them.

        Whoever could only look on must not believe that his tables are guarded.
        """
        try:
            for _, live in self._held.values():
                BpfMap.from_id(live.info.id).close()
        except CtconsoleError:
            self.__exit__()
            raise

    @property
    def held(self) -> tuple[Path, ...]:
        """The pins of the tables that are held."""
        return tuple(self._held)

    def look(self) -> Iterator[Event]:
        """Look at every pin once and do what is due; yields what happened.

        A table that cannot be carried over is told and let go of; nothing is done to it.
        """
        now = time.monotonic()
        if now >= self._list_at:
            self._list_at = now + _LIST
            self._paths = sorted(self._folder.glob("cilium_ct*"))
        for path in self._paths:
            yield from self._look_at(path)
        for path, carries in list(self._carries.items()):
            for carry in list(carries):
                yield from self._step(path, carry)
        if not self._carries:
            self._unlock()

    def _step(self, path: Path, carry: Carry) -> Iterator[Event]:
        try:
            if not carry.step():
                return
        except CtconsoleError as error:
            yield failed_event(path, error)
        else:
            yield carried_event(carry.told)
        self._carries[path].remove(carry)
        if not self._carries[path]:
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
        if before is None:
            self._held[path] = (number, live)
        elif self._locked(path):
            self._held[path] = (number, live)
            if self._is_resized(path):
                before[1].close()
            else:
                yield from self._replaced(path, before[1], live.info.id)
        else:
            # Somebody changes it on purpose; it is looked at again until that is over.
            live.close()

    def _locked(self, path: Path) -> bool:
        """Hold the lock of whoever changes maps; False where somebody else does."""
        if self._changing is None:
            try:
                self._changing = changing(self._folder, f"carries {path.name} over")
            except BusyError:
                return False
            except CtconsoleError:
                # The lock cannot be had by anybody then; the entries cannot wait.
                return True
        return True

    def _unlock(self) -> None:
        if self._changing is not None:
            self._changing.close()
            self._changing = None

    def _is_resized(self, path: Path) -> bool:
        """Whether the map pinned now was made by a resize, which has carried everything over."""
        try:
            return Undos(journal_of(self._folder).path).of(path).has(path)
        except (CtconsoleError, OSError):
            return False

    def _replaced(self, path: Path, old: BpfMap, new_id: int) -> Iterator[Event]:
        olds = [old]
        for was in self._carries.pop(path, []):
            # Re-created once more before the programs had moved: they may still use that one.
            was.give_up()
            yield carried_event(was.told)
            with suppress(GoneError):
                olds.append(BpfMap.from_id(was.told.old_id))
            was.close()
        for one in olds:
            yield from self._carry(path, one, new_id)

    def _carry(self, path: Path, old: BpfMap, new_id: int) -> Iterator[Event]:
        try:
            new = BpfMap.from_id(new_id)
        except GoneError:
            # And once more; the next look sees to it.
            old.close()
            return
        try:
            require_same_sizes(old, new)
            carry = Carry(
                self._gate,
                path,
                old,
                new,
                layout=self._reading.layout or layout_in(old),
                clock=self._reading.clock,
                in_slices=True,
            )
        except CtconsoleError as error:
            old.close()
            new.close()
            yield failed_event(path, error)
        else:
            self._carries.setdefault(path, []).append(carry)

    @property
    def carrying(self) -> int:
        """How many tables are being carried over."""
        return len(self._carries)

    def close(self) -> Iterator[Event]:
        """Let go of everything; yields what became of tables whose programs had not moved."""
        for path, carries in self._carries.items():
            for carry in carries:
                try:
                    carry.give_up()
                    yield carried_event(carry.told)
                except CtconsoleError as error:
                    yield failed_event(path, error)
                carry.close()
        self._carries.clear()
        self._unlock()
        for _, live in self._held.values():
            live.close()
        self._held.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        for _ in self.close():
            pass
