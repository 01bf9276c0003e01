"""What tests of a resize have in common: a table, somebody whose programs use it, and looks."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import AgentError, DatapathError
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import load_program
from ctconsole.manager.switch import SwitchEnding, SwitchProgress
from ctconsole.manager.users import users
from ctconsole.model.ct.layout import Layout, value_dtype
from tests.support.bpf_insns import using_map
from tests.support.foreign import until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


class ProgramOwner:
    """Somebody whose programs use a pinned map, and who moves them one after the other."""

    def __init__(self, gate: Gate, pin: Path, programs: int = 3) -> None:
        self.gate, self.pin = gate, pin
        self.fds = [self.load() for _ in range(programs)]
        self.moved = 0
        self.begun = 0
        self.stopped = False
        self.moving = threading.Lock()
        self.fails_at: int | None = None
        self.on_step: Callable[[int], None] = lambda _: None

    def load(self) -> int:
        with BpfMap.open(self.pin) as live:
            return load_program(self.gate, using_map(live.fd), name="user")

    def __call__(self, pin: Path, map_id: int) -> ProgramOwner:
        """A ticket of its own for each switch would do as well."""
        with BpfMap.open(pin) as live:
            assert live.info.id == map_id
        return self

    def begin(self) -> None:
        self.begun += 1
        self.moved = 0
        self.stopped = False

    def progress(self) -> SwitchProgress:
        return SwitchProgress(self.moved, len(self.fds), "loading")

    def wait(self) -> None:
        with self.moving:
            while self.moved < len(self.fds):
                if self.fails_at == self.moved:
                    self.fails_at = None
                    raise DatapathError("lxc.c does not compile")
                self.on_step(self.moved)
                if self.stopped:
                    raise AgentError("The switch was cancelled")
                os.close(self.fds[self.moved])
                self.fds[self.moved] = self.load()
                self.moved += 1

    def cancel(self) -> SwitchEnding:
        """As a ticket's: nothing is loaded any more when it returns."""
        self.stopped = True
        with self.moving:
            return SwitchEnding.STOPPED

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


def entries_at(pin: Path) -> dict[bytes, bytes]:
    with BpfMap.open(pin) as live:
        dump = live.read()
        return {k.tobytes(): v.tobytes() for k, v in zip(dump.keys, dump.values, strict=True)}


def packets(entries: Mapping[bytes, bytes]) -> int:
    rows = np.frombuffer(b"".join(entries.values()), value_dtype(Layout.V1_9))
    return int(rows["rx_packets"].sum())


def used_by(map_id: int, programs: int) -> bool:
    """Whether exactly so many programs use a map, once those that ended have gone.

    The kernel lets go of a program that ran in an iterator only some time after its last handle.
    """
    return until(lambda: len(users(map_id)) == programs, 20)


def only_pin(pin: Path) -> bool:
    return list(pinned_maps(pin.parent)) == [pin]
