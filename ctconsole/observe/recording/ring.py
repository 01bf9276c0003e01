"""The newest moments of a node, kept in memory as frames, so that one can step back to them."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.model.ct.changes import KeyedTable
    from ctconsole.model.recording.frame import Frame
    from ctconsole.observe.recording.encoder import Encoder
    from ctconsole.observe.recording.moment import NodeMoment

KEPT_SECONDS: Final = 900.0
KEPT_BYTES: Final = 32 << 20


def place_of(times: Sequence[float], time: float) -> int:
    """The place of the newest of these, in their order, that is not after a time; 0 at least."""
    return max(0, bisect_right(times, time) - 1)


class Ring:
    """The moments of the last minutes. One thread adds, another may look.

    Args:
        seconds: how far back it reaches.
        most_bytes: what the frames may take; where that is less, it does not reach so far.
    """

    def __init__(self, seconds: float = KEPT_SECONDS, most_bytes: int = KEPT_BYTES) -> None:
        self._seconds = seconds
        self._most = most_bytes
        self._bytes = 0
        self._frames: deque[Frame] = deque()
        self._encoder: Encoder | None = None
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """What the frames take."""
        return self._bytes

    @property
    def newest(self) -> float | None:
        """When the newest moment was taken; None while nothing is kept."""
        with self._lock:
            return self._frames[-1].time if self._frames else None

    def add(self, moment: NodeMoment, keyed: KeyedTable | None = None) -> None:
        """Keep one more moment; called with each newer one.

        Args:
            moment: the moment.
            keyed: its table where that has been hashed.
        """
        if self._encoder is None:
            # Loaded behind the first sample, which a person waits for.
            from ctconsole.observe.recording.encoder import Encoder

            self._encoder = Encoder()
        frame = self._encoder.encode(moment, keyed)
        with self._lock:
            self._frames.append(frame)
            self._bytes += frame.bytes_in_file
            self._drop(moment.taken_at)

    def frames(self) -> tuple[Frame, ...]:
        """The frames as they are now, the oldest first."""
        with self._lock:
            return tuple(self._frames)

    def _drop(self, now: float) -> None:
        """Let go of the oldest up to the next whole one, while there is one to begin with."""
        while self._frames:
            begins = (place for place, one in enumerate(self._frames) if one.stands_alone)
            after = next((place for place in begins if place), None)
            if after is None:
                return
            old = self._frames[after].time < now - self._seconds
            if not old and self._bytes <= self._most:
                return
            for _ in range(after):
                self._bytes -= self._frames.popleft().bytes_in_file
