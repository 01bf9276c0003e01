"""Lines of an agent's log as they are written: from a file, the journal or standard input."""

from __future__ import annotations

import os
import selectors
import shutil
import stat
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING

from ctconsole.errors import MissingFeatureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path

POLL_SECONDS = 0.1
CHUNK = 1 << 16
TAIL = 256
"""Bytes by which a log is known again; a line with its time is shorter."""
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
    path: Path,
    stopped: Callable[[], bool] = _never,
    *,
    from_start: bool = False,
    idle: bool = False,
) -> Iterator[str]:
    """Lines added to a file until ``stopped()``, through rotation and truncation.

    A file that is not there is waited for; a rotated one is read to its end before the new one
    is read from its start.

    Args:
        path: the file.
        stopped: asked about ten times a second.
        from_start: also what is in the file already.
        idle: hand out an empty line where nothing came for a moment.

    Raises:
        UsageError: the file cannot be read.
    """
    file: _Followed | None = None
    lines = Lines()
    skip = not from_start
    try:
        while not stopped():
            if file is None:
                file = _open(path, skip=skip)
                # What appears later is new from its first byte on.
                skip = False
            if file is not None and file.rewritten():
                yield from lines.end()
            fresh = file.fresh() if file is not None else b""
            if fresh:
                yield from lines.feed(fresh)
                continue
            if file is not None and file.rotated(path):
                yield from lines.end()
                file.close()
                file = None
                continue
            if idle:
                yield ""
            time.sleep(POLL_SECONDS)
    finally:
        if file is not None:
            file.close()


def _open(path: Path, *, skip: bool) -> _Followed | None:
    try:
        # A pipe that nobody writes to would keep the reader waiting.
        opened = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115 - the follower closes it
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"The log {path} cannot be read: {error.strerror}") from error
    return _Followed(opened, skip=skip)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


class _Followed:
    """An open log, where it is read, and what stands just before that place.

    Args:
        file: unbuffered; owned.
        skip: begin at its end.
    """

    def __init__(self, file: FileIO, *, skip: bool) -> None:
        self._file = file
        now = os.fstat(file.fileno())
        self._plain = stat.S_ISREG(now.st_mode)
        self._place = now.st_size if skip and self._plain else 0
        self._seen = (now.st_size, now.st_mtime_ns)
        self._tail = self._before()

    def rewritten(self) -> bool:
        """Whether the file was cut or written anew; it is then read from its start.

        Also one that became as long again as it was: what stood before the place is not there.
        """
        if not self._plain:
            return False
        now = os.fstat(self._file.fileno())
        seen, self._seen = self._seen, (now.st_size, now.st_mtime_ns)
        if seen == self._seen or (now.st_size >= self._place and self._before() == self._tail):
            return False
        self._place, self._tail = 0, b""
        return True

    def fresh(self) -> bytes:
        """What was added, at most `CHUNK` bytes."""
        if not self._plain:
            return self._file.read(CHUNK) or b""
        chunk = os.pread(self._file.fileno(), CHUNK, self._place)
        self._place += len(chunk)
        self._tail = (self._tail + chunk)[-TAIL:]
        return chunk

    def rotated(self, path: Path) -> bool:
        """Whether another file has taken the name."""
        try:
            return not os.path.samestat(path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            # Moved away, and its successor not made yet: what is open may still be written to.
            return False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _before(self) -> bytes:
        """The bytes before the place, which tell the file from one written anew."""
        start = max(0, self._place - TAIL)
        size = self._place - start
        return os.pread(self._file.fileno(), size, start) if self._plain else b""


def follow_stream(
    stream: IO[bytes], stopped: Callable[[], bool] = _never, *, idle: bool = False
) -> Iterator[str]:
    """Lines of a pipe until its other end is closed or ``stopped()``; ``idle`` as `follow_file`."""
    lines = Lines()
    with selectors.DefaultSelector() as selector:
        try:
            selector.register(stream, selectors.EVENT_READ)
        except (PermissionError, ValueError):  # a plain file is always ready
            while not stopped() and (chunk := os.read(stream.fileno(), CHUNK)):
                yield from lines.feed(chunk)
            yield from lines.end()
            return
        while not stopped():
            if not selector.select(POLL_SECONDS):
                if idle:
                    yield ""
                continue
            chunk = os.read(stream.fileno(), CHUNK)
            if not chunk:
                break
            yield from lines.feed(chunk)
    yield from lines.end()


def follow_journal(
    stopped: Callable[[], bool] = _never,
    *,
    unit: str = "cilium",
    program: str = "journalctl",
    idle: bool = False,
) -> Iterator[str]:
    """Lines a systemd unit writes from now on; ``idle`` as `follow_file`.

    Raises:
        MissingFeatureError: there is no journalctl.
    """
    found = shutil.which(program)
    if found is None:
        raise MissingFeatureError(
            "There is no journalctl on this node",
            hint="Give --agent-log FILE or pipe the log to --agent-log -",
        )
    argv = [found, "-f", "-n", "0", "-o", "cat", "-u", unit]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # noqa: S101 - asked for as a pipe
        try:
            yield from follow_stream(process.stdout, stopped, idle=idle)
        finally:
            process.terminate()


def follow(
    where: str, stopped: Callable[[], bool] = _never, *, idle: bool = False
) -> Iterator[str]:
    """Lines of ``-`` (standard input), ``journal``, or a file's name; ``idle`` as `follow_file`."""
    from pathlib import Path

    if where == "-":
        return follow_stream(sys.stdin.buffer, stopped, idle=idle)
    if where == "journal":
        return follow_journal(stopped, idle=idle)
    return follow_file(Path(where), stopped, idle=idle)
