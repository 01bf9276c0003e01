"""What the marks on the screen mean, for the help."""

from __future__ import annotations

from typing import Final

from ctconsole.model.ct.words import FLAGS
from ctconsole.ui.levels import ALIVE, DEAD, RISK_WORDS, TRACK
from ctconsole.ui.widgets.ct_rows import LEGEND
from ctconsole.ui.widgets.heat_grid import LEGEND as HEAT

MARKS: Final[tuple[tuple[str, str], ...]] = (
    ("▲", "high, full or in trouble; on a heading: sorted, ▼ the largest first"),
    (f"{ALIVE}{DEAD}{TRACK}", "of a map's room: alive, expired, free"),
    ("~", "before a number: estimated, or counted at another moment than the entries"),
    *((mark, f"an entry: {meant}") for mark, meant in LEGEND),
    *((word.short, f"flag: {word.text}") for word in FLAGS if word.short),
    (
        " ".join(word for word, _ in RISK_WORDS.values()),
        "what becomes of it when the table is lost",
    ),
    ("● ‖ ▶ ■", "live, frozen or paused, a recording that plays, files"),
    ("◉", "a recording is written"),
    ("age, cost", "since the sample was taken, and how long that took; age is coloured when late"),
    ("skipped", "samples left out, so that looking costs the node little"),
    ("◂ ▸", "there are more columns to that side"),
)
"""Marks and what they mean, in the order in which they are told."""

FLEET_MARKS: Final[tuple[tuple[str, str], ...]] = (
    ("▲", "high, full or in trouble; on a heading: sorted, ▼ the largest first"),
    ("-", "not known"),
    *HEAT,
    ("age, cost", "since Prometheus was asked, and how long it took; coloured when late"),
    ("◂ ▸", "there are more columns to that side"),
)
"""The same where a fleet is looked at."""
