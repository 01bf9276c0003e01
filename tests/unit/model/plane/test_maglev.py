from __future__ import annotations

import numpy as np
import pytest

from ctconsole.config import MAGLEV_SIZES
from ctconsole.model.plane.maglev import lookup_table, permutation

BACKENDS = {f"10.0.0.{number}:80": number for number in range(1, 11)}


@pytest.mark.parametrize("size", MAGLEV_SIZES[:6])
def test_a_backend_asks_for_every_slot_once(size: int) -> None:
    assert np.array_equal(np.sort(permutation("10.0.0.1:80", size)), np.arange(size))


@pytest.mark.parametrize("size", [251, 16381])
def test_every_backend_gets_nearly_the_same_share(size: int) -> None:
    ids, shares = np.unique(lookup_table(BACKENDS, size), return_counts=True)
    assert set(ids) == set(BACKENDS.values())
    assert shares.max() - shares.min() <= 1


def test_the_order_of_backends_does_not_matter() -> None:
    backwards = dict(reversed(BACKENDS.items()))
    assert np.array_equal(lookup_table(BACKENDS, 1021), lookup_table(backwards, 1021))


def test_few_slots_change_when_a_backend_goes() -> None:
    size = 16381
    before = lookup_table(BACKENDS, size)
    after = lookup_table({name: one for name, one in BACKENDS.items() if one != 4}, size)
    kept = before != 4
    moved = (before != after)[kept].mean()
    assert 4 not in after
    assert moved < 0.1, "a table made anew at random would move 8 of 9"


def test_one_backend_has_every_slot_and_none_has_zero() -> None:
    assert set(lookup_table({"a": 7}, 251)) == {7}
    assert set(lookup_table({}, 251)) == {0}
