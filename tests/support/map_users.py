"""Programs that use a pinned map and outlive the process that made them."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.kernel import pins
from ctconsole.kernel.libbpf import BpfObject
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import load_program
from ctconsole.kernel.syscall import Cmd, ObjAttr, TestRunAttr, bpf
from ctconsole.manager.switch import SwitchEnding, SwitchProgress
from tests.support.bpf_insns import using_map
from tests.support.churner import STATE, first_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
            fd = self._program(number, live)
        place, loading = self._folder / f"user_{number}", self._folder / "loading"
        # One that a killed process left behind.
        loading.unlink(missing_ok=True)
        pins.pin_fd(self._gate, fd, loading)
        os.close(fd)
        pins.rename(self._gate, loading, place)

    def _program(self, number: int, live: BpfMap) -> int:
        """A program that uses the map; the descriptor is the caller's to close."""
        del number
        return load_program(self._gate, using_map(live.fd), name="user")


class CountingUsers(PinnedUsers):
    """The first of the programs runs all the time and counts on entries that stay.

    Whoever loads it may be killed: what was counted is kept beside it.

    Args:
        gate: the write gate.
        pin: the map's pin.
        path: the compiled churner.
        steady: entries 0 to ``steady`` of `ct4_rows` are there and stay.
    """

    def __init__(self, gate: Gate, pin: Path, path: Path, steady: int) -> None:
        super().__init__(gate, pin)
        self._path = path
        self._stop, self._still = threading.Event(), threading.Lock()
        with BpfMap.open(pin) as live, BpfObject(path, maps={"table": live.fd}) as made:
            self._state = os.dup(made.map_fd(".bss"))
        self._memory = mmap.mmap(self._state, STATE.itemsize)
        self._memory[:] = first_state(steady)
        self._thread = threading.Thread(target=self._run, name="traffic")

    @contextmanager
    def running(self) -> Iterator[None]:
        """It runs as long as this block."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()
            self._memory.close()
            os.close(self._state)

    @contextmanager
    def still(self) -> Iterator[np.void]:
        """It stands still as long as this block; what it has counted, as `STATE`."""
        with self._still:
            yield np.frombuffer(self._memory[:], STATE)[0]

    def _run(self) -> None:
        name = ctypes.create_string_buffer(os.fsencode(self._folder / "user_0"))
        attr = ObjAttr(pathname=ctypes.addressof(name))
        while not self._stop.wait(0.002):
            with self._still:
                fd = bpf(Cmd.BPF_OBJ_GET, attr, "the program that counts")
                try:
                    bpf(Cmd.BPF_PROG_TEST_RUN, TestRunAttr(prog_fd=fd), "the program that counts")
                finally:
                    os.close(fd)

    def _program(self, number: int, live: BpfMap) -> int:
        if number:
            return super()._program(number, live)
        with BpfObject(self._path, maps={"table": live.fd, ".bss": self._state}) as made:
            return os.dup(made.program_fd("run"))
