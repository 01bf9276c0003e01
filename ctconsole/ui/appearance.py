"""What is done to every line before it reaches the terminal: fewer colours, ASCII alone.

Done to what is rendered and not where it is made, so that it holds for every widget, Textual's own
among them.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.color import Color as RichColor
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

if TYPE_CHECKING:
    from rich.color_triplet import ColorTriplet

_DEPTHS: Final = {"256": ColorSystem.EIGHT_BIT, "16": ColorSystem.STANDARD}

GLYPHS: Final = {
    "…": "~",
    "·": "-",
    "▲": "!",
    "▼": "v",
    "▶": ">",
    "◀": "<",
    "━": "=",
    "╸": "-",
    "╍": "~",
    "▕": "|",
    "▸": ">",
    "◂": "<",
    "◆": "*",
    "☐": "o",
    "☑": "x",
    "─": "-",
    "●": "*",
    "◉": "@",
    "■": "#",
    "‖": "=",
    "→": ">",
    "←": "<",
    "↑": "^",
    "↓": "v",
    "▁": "_",
    "▂": ".",
    "▃": "-",
    "▄": "=",
    "▅": "+",
    "▆": "*",
    "▇": "%",
    "█": "#",
    "░": ".",
    "▒": ":",
    "▓": "%",
}
"""Every sign of ours that is not ASCII, and what stands for it; of one cell, like the sign.

Lines of boxes and scrollbars, which are Textual's, are found by their names in Unicode.
"""


def plain_sign(sign: str) -> str:
    """What stands for a sign where there is ASCII alone, as wide as it is."""
    if sign.isascii():
        return sign
    if sign in GLYPHS:
        return GLYPHS[sign]
    name = unicodedata.name(sign, "")
    if name.startswith("BOX DRAWINGS"):
        upright = "VERTICAL" in name
        across = "HORIZONTAL" in name
        return "+" if upright == across else "|" if upright else "-"
    if "BLOCK" in name or name.startswith("QUADRANT"):
        return "#"
    bare = unicodedata.normalize("NFKD", sign)[:1]
    return bare if bare.isascii() and cell_len(sign) == 1 else "?" * cell_len(sign)


@lru_cache(4096)
def plain(text: str) -> str:
    """A text in ASCII alone, as wide as it was."""
    return text if text.isascii() else "".join(map(plain_sign, text))


class AsciiFilter(LineFilter):
    """ASCII alone."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See Textual."""
        del background
        return [Segment(plain(text), style, control) for text, style, control in segments]


_GREY, _WHITE = RichColor.parse("bright_black"), RichColor.parse("bright_white")

_PALE: Final = frozenset({7, 15})
"""White and bright white: with light themes hardly two colours, and to Textual, which draws what is
behind a dialogue a second time, one."""


def _is_same(one: RichColor | None, other: RichColor | None) -> bool:
    """Whether these look the same, whatever they are called."""
    return one is not None and other is not None and one[1:] == other[1:]


def _is_lost(color: RichColor | None, background: RichColor | None) -> bool:
    """Whether one of sixteen colours is not seen on the other."""
    if color is None or background is None:
        return False
    pale = color.is_system_defined and {color.number, background.number} <= _PALE
    return pale or _is_same(color, background)


@lru_cache(4096)
def reduced(style: Style, system: ColorSystem) -> Style:
    """A style in the colours of a terminal that has no more.

    What could be seen before can be seen still: the dimmed view behind a dialogue, which is nearly
    as dark as its ground, is grey where there is nothing between black and that; and so are the
    lines of a light theme.
    """
    color = style.color.downgrade(system) if style.color else None
    background = style.bgcolor.downgrade(system) if style.bgcolor else None
    if _is_lost(color, background) and not _is_same(style.color, style.bgcolor):
        color = _WHITE if _is_same(background, _GREY) else _GREY
    return style + Style.from_color(color, background)


class DepthFilter(LineFilter):
    """No more colours than a terminal has.

    Args:
        system: what it has.
    """

    def __init__(self, system: ColorSystem) -> None:
        super().__init__()
        self._system = system

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See Textual."""
        del background
        return [
            Segment(text, reduced(style, self._system) if style else style, control)
            for text, style, control in segments
        ]


_STANDS_OUT: Final = 40
"""How far a background is from that of its widget, channels added up, to be meant to be seen; the
stripes of a table are nearer."""


@lru_cache(4096)
def colourless(style: Style, ground: Color) -> Style:
    """A style without colours: what stood out by its background, like a cursor, is reversed."""
    seen = Color.from_rich_color(style.bgcolor) if style.bgcolor else ground
    far = sum(abs(a - b) for a, b in zip(seen.rgb, ground.rgb, strict=True))
    reverse = bool(style.reverse) != (far > _STANDS_OUT)
    return style + Style(color="default", bgcolor="default", reverse=reverse)


class ColourlessFilter(LineFilter):
    """No colours at all."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See Textual."""
        return [
            Segment(text, colourless(style, background) if style else style, control)
            for text, style, control in segments
        ]


READABLE: Final = 4.5
"""Contrast between a text and its ground below which it is hard to read (WCAG 2.1, level AA)."""


def contrast(style: Style, depth: str = "") -> float:
    """The contrast of a style with colours of its own, 1 to 21.

    Args:
        style: has a colour and a background.
        depth: a member of `settings.fields.COLOR_DEPTHS`: what the terminal makes of both.
    """
    if style.color is None or style.bgcolor is None:
        return 21.0
    if depth in _DEPTHS:
        style = reduced(style, _DEPTHS[depth])
    pair = (style.color, style.bgcolor)
    first, second = (_luminance(one.get_truecolor()) for one in pair if one is not None)
    low, high = sorted((first, second))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: ColorTriplet) -> float:
    """How bright a colour is, 0 to 1, as WCAG 2.1 weighs the channels."""
    red, green, blue = (
        one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - of the standard
        for one in color.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable(style: Style, ground: Style, depth: str = "") -> Style:
    """A style that can be read: in the colour of its ground's own text where its own cannot be.

    Args:
        style: with the colours of the ground below it.
        ground: the ground's own, readable.
        depth: what the terminal makes of colours, as for `contrast`.
    """
    if contrast(style, depth) >= READABLE:
        return style
    return style + Style(color=ground.color)


def filters_for(depth: str, *, ascii_only: bool) -> list[LineFilter]:
    """What every line goes through.

    Args:
        depth: a member of `settings.fields.COLOR_DEPTHS`.
        ascii_only: whether there are no other signs.
    """
    found: list[LineFilter] = []
    if depth == "none":
        found.append(ColourlessFilter())
    elif depth in _DEPTHS:
        found.append(DepthFilter(_DEPTHS[depth]))
    if ascii_only:
        found.append(AsciiFilter())
    return found
