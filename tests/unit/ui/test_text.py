from __future__ import annotations

import pytest
from rich.cells import cell_len

from ctconsole.model.units import percent, short_count, short_size
from ctconsole.ui.levels import Tone, bar, level_of
from ctconsole.ui.text import clean, fit, plural
from ctconsole.ui.widgets.rows import Column, lay_out


@pytest.mark.parametrize(
    "text", ["", "short", "exactly10.", "much longer than ten", "日本語の名前です"]
)
@pytest.mark.parametrize("right", [False, True])
def test_fit_is_exactly_as_wide_as_asked(text: str, right: bool) -> None:  # noqa: FBT001 - a parameter
    assert cell_len(fit(text, 10, right=right)) == 10
    assert fit(text, 0) == ""


def test_clean_lets_nothing_through_that_a_terminal_acts_on() -> None:
    assert clean("a\x1b[31mb\r\n\x9bc") == "a?[31mb???c"
    assert clean("ünïcode ok") == "ünïcode ok"


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (99_999, "99,999"), (655_360, "655k"), (1_234_567, "1.2M"), (10**12, "1.0T")],
)
def test_counts_stay_short(number: int, shown: str) -> None:
    assert short_count(number) == shown


@pytest.mark.parametrize("exponent", range(64))
def test_a_size_fits_its_column(exponent: int) -> None:
    assert len(short_size((1 << exponent) - 1)) <= 8
    assert len(short_count((1 << exponent) - 1)) <= 7


def test_percentages_never_round_something_away() -> None:
    shown = [percent(x) for x in (0, 1e-9, 0.009, 0.5, 0.999, 1)]
    assert shown == ["0%", "<1%", "<1%", "50%", "99%", "100%"]


def test_levels_change_at_the_thresholds() -> None:
    assert [level_of(x) for x in (0.69, 0.70, 0.89, 0.90)] == [
        Tone.OK,
        Tone.WARN,
        Tone.WARN,
        Tone.CRIT,
    ]
    assert Tone.WARN.glyph != Tone.OK.glyph
    assert Tone.WARN.word != Tone.CRIT.word


@pytest.mark.parametrize("fill", [0, 0.001, 0.33, 0.5, 0.999, 1, 1.2])
def test_a_bar_fills_its_width(fill: float) -> None:
    full, dead, track = (part for part, _ in bar(fill, 12))
    assert len(full) + len(track) == 12
    assert bool(full) == (fill > 0)
    assert not dead


def test_what_is_dead_looks_like_neither_what_lives_nor_what_is_free() -> None:
    full, dead, track = (part for part, _ in bar(0.75, 12, dead=1 / 3))
    assert (full, dead, track) == ("━" * 6, "╍" * 3, "─" * 3)
    assert not {*full} & {*dead, *track}
    assert not {*dead} & {*track}


def test_a_few_dead_ones_are_seen_too() -> None:
    assert [part for part, _ in bar(1, 12, dead=0.001)] == ["━" * 11, "╍", ""]


def test_plurals() -> None:
    assert plural(1, "entry", "entries") == "1 entry"
    assert plural(12031, "entry", "entries") == "12,031 entries"
    assert plural(2, "map") == "2 maps"


COLUMNS = (
    Column("a", "A", 10),
    Column("b", "B", 10, grow=1, most=14),
    Column("c", "C", 10, rank=1),
    Column("d", "D", 10, rank=5),
)


def test_columns_take_the_room_there_is() -> None:
    widths = lay_out(COLUMNS, 100)
    assert dict(widths.of) == {"a": 10, "b": 14, "c": 10, "d": 10}
    assert widths.gap == 2


def test_columns_of_high_rank_go_first_and_the_others_move_closer() -> None:
    assert set(lay_out(COLUMNS, 47).of) == {"a", "b", "c"}
    close = lay_out(COLUMNS, 34)
    assert set(close.of) == {"a", "b", "c"}
    assert close.gap == 1
    assert set(lay_out(COLUMNS, 30).of) == {"a", "b"}
    assert set(lay_out(COLUMNS, 5).of) == {"a", "b"}


@pytest.mark.parametrize("width", range(34, 120))
def test_a_line_is_never_wider_than_the_table(width: int) -> None:
    assert lay_out(COLUMNS, width).total <= width
