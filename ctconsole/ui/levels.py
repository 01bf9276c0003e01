"""How full is too full: the thresholds, told by colour, by glyph and in words."""

from __future__ import annotations

from enum import StrEnum

from ctconsole.model.ct.outcomes import Risk
from ctconsole.model.event import Level
from ctconsole.model.fullness import DEFAULT_THRESHOLDS, Thresholds

RISK_WORDS = {
    Risk.BREAKS: (Risk.BREAKS.word, "fill-crit"),
    Risk.AT_RISK: (Risk.AT_RISK.word, "fill-warn"),
    Risk.COMES_BACK: (Risk.COMES_BACK.word, "fill-ok"),
    Risk.DEAD: (Risk.DEAD.word, "text-quiet"),
    Risk.UNTOUCHED: (Risk.UNTOUCHED.word, "fill-ok"),
}
"""What becomes of a connection: the word, and the theme's variable for its colour."""


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


TONES = {
    Level.ERROR: Tone.CRIT,
    Level.WARNING: Tone.WARN,
    Level.INFO: Tone.OK,
    Level.DEBUG: Tone.OK,
}
"""How an alarm of a level looks."""


_settled = [DEFAULT_THRESHOLDS]


def settle(thresholds: Thresholds) -> None:
    """Take these fills for high and for full from now on, in the whole console."""
    _settled[:] = [thresholds]


def thresholds() -> Thresholds:
    """From which fill on maps are high, and full."""
    return _settled[0]


def level_of(fill: float, name: str = "") -> Tone:
    """The level of a fill ratio (0 to 1), for the map of this name or for any."""
    return TONES[thresholds().level(name, fill)]


ALIVE, DEAD, TRACK = "━", "╍", "─"
"""What a bar is drawn with: told apart by shape, so that no colour is needed to read it."""


def bar(fill: float, width: int, dead: float = 0.0, name: str = "") -> tuple[tuple[str, str], ...]:
    """A bar of ``width`` cells: the living part, the dead part, and the track.

    Args:
        fill: entries over maximum, 0 to 1.
        width: in terminal cells.
        dead: the share of the entries that has expired, 0 to 1.
        name: of the map, which may have thresholds of its own.

    Returns:
        Pieces, each with the name of its style; the living part in steps of half a cell.
    """
    halves = round(max(0.0, min(1.0, fill)) * width * 2)
    if fill > 0:
        halves = max(1, halves)
    full = -(-halves // 2)
    gone = min(full, round(full * dead))
    # What has expired is seen, however little it is of a bar that has room for it.
    if dead > 0 and full > 1:
        gone = max(1, gone)
    alive = full - gone
    half = "╸" if halves % 2 and not gone else ""
    level = level_of(fill, name).value
    return (
        (ALIVE * (alive - len(half)) + half, level),
        (DEAD * gone, "expired"),
        (TRACK * (width - full), "track"),
    )
