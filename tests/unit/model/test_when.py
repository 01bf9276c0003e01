from __future__ import annotations

import time
from datetime import datetime

import pytest

from ctconsole.errors import UsageError
from ctconsole.model.when import moment_named

NOW = datetime(2026, 11, 28, 12, 0, 0).astimezone().timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3m ago", 180),
        ("1h30m ago", 5400),
        ("1h 30m ago", 5400),
        ("-90s", 90),
        (" 2d ago ", 172_800),
        ("now", 0),
        ("11:59", 60),
        ("11:59:30", 30),
        ("12:00", 0),
        ("2026-11-28 11:00", 3600),
        ("2026-11-28T11:59:59", 1),
    ],
)
def test_moments_people_name(text: str, seconds: int) -> None:
    assert NOW - moment_named(text, NOW) == seconds


def test_a_time_of_day_to_come_was_yesterdays() -> None:
    found = time.localtime(moment_named("23:15", NOW))
    assert (found.tm_mday, found.tm_hour, found.tm_min) == (27, 23, 15)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "12:60", "3 parsecs ago", "2026-13-01", "5"])
def test_what_names_no_moment_is_told_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(UsageError, match=r"names no moment.*3m ago"):
        moment_named(text, NOW)
