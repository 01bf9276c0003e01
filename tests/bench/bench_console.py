"""The console in a real terminal on a live map: when it is there, and what it costs at rest."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psutil

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.bench.bench_ct_list import entries
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZES: Final = {"full": (524_288, 500_000), "small": (131_072, 120_000)}
INTERVAL: Final = 2.0
"""Seconds between two samples."""

WARM: Final = 4.0
MEASURED: Final = 10.0
"""Seconds the console runs before, and while, its CPU time is taken."""

SCREEN_GOAL: Final = 1.0
IDLE_GOAL: Final = 0.20
PATIENCE: Final = 30.0


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    capacity, count = SIZES[size]
    gate = Gate.open()
    with private_bpffs(gate) as root:
        pins.make_folder(gate, root / GLOBALS)
        spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, capacity)
        with mapwrite.create(gate, spec) as live:
            pins.pin(gate, live, root / GLOBALS / spec.name)
            mapwrite.update_batch(gate, live, *entries(count))
            return _measure(root, root.parent / "state", count)


def _measure(root: Path, state: Path, count: int) -> list[dict[str, Any]]:
    with Terminal(root, state).open() as terminal:
        first = terminal.wait_for(f"{count:,}".encode())
        overview = terminal.share_of_a_core()
        terminal.press(b"2")
        terminal.wait_for(f"{count:,} entries".encode())
        watched = terminal.share_of_a_core()
    what = f"of {count:,} entries"
    return [
        _row("first screen, from the process's start", first, "s", SCREEN_GOAL),
        _row(f"idle overview {what}", overview * 100, "%", IDLE_GOAL * 100),
        _row(f"idle table {what}", watched * 100, "%", IDLE_GOAL * 100),
    ]


def _row(name: str, value: float, unit: str, goal: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": "the goal" if unit == "s" else "one core",
        "peer_value": goal if unit == "s" else 100.0,
        "ratio": value / (goal if unit == "s" else 100.0),
        "goal": f"<= {goal:g} {unit}",
        "ok": value <= goal,
    }


class Terminal:
    """A console in a pseudo-terminal; everything it writes is read and kept."""

    def __init__(self, root: Path, state: Path) -> None:
        self._command = [
            *(sys.executable, "-m", "ctconsole", "console", "--read-only"),
            *("--bpf-root", str(root), "--state-dir", str(state), "--interval", str(INTERVAL)),
        ]
        self._seen = bytearray()
        self._started = 0.0
        self._fd = -1
        self._pid = 0

    @contextmanager
    def open(self) -> Iterator[Terminal]:
        """Start the console, and end it afterwards."""
        self._started = time.monotonic()
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(sys.executable, self._command)  # noqa: S606 - our own command
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        try:
            yield self
        finally:
            self.press(b"q")
            os.waitpid(self._pid, 0)
            reader.join(5)
            os.close(self._fd)

    def press(self, keys: bytes) -> None:
        """Type."""
        self._seen.clear()
        os.write(self._fd, keys)

    def wait_for(self, text: bytes) -> float:
        """Wait until this was written; seconds since the start."""
        while text not in bytes(self._seen):
            waited = time.monotonic() - self._started
            assert waited < PATIENCE + MEASURED, f"the console did not show {text!r}"
            time.sleep(0.005)
        return time.monotonic() - self._started

    def share_of_a_core(self) -> float:
        """CPU time over wall time, once the console has come to rest."""
        time.sleep(WARM)
        process = psutil.Process(self._pid)
        before, started = process.cpu_times(), time.monotonic()
        time.sleep(MEASURED)
        after, seconds = process.cpu_times(), time.monotonic() - started
        return float(after.user + after.system - before.user - before.system) / seconds

    def _read(self) -> None:
        while True:
            try:
                block = os.read(self._fd, 65536)
            except OSError:
                return
            if not block:
                return
            self._seen += block
