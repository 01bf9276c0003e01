"""One line for the time that can be looked at: where one is in it, and where something happened."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.message import Message
from textual.widget import Widget

if TYPE_CHECKING:
    from textual import events


@dataclass(frozen=True, slots=True)
class Times:
    """What the bar shows; all in seconds since the Unix epoch.

    Attributes:
        begin: the oldest moment.
        end: the newest.
        at: the one shown.
        marks: when something happened.
    """

    begin: float
    end: float
    at: float
    marks: tuple[float, ...] = ()

    def cell(self, moment: float, width: int) -> int:
        """Where a moment stands on a bar of so many cells."""
        if self.end <= self.begin:
            return width - 1
        share = (moment - self.begin) / (self.end - self.begin)
        return min(max(round(share * (width - 1)), 0), width - 1)


class TimeBar(Widget):
    """Hidden while there is only the present; a click asks for a moment."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "time-bar--track",
        "time-bar--past",
        "time-bar--mark",
        "time-bar--at",
        "time-bar--label",
    }

    class Asked(Message):
        """The person wants this moment, seconds since the Unix epoch."""

        def __init__(self, moment: float) -> None:
            super().__init__()
            self.moment = moment

    def __init__(self) -> None:
        super().__init__()
        self._times: Times | None = None

    def show(self, times: Times | None) -> None:
        """Show this from now on; None hides the bar."""
        if times != self._times:
            self._times = times
            self.display = times is not None
            self.refresh()

    def render(self) -> Text:
        """The first moment, the track with its marks, the last moment."""
        times = self._times
        text = Text(no_wrap=True)
        if times is None:
            return text
        label = self.get_component_rich_style("time-bar--label")
        begin, end = (_clock(moment) for moment in (times.begin, times.end))
        width = self._track()
        at = times.cell(times.at, width)
        marks = {times.cell(one, width) for one in times.marks if times.begin <= one <= times.end}
        text.append(f" {begin} ", label)
        for cell in range(width):
            sign, style = ("━", "past") if cell < at else ("─", "track")
            if cell in marks:
                sign, style = "▲", "mark"
            if cell == at:
                sign, style = "●", "at"
            text.append(sign, self.get_component_rich_style(f"time-bar--{style}"))
        text.append(f" {end} ", label)
        return text

    def on_click(self, event: events.Click) -> None:
        """Ask for the moment under the pointer."""
        cell, width = event.x - _MARGIN, self._track()
        if self._times is not None and 0 <= cell < width:
            share = cell / max(1, width - 1)
            self.post_message(
                self.Asked(self._times.begin + share * (self._times.end - self._times.begin))
            )

    def _track(self) -> int:
        return max(1, self.size.width - 2 * _MARGIN)


_MARGIN = len(" 01:36:02 ")


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
