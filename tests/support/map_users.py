"""Programs that use a pinned map and outlive the process that made them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ctconsole.kernel import pins
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import load_program
from ctconsole.manager.switch import SwitchEnding, SwitchProgress
from tests.support.bpf_insns import using_map

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


class PinnedUsers:
    """Programs pinned beside a map, moved one after the other to the map pinned now.

    Args:
        gate: the write gate.
        pin: the map's pin.
        count: how many programs.
    """

    def __init__(self, gate: Gate, pin: Path, count: int = 3) -> None:
        self._gate, self._pin, self._count = gate, pin, count
        self._folder = pin.parent.parent / "programs"
        self._moved = 0
        self.on_step: Callable[[int], None] = lambda _: None

    def load_all(self) -> None:
        """Load every program on the map pinned now."""
        pins.make_folder(self._gate, self._folder)
        for number in range(self._count):
            self._load(number)

    def __call__(self, pin: Path, map_id: int) -> PinnedUsers:
        """A ticket: these programs themselves."""
        del pin, map_id
        return self

    def begin(self) -> None:
        """Start moving."""
        self._moved = 0

    def progress(self) -> SwitchProgress:
        """How many have moved."""
        return SwitchProgress(self._moved, self._count, "loading")

    def wait(self) -> None:
        """Move them."""
        while self._moved < self._count:
            self.on_step(self._moved)
            self._load(self._moved)
            self._moved += 1

    def cancel(self) -> SwitchEnding:
        """Nothing goes on by itself."""
        return SwitchEnding.STOPPED

    def _load(self, number: int) -> None:
        with BpfMap.open(self._pin) as live:
            fd = load_program(self._gate, using_map(live.fd), name="user")
        place = self._folder / f"user_{number}"
        pins.pin_fd(self._gate, fd, place.with_name("loading"))
        os.close(fd)
        pins.rename(self._gate, place.with_name("loading"), place)
