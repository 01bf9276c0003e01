"""How full a map was over time, drawn with block characters above a time axis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from ctconsole.model.fill import growth, in_columns
from ctconsole.model.units import percent, short_count
from ctconsole.ui.levels import level_of
from ctconsole.ui.text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.style import Style

    from ctconsole.model.fill import Trend
    from ctconsole.observe.source import MapRow

_BLOCKS = " ▁▂▃▄▅▆▇█"

SPANS: Final = (600.0, 3600.0, 6 * 3600.0, 86_400.0)
"""Seconds that the graph can be wide; unless told, the first or the second, by what is known."""

_SCALE: Final = 7
"""Cells of the scale at the left."""

_TICK: Final = 12
"""Cells between two times of the axis at least."""

_DAY: Final = 86_400.0

_UNCOUNTED: Final = "this map type has no count"
_UNKEPT: Final = "of this map no counts are kept"


def sparkline(values: Sequence[float | None]) -> str:
    """Values (0 to 1) as one line of blocks, the lowest for 0; a blank for what is not known."""
    return "".join(
        " " if one is None else _BLOCKS[max(1, min(8, 1 + round(one * 7)))] for one in values
    )


def peak_of(counts: Iterable[int | None]) -> int:
    """The largest of the columns; 0 where nothing was counted."""
    return max((count for count in counts if count is not None), default=0)


def scale_of(counts: Iterable[int | None], maximum: int) -> int:
    """What a full-height column stands for: the maximum, or less where little of it is used.

    Never less than the highest column: before the map was re-created it may have held more than it
    can now.

    Args:
        counts: of the columns.
        maximum: of the map as it is now; 0: a file does not tell it.
    """
    peak = peak_of(counts)
    ceiling = peak * 5 // 4 + 1
    return max(1, peak, min(maximum or ceiling, ceiling))


class FillGraph(Widget):
    """Columns, the newest at the right, each as high as the map was full at most in its time.

    A caption stands above, the times below, and the scale at the left: from 0 to the maximum, or to
    less where little of it was ever used. A mark at the foot of a column says that something
    happened then.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "fill-graph--ok",
        "fill-graph--warn",
        "fill-graph--crit",
        "fill-graph--caption",
        "fill-graph--quiet",
        "fill-graph--mark",
    }

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._row: MapRow | None = None
        self._trend: Trend = ()
        self._marks: Sequence[float] = ()
        self._at: float | None = None
        self._span: float | None = None

    def show(
        self,
        row: MapRow | None,
        trend: Trend,
        marks: Sequence[float] = (),
        at: float | None = None,
    ) -> None:
        """Draw this map.

        Args:
            row: the map; None draws nothing.
            trend: its counts.
            marks: when something happened, seconds since the Unix epoch.
            at: the moment that is meant, which is marked apart; None: none is.
        """
        self._row, self._trend, self._marks, self._at = row, trend, marks, at
        self.border_title = Text(clean(row.name) if row else "fill")
        self.refresh()

    def widen(self) -> float:
        """Take the next of `SPANS`; the seconds it is wide now."""
        self._span = SPANS[(SPANS.index(self.span) + 1) % len(SPANS)]
        self.refresh()
        return self._span

    @property
    def span(self) -> float:
        """Seconds it is wide."""
        if self._span is not None:
            return self._span
        known = self._trend[-1][0] - self._trend[0][0] if self._trend else 0.0
        return SPANS[0] if known <= SPANS[0] else SPANS[1]

    def render_line(self, y: int) -> Strip:
        """The caption, the columns, the axis."""
        width, height = self.size
        if self._row is None or self._row.entries is None or not self._trend:
            text = _UNCOUNTED if self._row and self._row.entries is None else _UNKEPT
            text = text if self._row and y == 0 else ""
            return Strip([Segment(fit(text, width), self._style("quiet"))])
        if y == 0:
            return self._caption(width)
        if y == height - 1 and y > 1:
            return self._axis(width)
        rows = max(1, height - 2)
        return self._columns(width, rows, y)

    def _style(self, name: str) -> Style:
        style: Style = self.rich_style + self.get_component_rich_style(
            f"fill-graph--{name}", partial=True
        )
        return style

    def _columns(self, width: int, rows: int, y: int) -> Strip:
        assert self._row is not None  # noqa: S101 - called for a row only
        counts = self._counts(width)
        maximum, label = self._row.info.max_entries, self._row.info.label
        scale = scale_of(counts, maximum)
        segments = [Segment(self._label(scale, rows, y), self._style("quiet"))]
        marked = self._marked(len(counts), self._marks) if y == rows else set()
        meant = set() if self._at is None else self._marked(len(counts), (self._at,))
        for place, count in enumerate(counts):
            if place in marked | meant and y == rows:
                sign = "◆" if place in meant else "▲"
                segments.append(Segment(sign, self._style("mark")))
                continue
            eighths = round((count or 0) / scale * rows * 8)
            if count:
                eighths = max(1, eighths)
            part = max(0, min(8, eighths - (rows - y) * 8))
            # More than fits was in a larger one in its place, of which no maximum is kept.
            known = maximum and (count or 0) <= maximum
            level = level_of((count or 0) / maximum, label) if known else "ok"
            segments.append(Segment(_BLOCKS[part], self._style(level)))
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    @staticmethod
    def _label(scale: int, rows: int, y: int) -> str:
        """The scale of a line: what the top of the first stands for, and half of it."""
        if y == 1:
            text = short_count(scale)
        elif y == rows // 2 + 1 and rows >= 4:  # noqa: PLR2004 - lines that a half is told of
            text = short_count(scale * (rows - y + 1) // rows)
        else:
            text = ""
        return f"{text:>{_SCALE - 1}}▕" if text else " " * (_SCALE - 1) + "▕"

    def _counts(self, width: int) -> Sequence[int | None]:
        """What each column stands for, in so many cells with the scale."""
        return in_columns(self._trend, self._trend[-1][0], self.span, max(1, width - _SCALE))

    def _axis(self, width: int) -> Strip:
        """Times below the columns they belong to."""
        room = max(1, width - _SCALE)
        end, span = self._trend[-1][0], self.span
        cells = [" "] * room
        ticks = max(1, room // _TICK)
        for number in range(ticks + 1):
            place = round(number * (room - 1) / ticks)
            moment = end - span * (room - 1 - place) / max(1, room - 1)
            form = "%H:%M" if span < _DAY else "%d. %H:%M"
            text = time.strftime(form, time.localtime(moment))
            begin = min(max(0, place - len(text) // 2), room - len(text))
            if begin >= 0:
                cells[begin : begin + len(text)] = text
        line = " " * _SCALE + "".join(cells)
        return Strip([Segment(line, self._style("quiet"))]).adjust_cell_length(
            width, self.rich_style
        )

    def _marked(self, columns: int, moments: Sequence[float]) -> set[int]:
        """The columns in whose time these moments lie."""
        end, stretch = self._trend[-1][0], self.span / columns
        places = (columns - 1 - int((end - mark) / stretch) for mark in moments if mark <= end)
        return {place for place in places if place >= 0}

    def _caption(self, width: int) -> Strip:
        assert self._row is not None  # noqa: S101 - called for a row only
        assert self._row.entries is not None  # noqa: S101 - called for a counted row only
        strong, quiet = self._style("caption"), self._style("quiet")
        grown = growth(self._trend)
        moving = f"  {grown.rate:+,.0f}/s" if grown is not None else ""
        peak = peak_of(self._counts(width))
        left = f"{self._row.entries:,}"
        fill, most = self._row.fill, self._row.info.max_entries
        share = f"  {percent(fill)} of {most:,}{moving}" if fill is not None else moving
        right = f"peak {peak:,}"
        room = width - len(left) - len(share) - len(right)
        if room < 1:
            right, room = "", max(0, width - len(left) - len(share))
        return Strip(
            [
                Segment(left, strong),
                Segment(share, quiet),
                Segment(" " * room, self.rich_style),
                Segment(right, quiet),
            ]
        ).adjust_cell_length(width, self.rich_style)
