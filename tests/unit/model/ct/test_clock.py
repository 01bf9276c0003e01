from __future__ import annotations

import numpy as np
import pytest

from ctconsole.model.ct.clock import guess_clock

KTIME, JIFFIES = 90_000, 16_800_000


def around(now: int, scale: float) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return (now + np.array([-600, 10, 60, 8000, 21600]) * scale).astype(np.uint32)


def test_lifetimes_around_monotonic_time_are_seconds() -> None:
    assert guess_clock(around(KTIME, 1), KTIME, JIFFIES) == "ktime"


@pytest.mark.parametrize("hertz", [100, 250, 300, 1000])
def test_lifetimes_around_jiffies_are_jiffies(hertz: int) -> None:
    assert guess_clock(around(JIFFIES, hertz / 256), KTIME, JIFFIES) == "jiffies"


def test_what_does_not_decide_is_not_guessed() -> None:
    assert guess_clock(np.zeros(0, np.uint32), KTIME, JIFFIES) is None
    assert guess_clock(np.zeros(5, np.uint32), KTIME, JIFFIES) is None
    both = np.concatenate([around(KTIME, 1), around(JIFFIES, 1)])
    assert guess_clock(both, KTIME, JIFFIES) is None
    # After half a year the clocks meet, and nobody can tell them apart.
    assert guess_clock(around(JIFFIES, 1), JIFFIES, JIFFIES) is None
