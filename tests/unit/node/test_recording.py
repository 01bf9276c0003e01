"""What a recording says of itself while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctconsole.node.recording import RecordingProgress

FIRST = (12 << 20, 2.0)


@pytest.mark.parametrize(
    ("moments", "grown", "lasted", "told"),
    [
        (1, 0, 0.0, "1 moment, 12.0 MiB"),
        (3, 1 << 10, 4.0, "3 moments, 12.0 MiB"),
        (31, 1 << 20, 60.0, "31 moments, 13.0 MiB, 60.0 MiB an hour"),
    ],
    ids=["the first", "too early", "a minute"],
)
def test_an_hour_is_reckoned_from_what_came_after_the_first_whole_moment(
    moments: int, grown: int, lasted: float, told: str
) -> None:
    whole, begun = FIRST
    progress = RecordingProgress(
        Path("it.ctrec"), moments, whole + grown, begun + lasted, first=FIRST
    )
    assert str(progress) == told
