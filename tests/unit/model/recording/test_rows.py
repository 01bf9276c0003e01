from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.errors import FormatError
from ctconsole.model.ct.changes import Pairs
from ctconsole.model.recording.rows import RawRows, applied, difference, of_whole, whole
from ctconsole.observe.recording.moment import Packed, unpack


def rows(*entries: tuple[int, int]) -> RawRows:
    """RawRows of a key of four bytes and a value of eight."""
    keys = np.array([[key] for key, _ in entries], "<u4").reshape(-1, 1)
    values = np.array([[value, 0] for _, value in entries], "<u4").reshape(-1, 2)
    return RawRows(keys.view(np.uint8), values.view(np.uint8))


def pairs(older: RawRows, newer: RawRows) -> Pairs:
    places = {key.tobytes(): place for place, key in enumerate(older.keys)}
    kept = [
        (places[key.tobytes()], place)
        for place, key in enumerate(newer.keys)
        if key.tobytes() in places
    ]
    return Pairs(*(np.array([pair[side] for pair in kept], np.intp) for side in (0, 1)))


def stored(told: dict[str, Any]) -> dict[str, Any]:
    """As it is read from a frame."""
    return unpack(b"".join(Packed(told)))


def same(one: RawRows, other: RawRows) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_differs_makes_the_newer_rows_of_the_older() -> None:
    older = rows((1, 10), (2, 20), (3, 30), (4, 40))
    newer = rows((9, 90), (1, 10), (3, 37), (8, 80), (4, 40))
    told = difference(older, newer, pairs(older, newer))
    assert told is not None
    assert same(applied(older, told), newer)


def test_a_row_that_stayed_as_it_was_costs_nothing() -> None:
    older = rows(*((key, key) for key in range(1000)))
    told = difference(older, older, pairs(older, older))
    assert told is not None
    assert not any(part for part in told.values() if isinstance(part, bytes))


def test_a_counter_that_went_round_is_still_the_right_one() -> None:
    older, newer = rows((1, 0xFFFF_FFFF)), rows((1, 2))
    told = difference(older, newer, pairs(older, newer))
    assert told is not None
    assert same(applied(older, told), newer)


def test_rows_paired_by_a_hash_alone_are_not_taken_for_the_same() -> None:
    older, newer = rows((1, 10)), rows((2, 10))
    wrong = Pairs(np.array([0], np.intp), np.array([0], np.intp))
    assert difference(older, newer, wrong) is None


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 99)), unique_by=lambda e: e[0]),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 99)), unique_by=lambda e: e[0]),
)
def test_any_two_tables_go_there_and_back(
    older: list[tuple[int, int]], newer: list[tuple[int, int]]
) -> None:
    before, after = rows(*older), rows(*newer)
    assert same(of_whole(stored(whole(before))), before)
    told = difference(before, after, pairs(before, after))
    assert told is not None
    assert same(applied(before, told), after)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("count", 1 << 31),
        ("count", -1),
        ("count", "5"),
        ("fresh", b"\xff\xff\xff\xff"),
        ("fresh", b"\0"),
        ("jumps", b"\x09\0\0\0"),
        ("by", b"\x63\0\0\0"),
        ("keys", b""),
        ("changed", b"\x02\x02\0\0\0\0\0\0"),
        ("differ", b"123"),
        ("differ", None),
    ],
)
def test_steps_that_do_not_fit_are_refused(part: str, value: object) -> None:
    older = rows((1, 10), (2, 20), (3, 30))
    newer = rows((9, 90), (1, 11), (3, 30))
    told = difference(older, newer, pairs(older, newer))
    assert told is not None
    assert part in told
    with pytest.raises(FormatError, match=r"recorded table|recording"):
        applied(older, told | {part: value})
