from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ctconsole.happening import happened
from ctconsole.model.event import EventKind, Level

if TYPE_CHECKING:
    from pathlib import Path


def test_what_happens_now_has_this_moments_time_and_a_path_for_a_subject(
    tmp_path: Path,
) -> None:
    before = time.time()
    event = happened(EventKind.MAP_PINNED, "observe", tmp_path, "pinned")
    assert before <= event.time <= time.time()
    assert (event.subject, event.level, event.fields) == (str(tmp_path), Level.INFO, {})


def test_what_happened_before_keeps_its_own_time() -> None:
    event = happened(EventKind.STORY, "observe", "agent", "told", level=Level.WARNING, at=5.0)
    assert (event.time, event.level) == (5.0, Level.WARNING)


def test_nobody_changes_an_event_that_others_read() -> None:
    fields = {"count": 1}
    event = happened(EventKind.DROP, "datapath", "endpoint 7", "dropped", fields)
    fields["count"] = 2
    assert event.fields == {"count": 1}
    with pytest.raises(TypeError):
        event.fields["count"] = 3  # type: ignore[index] # that is the point
