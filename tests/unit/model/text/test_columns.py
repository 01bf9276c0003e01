"""Tokens, numbers and addresses as columns, against Python's own formatting."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.model.text.addresses import address, address_text
from ctconsole.model.text.columns import decimal, join, literal, signed, token_table

if TYPE_CHECKING:
    from ctconsole.model.text.columns import TextColumn

WORD = {"u2": 2**16 - 1, "u4": 2**32 - 1, "u8": 2**64 - 1}


def lines(columns: list[TextColumn], rows: int) -> list[str]:
    return join([*columns, literal(b"\n")], rows).tobytes().decode().split("\n")[:-1]


@pytest.mark.parametrize("dtype", WORD)
@given(data=st.data())
def test_decimals(dtype: str, data: st.DataObject) -> None:
    numbers = data.draw(
        st.lists(st.one_of(st.integers(0, WORD[dtype]), st.integers(0, 200_000)), min_size=1)
    )
    numbers = [min(number, WORD[dtype]) for number in numbers]
    values = np.array(numbers, dtype)
    assert lines(decimal(values), len(values)) == [str(number) for number in numbers]


@given(st.lists(st.integers(-(2**33), 2**33), min_size=1))
def test_signed(numbers: list[int]) -> None:
    values = np.array(numbers, np.int64)
    assert lines(signed(values), len(values)) == [str(number) for number in numbers]


def test_limbs_keep_their_zeros() -> None:
    numbers = [0, 99_999, 100_000, 10**10, 10**10 + 7, 10**15, 10**19]
    assert lines(decimal(np.array(numbers, np.uint64)), 7) == [str(number) for number in numbers]


@given(st.lists(st.lists(st.sampled_from([0, 0, 0, 1, 0x20, 0xFF]), min_size=16, max_size=16)))
def test_ipv6(rows: list[list[int]]) -> None:
    raw = np.array(rows, np.uint8).reshape(-1, 16)
    assert lines(address(raw), len(raw)) == [address_text(row.tobytes()) for row in raw]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1))
def test_ipv4(rows: list[int]) -> None:
    raw = np.array(rows, ">u4").view("u1").reshape(-1, 4)
    assert lines(address(raw), len(raw)) == [str(ipaddress.IPv4Address(row)) for row in rows]


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        ("0:0:0:0:0:0:0:0", "::"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("1:0:0:0:0:0:0:0", "1::"),
        ("1:0:1:1:1:1:1:1", "1:0:1:1:1:1:1:1"),
        ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
        ("1:0:0:2:0:0:0:4", "1:0:0:2::4"),
        ("fd00:0:0:0:0:0:10:a0b", "fd00::10:a0b"),
        ("0:0:0:0:0:ffff:a00:1", "10.0.0.1"),
    ],
)
def test_ipv6_as_go_writes_it(groups: str, text: str) -> None:
    packed = b"".join(int(group, 16).to_bytes(2, "big") for group in groups.split(":"))
    raw = np.frombuffer(packed, np.uint8).reshape(1, 16)
    assert lines(address(raw), 1) == [text]
    assert address_text(packed) == text


@given(st.lists(st.tuples(st.text("ab", max_size=9), st.text("c", max_size=40)), min_size=1))
def test_rows_of_any_lengths_join_without_gaps(rows: list[tuple[str, str]]) -> None:
    parts = []
    for part in range(2):
        table = token_table(row[part].encode() for row in rows)
        parts.append(table.column(np.arange(len(rows))))
    assert lines(parts, len(rows)) == [first + second for first, second in rows]


def test_no_rows() -> None:
    assert not len(join([literal(b"x")], 0))


def test_a_column_that_is_the_same_in_every_row_is_a_literal() -> None:
    table = token_table([b"no", b"certainly", b""])
    codes = np.ones(3, np.uint8)
    assert bytes(join([literal(b"<"), table.column(codes), literal(b">")], 3)) == b"<certainly>" * 3
    nothing = table.column(np.full(2, 2))
    assert bytes(join([nothing, literal(b"|")], 2)) == b"||"


def test_slots_are_as_wide_as_what_is_in_them() -> None:
    table = token_table([b"a", b"bb", b"c" * 90])
    column = table.column(np.array([0, 1, 0]))
    assert column.width == 2
    assert bytes(join([column, literal(b" ")], 3)) == b"a bb a "
