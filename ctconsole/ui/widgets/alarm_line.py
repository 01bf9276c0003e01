"""What most needs a look, below the title of every view; else how full the fullest tables are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from weakref import ref

from rich.text import Text
from textual.widget import Widget

from ctconsole.model.units import percent
from ctconsole.observe.alarms import alarms
from ctconsole.ui.levels import TONES, Tone, level_of, thresholds
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from weakref import ReferenceType

    from ctconsole.observe.sampler import Sample

_NAMED = 4
"""Tables whose fill is told."""


class AlarmLine(Widget):
    """One line for each of the first alarms.

    Args:
        most: lines at most; one more tells how many alarms have none.
        calm: whether the fill of the fullest tables is told where there is no alarm.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "alarm-line--ok",
        "alarm-line--warn",
        "alarm-line--crit",
        "alarm-line--quiet",
    }

    def __init__(self, most: int = 1, *, calm: bool = True) -> None:
        super().__init__()
        self._most = most
        self._calm = calm
        # Not the sample itself: it would live on, with its table, while another view is on top.
        self._told: ReferenceType[Sample] | None = None
        self._lines: tuple[tuple[str, Tone], ...] = ()
        self._fills: tuple[tuple[str, float, str], ...] = ()
        self.display = False

    def show(self, sample: Sample) -> None:
        """Say what there is to say of this sample."""
        if self._told is not None and self._told() is sample:
            return
        self._told = ref(sample)
        told = alarms(sample, thresholds())
        lines = [(f"▲ {clean(one.text)}", TONES[one.level]) for one in told[: self._most]]
        if len(told) > self._most:
            text, tone = lines[-1]
            lines[-1] = f"{text} · {len(told) - self._most} more", tone
        rows = sample.node.rows if sample.node and self._calm and not lines else ()
        fills = [
            (row.name, row.fill, row.info.label)
            for row in rows
            if row.fill and row.info.type.is_hash
        ]
        self._lines = tuple(lines)
        fills.sort(key=lambda one: (*_fullest_first(one[1]), one[0]))
        self._fills = tuple(fills[:_NAMED])
        self.display = bool(self._lines or self._fills)
        self.styles.height = max(1, len(self._lines))
        self.refresh(layout=True)

    def render(self) -> Text:
        """The lines, each cut to the width by Textual."""
        text = Text(no_wrap=True, overflow="ellipsis")
        for place, (line, tone) in enumerate(self._lines):
            style = self.get_component_rich_style(f"alarm-line--{tone}", partial=True)
            text.append(("\n" if place else "") + line, style)
        quiet = self.get_component_rich_style("alarm-line--quiet", partial=True)
        for place, (name, fill, label) in enumerate(self._fills):
            style = self.get_component_rich_style(
                f"alarm-line--{level_of(fill, label)}", partial=True
            )
            text.append(" · " if place else "fill ", quiet)
            text.append(f"{clean(name.removeprefix('cilium_'))} ", quiet)
            text.append(percent(fill), style)
        return text


def _fullest_first(fill: float) -> tuple[bool, int]:
    """What is told alike is alike, so that it stays in its place from one look to the next."""
    least = 0.01
    return fill < least, -round(100 * max(least, fill))
