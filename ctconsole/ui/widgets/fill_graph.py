"""A small graph of a map's element count over time, drawn with block characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from ctconsole.model.fill import growth
from ctconsole.ui.levels import level_of, percent
from ctconsole.ui.text import clean, fit

if TYPE_CHECKING:
    from ctconsole.model.fill import Trend
    from ctconsole.observe.source import MapRow

_BLOCKS = " ▁▂▃▄▅▆▇█"


def sparkline(values: list[float], width: int) -> str:
    """The newest ``width`` values (0 to 1) as one line of blocks, the lowest one for 0."""
    return "".join(_BLOCKS[max(1, min(8, 1 + round(value * 7)))] for value in values[-width:])


class FillGraph(Widget):
    """Columns, newest at the right, each as high as the map was full; a caption above."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "fill-graph--ok",
        "fill-graph--warn",
        "fill-graph--crit",
        "fill-graph--caption",
        "fill-graph--quiet",
    }

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._row: MapRow | None = None
        self._trend: Trend = ()

    def show(self, row: MapRow | None, trend: Trend) -> None:
        """Draw this map."""
        self._row, self._trend = row, trend
        self.border_title = Text(clean(row.info.label) if row else "fill")
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The caption, then the columns."""
        width, height = self.size
        ground = self.rich_style
        if self._row is None or self._row.entries is None or not self._trend:
            text = "this map type has no count" if self._row and y == 0 else ""
            style = ground + self.get_component_rich_style("fill-graph--quiet", partial=True)
            return Strip([Segment(fit(text, width), style)])
        if y == 0:
            return self._caption(width)
        scale = self._scale()
        columns = self._trend[-width:]
        segments = [Segment(" " * (width - len(columns)), ground)]
        rows = max(1, height - 1)
        for _, count in columns:
            eighths = round(count / scale * rows * 8)
            if count:
                eighths = max(1, eighths)
            part = max(0, min(8, eighths - (rows - y) * 8))
            maximum = self._row.info.max_entries
            level = level_of(count / maximum if maximum else 0.0)
            style = self.get_component_rich_style(f"fill-graph--{level}", partial=True)
            segments.append(Segment(_BLOCKS[part], ground + style))
        return Strip(segments, width)

    def _scale(self) -> int:
        """What a full-height column stands for: the maximum, or less where little is used."""
        assert self._row is not None  # noqa: S101 - called for a row only
        peak = max(count for _, count in self._trend)
        ceiling = peak * 5 // 4 + 1
        # A map out of a file does not tell its maximum.
        return max(1, min(self._row.info.max_entries or ceiling, ceiling))

    def _caption(self, width: int) -> Strip:
        assert self._row is not None  # noqa: S101 - called for a row only
        assert self._row.entries is not None  # noqa: S101 - called for a counted row only
        ground = self.rich_style
        strong = ground + self.get_component_rich_style("fill-graph--caption", partial=True)
        quiet = ground + self.get_component_rich_style("fill-graph--quiet", partial=True)
        grown = growth(self._trend)
        moving = f"  {grown.rate:+,.0f}/s" if grown is not None else ""
        peak = max(count for _, count in self._trend)
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
                Segment(" " * room, ground),
                Segment(right, quiet),
            ]
        ).adjust_cell_length(width, ground)
