from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.manager.resize.pace import Pace, Past, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def test_without_a_resize_before_the_reading_tells_and_says_so(tmp_path: Path) -> None:
    told = Past(tmp_path / "0-1.json").estimate(100_000)
    assert told.past == 0
    assert told.by == "by how fast entries are read here"
    assert told.seconds >= 0.1


def test_resizes_before_tell_how_long_the_next_one_takes_but_for_its_owner(tmp_path: Path) -> None:
    past = Past(tmp_path / "0-1.json")
    past.keep(100_000, {"stage": 0.5, "seed": 1.5, "switch": 70.0, "settle": 1.0, "verify": 1.0})
    told = Past(tmp_path / "0-2.json").estimate(1_000_000)
    assert (told.seconds, told.past) == (40.0, 1)
    assert told.by == "as the resize before on this node took"
    # One that was slow for once does not decide.
    past.keep(10_000, {"seed": 90.0, "hand over": 5.0})
    past.keep(10_000, {"seed": 0.2})
    told = past.estimate(1_000_000)
    assert (told.seconds, told.past) == (40.0, 3)
    assert told.by == "as the last 3 resizes on this node took"


def test_small_tables_tell_nothing_of_others_and_old_resizes_are_forgotten(tmp_path: Path) -> None:
    past = Past(tmp_path / "0-1.json")
    past.keep(10, {"seed": 1.0})
    assert past.estimate(10).past == 0
    for seconds in range(1, 20):
        past.keep(1_000_000, {"seed": float(seconds)})
    assert (past.estimate(1_000_000).past, past.estimate(1_000_000).seconds) == (10, 10.0)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"entries": "x", "seconds": 1}]', "[{}]"])
def test_a_file_that_cannot_be_read_is_as_none_and_written_anew(tmp_path: Path, text: str) -> None:
    past = Past(tmp_path / "0-1.json")
    past.path.write_text(text)
    assert past.estimate(10_000).past == 0
    past.keep(10_000, {"seed": 1.0})
    assert past.estimate(10_000).past == 1
