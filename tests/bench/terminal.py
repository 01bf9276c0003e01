"""A console in a pseudo-terminal, for what its start and its rest cost."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from tests.bench import before

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERVAL: Final = 2.0
"""Seconds between two samples."""

PATIENCE: Final = 60.0
"""Seconds until it has to show what is waited for."""

LEAVE: Final = 15.0
"""Seconds it has to end by itself."""


class Terminal:
    """A console in a pseudo-terminal; everything it writes is read and kept.

    Args:
        root: the bpffs it shows.
        state: the folder of its history.
        build: the folder of the build that runs.
        interval: seconds between two samples.
    """

    def __init__(
        self, root: Path, state: Path, build: Path = before.HERE, interval: float = INTERVAL
    ) -> None:
        self._build = build
        self._command = [
            *(sys.executable, "-m", "ctconsole", "console", "--read-only"),
            *("--bpf-root", str(root), "--state-dir", str(state), "--interval", str(interval)),
        ]
        self._seen = bytearray()
        self._started = 0.0
        self._fd = -1
        self._pid = 0

    @contextmanager
    def open(self) -> Iterator[Terminal]:
        """Start the console, and end it afterwards."""
        self._started = time.monotonic()
        given = before.environment(self._build) | {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(self._build)
            os.execve(sys.executable, self._command, given)  # noqa: S606 - our own command
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        try:
            yield self
        finally:
            self._end()
            reader.join(5)
            os.close(self._fd)

    def _end(self) -> None:
        """Ask it to leave, and kill it where it does not."""
        self.press(b"q")
        given_up = time.monotonic() + LEAVE
        while os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > given_up:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.01)

    def press(self, keys: bytes) -> None:
        """Type."""
        self._seen.clear()
        os.write(self._fd, keys)

    def wait_for(self, text: bytes) -> float:
        """Wait until this was written; seconds since the start."""
        asked = time.monotonic()
        while text not in bytes(self._seen):
            waited = time.monotonic() - asked
            assert waited < PATIENCE, f"the console did not show {text!r}"
            time.sleep(0.005)
        return time.monotonic() - self._started

    def until_answered(self, keys: bytes) -> float:
        """Type; seconds until something is written."""
        self.press(keys)
        asked = time.perf_counter()
        while not self._seen:
            assert time.perf_counter() - asked < PATIENCE, f"no answer to {keys!r}"
            time.sleep(0.0005)
        return time.perf_counter() - asked

    def memory(self) -> float:
        """Resident MB of the process now."""
        return float(psutil.Process(self._pid).memory_info().rss) / 1e6

    def peak(self) -> float:
        """The most MB it had resident so far."""
        for line in Path(f"/proc/{self._pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("the kernel tells no VmHWM")

    def cpu(self) -> float:
        """CPU seconds of the process so far."""
        times = psutil.Process(self._pid).cpu_times()
        return float(times.user + times.system)

    def _read(self) -> None:
        while True:
            try:
                block = os.read(self._fd, 65536)
            except OSError:
                return
            if not block:
                return
            self._seen += block
