"""Finds a moment among frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.observe.recording.decoder import Decoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.model.recording.frame import Frame
    from ctconsole.observe.recording.moment import NodeMoment


class Seeker:
    """Finds the moment of a frame by the frames before it; going forward it walks on.

    Args:
        frames: moments in their order; the first one is whole.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames
        self._decoder = Decoder()
        self._at = -1
        self._moment: NodeMoment | None = None

    def at(self, place: int) -> NodeMoment:
        """The moment of the frame at a place.

        Raises:
            FormatError: it cannot be made of the frames.
            IndexError: there is no such place.
        """
        if self._moment is not None and place == self._at:
            return self._moment
        begin = place
        while not self._frames[begin].stands_alone:
            begin -= 1
        if self._moment is None or not begin <= self._at < place:
            self._decoder = Decoder()
        else:
            begin = self._at + 1
        # What is half done stands for nothing.
        self._moment = None
        for frame in self._frames[begin : place + 1]:
            moment = self._decoder.decode(frame)
        self._at, self._moment = place, moment
        return moment
