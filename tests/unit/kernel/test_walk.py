from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ctconsole.kernel import walk
from ctconsole.kernel.walk import repeated

ROWS = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(0, 40), st.integers(1, 40)),
    elements=st.integers(0, 1),
)


def expected(keys: walk.Bytes) -> list[bool]:
    """Row by row: is the same key still to come?"""
    rows = [bytes(row) for row in keys]
    return [row in rows[number + 1 :] for number, row in enumerate(rows)]


@given(ROWS)
def test_of_equal_keys_all_but_the_last_are_dropped(keys: walk.Bytes) -> None:
    assert repeated(keys).tolist() == expected(keys)


@given(ROWS)
def test_keys_whose_hashes_collide_are_still_told_apart(keys: walk.Bytes) -> None:
    def one_for_all(rows: walk.Bytes) -> walk.Bytes:
        return np.zeros(len(rows), np.uint64)

    with patch.object(walk, "hashes", one_for_all):
        assert repeated(keys).tolist() == expected(keys)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 8, 14, 16, 38])
def test_every_byte_of_a_key_counts(width: int) -> None:
    keys = np.zeros((width + 1, width), np.uint8)
    keys[np.arange(width), np.arange(width)] = 1
    assert len(np.unique(walk.hashes(keys))) == width + 1
    assert not repeated(keys).any()
