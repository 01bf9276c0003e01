"""A recording as it is opened: checked from its first frame to the last whole one."""

from __future__ import annotations

import mmap
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ctconsole.errors import FormatError, UsageError
from ctconsole.handles import Handle
from ctconsole.model.names import Names
from ctconsole.model.recording.frame import MAGIC, BrokenOff, Frame, FrameKind, frames
from ctconsole.model.units import day_and_time
from ctconsole.observe.recording.moment import TYPES, VERSION, Head, Numbered, unpack

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.model.event import Event

_MOST_EVENTS: Final = 500_000


def is_recording(head: bytes) -> bool:
    """Whether a file that begins so is a recording."""
    return head.startswith(MAGIC)


class Recording(Handle):
    """A recording that was opened.

    Args:
        path: the file.

    Attributes:
        head: what it says of itself.
        moments: its moments as frames, the oldest first, at least one.
        times: of each of them, seconds since the Unix epoch.
        events: with their ids, the oldest first.
        names: what things are called.
        told: a sentence where it ends without having been ended, else empty.

    Raises:
        UsageError: the file cannot be read.
        FormatError: it is no recording, or holds no moment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map: mmap.mmap | None = None
        self._view = memoryview(b"")
        self.moments: list[Frame] = []
        self.events: list[tuple[int, Event]] = []
        self.names = Names()
        self.told = ""
        try:
            self._open()
            self.head = self._read()
        except BaseException:
            self.close()
            raise
        self.times = [one.time for one in self.moments]

    @property
    def is_open(self) -> bool:
        """Whether its file is still looked at."""
        return self._map is not None

    def close(self) -> None:
        """Let go of the file; its moments are not asked for afterwards."""
        self.moments = []
        self._view.release()
        if self._map is not None:
            # A frame that somebody still holds keeps the file mapped until it is dropped.
            with suppress(BufferError):
                self._map.close()
            self._map = None

    def _open(self) -> None:
        try:
            # One that is no file (a pipe, a device) would be waited for.
            handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from error
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{self.path} is no file")
            if not status.st_size:
                raise FormatError(f"{self.path} is empty")
            self._map = mmap.mmap(handle, 0, prot=mmap.PROT_READ)
        finally:
            os.close(handle)
        self._view = memoryview(self._map)

    def _read(self) -> Head:
        head, ended, broken = None, False, None
        for one in frames(self._view):
            if isinstance(one, BrokenOff):
                broken = one
                break
            frame = one[1]
            ended = frame.kind is FrameKind.INDEX
            if frame.kind is FrameKind.HEAD:
                head = head or self._head(frame)
            elif head is None:
                break
            else:
                self._take(frame)
        if head is None:
            raise FormatError(
                f"{self.path} is no recording",
                hint="ctconsole record writes one; for dumps there is --from-dump",
            )
        if not self.moments:
            raise FormatError(f"{self.path} holds no whole moment; it was cut off too early")
        self.told = self._end(broken, ended=ended)
        return head

    def _take(self, frame: Frame) -> None:
        match frame.kind:
            case FrameKind.WHOLE:
                self.moments.append(frame)
            case FrameKind.STEP if self.moments:
                self.moments.append(frame)
            case FrameKind.EVENTS if len(self.events) < _MOST_EVENTS:
                told = unpack(frame.content()).get("events")
                some = TYPES.value(tuple[Numbered, ...], told, "events")
                self.events += ((one.id, one.event) for one in some)
            case FrameKind.NAMES:
                self.names = TYPES.value(Names, unpack(frame.content()).get("names"), "names")
            case _:
                pass

    def _head(self, frame: Frame) -> Head:
        head = TYPES.value(Head, unpack(frame.content()), "head")
        if head.version > VERSION:
            raise FormatError(
                f"{self.path} is a recording of format {head.version}, written by ctconsole "
                f"{head.program}",
                hint=f"This one reads up to format {VERSION}; take a newer one",
            )
        return head

    def _end(self, broken: BrokenOff | None, *, ended: bool) -> str:
        """A sentence that says where it ends and why, where it was not ended."""
        if ended and broken is None:
            return ""
        last = day_and_time(self.moments[-1].time)
        if broken is None:
            return f"{self.path} was not ended; its last moment is of {last}"
        behind = len(self._view) - broken.offset
        return (
            f"{self.path} ends at {last}, at byte {broken.offset:,}: {broken.why}; the "
            f"{behind:,} bytes behind that are not shown"
        )
