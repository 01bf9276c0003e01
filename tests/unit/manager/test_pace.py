from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.manager.resize.pace import Pace, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ctconsole.manager.resize.pace import Bytes


def parts(*entries: int) -> Iterator[tuple[Bytes, Bytes]]:
    """Parts of a table; the second comes late, as on a machine that is busy."""
    for number, count in enumerate(entries):
        if number == 1:
            time.sleep(0.05)
        made: npt.NDArray[np.uint8] = np.zeros((count, 1), np.uint8)
        yield made, made


def test_the_fastest_part_decides_however_busy_the_machine_is() -> None:
    pace = Pace()
    for _ in pace.timed(parts(100_000)):
        pass
    before = pace.seconds(100_000)
    for _ in pace.timed(parts(5000, 5000)):
        pass
    assert pace.seconds(100_000) <= before < 0.05


def test_small_parts_and_none_at_all_leave_the_usual_pace() -> None:
    pace = Pace()
    usual = pace.seconds(1_000_000)
    for _ in pace.timed(parts(10, 10)):
        pass
    assert pace.seconds(1_000_000) == usual


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, 0.1), (0.04, 0.1), (0.33, 0.3), (1.6, 2.0), (14.9, 10.0)]
)
def test_an_estimate_has_one_digit(seconds: float, told: float) -> None:
    assert rounded(seconds) == pytest.approx(told)
