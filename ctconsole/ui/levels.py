"""How full is too full: the thresholds, told by colour, by glyph and in words."""

from __future__ import annotations

from enum import StrEnum

from ctconsole.model.ct.risk import Risk

RISK_WORDS = {
    Risk.BREAKS: (Risk.BREAKS.word, "fill-crit"),
    Risk.AT_RISK: (Risk.AT_RISK.word, "fill-warn"),
    Risk.COMES_BACK: (Risk.COMES_BACK.word, "fill-ok"),
    Risk.DEAD: (Risk.DEAD.word, "text-quiet"),
    Risk.UNTOUCHED: (Risk.UNTOUCHED.word, "fill-ok"),
}
"""What becomes of a connection: the word, and the theme's variable for its colour."""

WARN = 0.70
CRIT = 0.90


class Tone(StrEnum):
    """How worried to be; the value is the style's name."""

    OK = "ok"
    WARN = "warn"
    CRIT = "crit"

    @property
    def glyph(self) -> str:
        """Tells the levels apart without colour."""
        return {"ok": " ", "warn": "▲", "crit": "▲"}[self.value]

    @property
    def word(self) -> str:
        """Tells the levels apart without glyphs."""
        return {"ok": "", "warn": "high", "crit": "full"}[self.value]


def level_of(fill: float) -> Tone:
    """The level of a fill ratio (0 to 1)."""
    if fill >= CRIT:
        return Tone.CRIT
    return Tone.WARN if fill >= WARN else Tone.OK


def percent(fill: float) -> str:
    """Three characters and the sign; never ``0 %`` for a few entries, nor 100 for nearly all."""
    if 0 < fill < 0.01:  # noqa: PLR2004 - one percent
        return "<1%"
    whole = round(fill * 100)
    return f"{99 if whole == 100 and fill < 1 else whole}%"  # noqa: PLR2004 - a hundred percent


def bar(fill: float, width: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """A bar of ``width`` cells in steps of half a cell: the full part and the track.

    Each with the name of its style.
    """
    halves = round(max(0.0, min(1.0, fill)) * width * 2)
    if fill > 0:
        halves = max(1, halves)
    full = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return (full, level_of(fill).value), ("━" * (width - len(full)), "track")
