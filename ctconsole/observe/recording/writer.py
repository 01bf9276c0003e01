"""A recording being written: frames are only ever added, and the index when it is ended."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any, Final

from ctconsole.errors import UsageError
from ctconsole.handles import Handle
from ctconsole.model.recording.frame import HEADER_BYTES, FrameKind, frame
from ctconsole.model.recording.plain import plain
from ctconsole.observe.recording.encoder import Encoder
from ctconsole.observe.recording.moment import Numbered, pack
from ctconsole.private import opener

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.model.event import Event
    from ctconsole.model.names import Names
    from ctconsole.model.recording.frame import Frame
    from ctconsole.observe.recording.moment import Head, NodeMoment

_INDEX_ENTRY: Final = 24
"""Bytes of the index for each frame at most, for which room is kept."""


class RecordingWriter(Handle):
    """Writes one file, for its user's eyes alone (0600).

    Each frame is handed to the system as a whole before the next is made; a whole moment is also
    put on the disk, so that a crash of the machine costs what came after the last of these.

    Args:
        path: the file; it must not be there.
        head: what it says of itself.
        most_bytes: how large it may grow.

    Raises:
        UsageError: it is there, or cannot be made.
    """

    def __init__(self, path: Path, head: Head, most_bytes: int) -> None:
        self.path = path
        self.bytes = 0
        self.moments = 0
        self._most = most_bytes
        self._encoder = Encoder()
        self._places: list[tuple[int, int, float]] = []
        try:
            self._file: IO[bytes] | None = open(path, "xb", 0, opener=opener)  # noqa: SIM115 - Path.open takes none
        except FileExistsError as error:
            raise UsageError(
                f"{path} is there, and a recording is never written over another file",
                hint="Name another file, or remove this one",
            ) from error
        except OSError as error:
            raise UsageError(f"{path} cannot be made: {error.strerror}") from error
        self._put(frame(FrameKind.HEAD, head.started, pack(plain(head))))

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self._file is not None

    def name(self, names: Names, time: float) -> None:
        """Keep what things are called from here on.

        Raises:
            OSError: the disk is full or failed; what was written before stands.
        """
        self._put(frame(FrameKind.NAMES, time, pack({"names": plain(names)})))

    def add(self, moment: NodeMoment, events: Sequence[tuple[int, Event]] = ()) -> bool:
        """Add a moment and what happened since the one before.

        Returns:
            False where it would grow too large; nothing is added then.

        Raises:
            OSError: the disk is full or failed; what was written before stands.
        """
        made = [self._encoder.encode(moment)]
        if events:
            told = [plain(Numbered(number, event)) for number, event in events]
            made.insert(0, frame(FrameKind.EVENTS, moment.taken_at, pack({"events": told})))
        more = sum(one.bytes_in_file for one in made)
        room = HEADER_BYTES + _INDEX_ENTRY * (len(self._places) + len(made))
        if self.bytes + more + room > self._most:
            return False
        for one in made:
            self._put(one)
        self.moments += 1
        return True

    def close(self) -> None:
        """End it with its index.

        Raises:
            OSError: the index could not be written; the recording opens without it as well.
        """
        if self._file is None:
            return
        try:
            last = self._places[-1][2] if self._places else 0.0
            told: dict[str, Any] = {"frames": [list(place) for place in self._places]}
            self._put(frame(FrameKind.INDEX, last, pack(told)))
            os.fsync(self._file.fileno())
        finally:
            file, self._file = self._file, None
            file.close()

    def _put(self, one: Frame) -> None:
        assert self._file is not None  # noqa: S101 - nobody writes to what is closed
        content = memoryview(one.encoded())
        try:
            while content:
                content = content[self._file.write(content) or 0 :]
        except OSError:
            # What was written of it would hide whatever comes behind, which stands by itself.
            os.ftruncate(self._file.fileno(), self.bytes)
            self._file.seek(self.bytes)
            self._encoder = Encoder()
            raise
        self._places.append((self.bytes, int(one.kind), one.time))
        self.bytes += one.bytes_in_file
        if one.kind is FrameKind.WHOLE:
            os.fdatasync(self._file.fileno())
