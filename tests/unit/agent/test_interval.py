from __future__ import annotations

import pytest

from ctconsole.agent.gc import MAX_LRU_INTERVAL, MIN_INTERVAL, calculate_interval, next_interval


@pytest.mark.parametrize(
    ("previous", "ratio", "wanted"),
    [
        (300, 0.0, 300),
        (300, 0.01, 450),
        (300, 0.05, 300),
        (300, 0.25, 300),
        (300, 0.5, 150),
        (300, 0.9, 30),
        (300, 1.0, 30),
        (20, 0.9, MIN_INTERVAL),
        (11, 0.01, 16),
        (40000, 0.01, MAX_LRU_INTERVAL),
    ],
)
def test_interval_adapts_by_cilium_s_rule(previous: float, ratio: float, wanted: float) -> None:
    assert calculate_interval(previous, ratio) == wanted


def test_fixed_interval_wins_and_the_longest_one_caps() -> None:
    assert next_interval(300, 0.5, fixed=7.0, longest=5.0) == 7.0
    assert next_interval(300, 0.01, longest=400.0) == 400.0
    assert next_interval(300, 0.01) == 450
