"""How many entries each map had all through a recording, without making sense of its entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ctconsole.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.model.fill import Trend
    from ctconsole.model.recording.frame import Frame

MOST: Final = 1440
"""Counts of one map that are told; of a longer recording the largest of each stretch."""


class _Counts(msgspec.Struct):
    """Of a moment only its maps; the entries are passed over unread."""

    node: dict[str, Any] | None = None


def fills_of_frames(frames: Sequence[Frame]) -> Mapping[str, Trend]:
    """The counts by `MapRow.key`, oldest first; of a frame that is damaged nothing."""
    read = msgspec.msgpack.Decoder(_Counts).decode
    counts = _Counted(frames[0].time, frames[-1].time) if frames else _Counted(0.0, 0.0)
    for frame in frames:
        try:
            node = read(frame.content()).node
        except (FormatError, msgspec.MsgspecError, RecursionError):
            # Whoever looks at that moment is told.
            continue
        counts.take(frame, node)
    return counts.told()


class _Counted:
    """Takes the frames in their order.

    Args:
        begin: the first moment.
        end: the last.
    """

    def __init__(self, begin: float, end: float) -> None:
        self._begin = begin
        self._stretch = max((end - begin) / MOST, 1e-9)
        self._now: dict[str, int] = {}
        self._points: dict[str, list[tuple[float, int]]] = {}

    def take(self, frame: Frame, node: dict[str, Any] | None) -> None:
        """Add the counts of one moment."""
        if frame.stands_alone:
            self._now = {}
        if node is None:
            return
        for gone in node.get("gone") or ():
            self._now.pop(str(gone), None)
        for row in node.get("rows") or ():
            self._take_row(row)
        when = node.get("taken_at")
        if not isinstance(when, int | float):
            return
        for key, entries in self._now.items():
            self._put(self._points.setdefault(key, []), (float(when), entries))

    def _take_row(self, row: object) -> None:
        if not isinstance(row, dict) or not isinstance(row.get("info"), dict):
            return
        info, entries = row["info"], row.get("entries")
        pin = info.get("pin")
        key = str(pin) if pin else f"id {info.get('id')}"
        if isinstance(entries, int):
            self._now[key] = entries
        else:
            self._now.pop(key, None)

    def _put(self, points: list[tuple[float, int]], point: tuple[float, int]) -> None:
        place = (point[0] - self._begin) // self._stretch
        if points and (points[-1][0] - self._begin) // self._stretch == place:
            if points[-1][1] >= point[1]:
                return
            points.pop()
        points.append(point)

    def told(self) -> dict[str, Trend]:
        """All of it."""
        return {key: tuple(points) for key, points in self._points.items()}
