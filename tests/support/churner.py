"""Somebody who changes a conntrack table as fast as a busy datapath, and moves when asked to."""

from __future__ import annotations

import mmap
import os
import subprocess
import sysconfig
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.handles import Closing
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.libbpf import BpfObject
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.syscall import Cmd, TestRunAttr, bpf
from ctconsole.manager.switch import SwitchEnding, SwitchProgress
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

_SOURCE: Final = Path(__file__).with_name("churn.bpf.c")

STATE: Final = np.dtype(
    [
        ("rest", "u1", 10),
        ("pad", "u2"),
        ("steady", "u4"),
        ("fleeting", "u4"),
        ("lifetime", "u4"),
        ("counted", "u8"),
        ("missing", "u8"),
        ("changes", "u8"),
    ],
    align=True,
)
"""The variables of ``churn.bpf.c``."""

RATE: Final = 150_000
"""Changes a second."""


def compiled(folder: Path) -> Path:
    """The program's object, made in ``folder``."""
    made = folder / "churn.bpf.o"
    headers = f"-I/usr/include/{sysconfig.get_config_var('MULTIARCH')}"
    flags = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", headers]
    subprocess.run(["clang", *flags, "-c", str(_SOURCE), "-o", str(made)], check=True)
    return made


def first_state(steady: int, fleeting: int = 0) -> bytes:
    """The variables of a program that has not run."""
    state = np.zeros(1, STATE)
    state["rest"] = ct4_rows(1, lifetime=0)[0][0, 4:]
    state["steady"], state["fleeting"] = steady, fleeting
    state["lifetime"] = ktime() + 1000
    return state.tobytes()


class Churner(Closing):
    """Entries come and go at `RATE`, and of those that stay packets are counted, on one CPU.

    It is a switch and its own ticket: whoever waits for it has it use the map pinned now.

    Args:
        gate: the write gate.
        path: the compiled program.
        pin: the table's.
        steady: entries 0 to ``steady`` of `ct4_rows` are there and stay.
        fleeting: so many others come and go.

    Attributes:
        counted: packets that were added to steady entries.
        missing: how often a steady entry was not there.
        changes: how many entries came or went.
    """

    def __init__(self, gate: Gate, path: Path, pin: Path, steady: int, fleeting: int) -> None:
        self.counted = self.missing = self.changes = 0
        self._gate, self._path, self._pin = gate, path, pin
        self._steady, self._fleeting = steady, fleeting
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._program = self._load()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._churn, name="churner")
        self._thread.start()

    def __call__(self, pin: Path, map_id: int) -> Churner:
        """The ticket."""
        del pin, map_id
        return self

    def begin(self) -> None:
        """Nothing yet."""

    def progress(self) -> SwitchProgress:
        """It has no steps."""
        return SwitchProgress(0, 1, "loading")

    def wait(self) -> None:
        """Use the map that is pinned now."""
        made = self._load()
        with self._lock:
            self._take_counts()
            gone, self._program = self._program, made
        gone.close()

    def cancel(self) -> SwitchEnding:
        """Nothing goes on by itself."""
        return SwitchEnding.STOPPED

    @property
    def rate(self) -> float:
        """Changes a second so far."""
        return self.changes / (time.monotonic() - self._began)

    def end(self) -> None:
        """Change nothing more."""
        self._stop.set()
        self._thread.join()
        self._take_counts()
        if self._error:
            raise self._error

    def close(self) -> None:
        """Unload the program."""
        self._stop.set()
        self._thread.join()
        self._program.close()

    @property
    def is_open(self) -> bool:
        """Whether its program is loaded."""
        return self._program.is_open

    def _load(self) -> BpfObject:
        with BpfMap.open(self._pin) as live:
            made = BpfObject(self._path, maps={"table": live.fd})
        with mmap.mmap(made.map_fd(".bss"), STATE.itemsize) as memory:
            memory[:] = first_state(self._steady, self._fleeting)
        return made

    def _take_counts(self) -> None:
        with mmap.mmap(self._program.map_fd(".bss"), STATE.itemsize) as memory:
            state = np.frombuffer(memory[:], STATE)[0]
        self.counted += int(state["counted"])
        self.missing += int(state["missing"])
        self.changes += int(state["changes"])

    def _churn(self) -> None:
        try:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            began, runs = time.monotonic(), 0
            while not self._stop.is_set():
                with self._lock:
                    attr = TestRunAttr(prog_fd=self._program.program_fd("run"))
                    bpf(Cmd.BPF_PROG_TEST_RUN, attr, "the churner")
                runs += 1
                self._stop.wait(max(0.0, began + runs * 1024 / RATE - time.monotonic()))
        except BaseException as error:  # noqa: BLE001 - told by `end`
            self._error = error
