"""Carrying entries over for an agent that is not ours: when it re-creates a table, nothing is lost.

Cilium removes the pin of a table whose size changed and pins an empty one; its programs go on
using the old table until each is loaded anew, some seconds later (4 to 25 s were seen with a
real agent). A guard holds the old table meanwhile: it seeds the new one at once, carries what
comes until no program uses the old one, and then moves the counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from ctconsole.errors import CtconsoleError
from ctconsole.kernel.maps import BpfMap
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
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.event import Event

PACE: Final = 0.02
"""Seconds between two looks at the pins."""


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
        self._carries: dict[Path, Carry] = {}
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
                yield failed_event(path, error)
            else:
                yield carried_event(carry.told)
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
            yield carried_event(was.told)
            was.close()
        new = BpfMap.from_id(new_id)
        try:
            require_same_sizes(old, new)
            self._carries[path] = Carry(
                self._gate,
                path,
                old,
                new,
                layout=self._reading.layout or layout_in(old),
                clock=self._reading.clock,
            )
        except CtconsoleError as error:
            old.close()
            new.close()
            yield failed_event(path, error)

    def close(self) -> Iterator[Event]:
        """Let go of everything; yields what became of tables whose programs had not moved."""
        for path, carry in self._carries.items():
            try:
                carry.give_up()
                yield carried_event(carry.told)
            except CtconsoleError as error:
                yield failed_event(path, error)
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
