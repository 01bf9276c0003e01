"""``ctconsole`` in a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def console(*argv: str, under: Sequence[str] = ()) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """``ctconsole`` in a terminal of its own; hands out the process and our end.

    Args:
        argv: its command line.
        under: a command that runs it.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x28\x00\x78\x00\x00\x00\x00\x00")
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        ["setsid", "--ctty", *under, sys.executable, "-m", "ctconsole", *argv],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            os.close(ours)


def read(ours: int) -> bytes:
    """What the terminal shows since the last time; nothing where it is gone."""
    with suppress(BlockingIOError, OSError):
        return os.read(ours, 1 << 20)
    return b""


def interrupted(said: str, *argv: str, seconds: float = 60.0) -> tuple[int, str]:
    """Press Ctrl-C in a terminal as soon as a command says something; how it ends.

    Returns:
        Its exit code, and all that the terminal showed.
    """
    return _pressed(said, b"\x03", *argv, seconds=seconds)


def typed_to(said: str, text: str, *argv: str, seconds: float = 120.0) -> tuple[int, str]:
    """Type a line in a terminal as soon as a command says something; as `interrupted`."""
    return _pressed(said, f"{text}\r".encode(), *argv, seconds=seconds)


def _pressed(said: str, keys: bytes, *argv: str, seconds: float) -> tuple[int, str]:
    shown, end = "", time.monotonic() + seconds
    with console(*argv) as (process, ours):
        while said not in shown and time.monotonic() < end:
            shown += read(ours).decode("utf-8", "replace")
            time.sleep(0.005)
        os.write(ours, keys)
        while process.poll() is None and time.monotonic() < end:
            shown += read(ours).decode("utf-8", "replace")
            time.sleep(0.005)
        shown += read(ours).decode("utf-8", "replace")
        return process.wait(1.0), shown.replace("\r\n", "\n")


def printed_on_terminal(*argv: str, columns: int, **environment: str) -> str:
    """What a verb prints on a terminal so many columns wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "ctconsole", *argv],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    found = b""
    # Reading from a terminal that nobody has open any more is an error.
    with suppress(OSError):
        while chunk := os.read(ours, 1 << 16):
            found += chunk
    os.close(ours)
    process.wait()
    return found.decode().replace("\r\n", "\n")
