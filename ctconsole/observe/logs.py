"""Lines of an agent's log as they are written: from a file, the journal or standard input."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, BinaryIO

from ctconsole.errors import MissingFeatureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POLL_SECONDS = 0.1
CHUNK = 1 << 16
LONGEST_LINE = 1 << 20
"""Bytes of a line that are kept while its end is waited for."""


def _never() -> bool:
    return False


class Lines:
    """Cuts chunks of bytes into lines; keeps a line without its end for the next chunk."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that end in this chunk."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        # A line without end must not grow for ever.
        self._rest = rest[:LONGEST_LINE]
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def end(self) -> list[str]:
        """What was written without a newline at the end of a stream."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []


def follow_file(
    path: Path, stopped: Callable[[], bool] = _never, *, from_start: bool = False
) -> Iterator[str]:
    """Lines added to a file until ``stopped()``, through rotation and truncation.

    A file that is not there is waited for; a rotated one is read to its end before the new one
    is read from its start.

    Args:
        path: the file.
        stopped: asked about ten times a second.
        from_start: also what is in the file already.

    Raises:
        UsageError: the file cannot be read.
    """
    file: BinaryIO | None = None
    lines = Lines()
    skip = not from_start
    try:
        while not stopped():
            if file is None:
                file = _open(path)
                if file is not None and skip:
                    file.seek(0, os.SEEK_END)
                # What appears later is new from its first byte on.
                skip = False
            fresh = _fresh(file) if file is not None else b""
            if fresh:
                yield from lines.feed(fresh)
                continue
            if file is not None and _rotated(file, path):
                yield from lines.end()
                file.close()
                file = None
                continue
            time.sleep(POLL_SECONDS)
    finally:
        if file is not None:
            file.close()


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"The log {path} cannot be read: {error.strerror}") from error


def _fresh(file: BinaryIO) -> bytes:
    """What was added; a file that became shorter is read from its start."""
    if os.fstat(file.fileno()).st_size < file.tell():
        file.seek(0)
    return file.read(CHUNK)


def _rotated(file: BinaryIO, path: Path) -> bool:
    """Whether another file has taken the name."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        # Moved away, and its successor not made yet: what is open may still be written to.
        return False


def follow_stream(stream: IO[bytes], stopped: Callable[[], bool] = _never) -> Iterator[str]:
    """Lines of a pipe until its other end is closed or ``stopped()``."""
    lines = Lines()
    with selectors.DefaultSelector() as selector:
        try:
            selector.register(stream, selectors.EVENT_READ)
        except (PermissionError, ValueError):  # a plain file is always ready
            for line in stream:
                yield from lines.feed(line)
            yield from lines.end()
            return
        while not stopped():
            if not selector.select(POLL_SECONDS):
                continue
            chunk = os.read(stream.fileno(), CHUNK)
            if not chunk:
                break
            yield from lines.feed(chunk)
    yield from lines.end()


def follow_journal(
    stopped: Callable[[], bool] = _never, *, unit: str = "cilium", program: str = "journalctl"
) -> Iterator[str]:
    """Lines a systemd unit writes from now on.

    Raises:
        MissingFeatureError: there is no journalctl.
    """
    found = shutil.which(program)
    if found is None:
        raise MissingFeatureError(
            "There is no journalctl on this node", hint="Give --log FILE or pipe the log to --log -"
        )
    argv = [found, "-f", "-n", "0", "-o", "cat", "-u", unit]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # noqa: S101 - asked for as a pipe
        try:
            yield from follow_stream(process.stdout, stopped)
        finally:
            process.terminate()


def follow(where: str, stopped: Callable[[], bool] = _never) -> Iterator[str]:
    """Lines of ``-`` (standard input), ``journal``, or a file's name."""
    from pathlib import Path

    if where == "-":
        return follow_stream(sys.stdin.buffer, stopped)
    if where == "journal":
        return follow_journal(stopped)
    return follow_file(Path(where), stopped)
