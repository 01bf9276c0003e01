from __future__ import annotations

import pytest

from ctconsole.errors import UsageError
from ctconsole.model.units import count, duration, parse_size, share, size


def test_counts_and_sizes() -> None:
    assert count(524288) == "524,288"
    assert [size(512), size(74_763_264), size(3 << 40)] == ["512 B", "71.3 MiB", "3.0 TiB"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "0.25s"), (8, "8s"), (-12, "-12s"), (61, "1m 1s"), (7998, "2h 13m")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_shares_never_round_something_to_nothing() -> None:
    assert [share(0, 9), share(1, 10**6), share(999_999, 10**6), share(1, 0)] == [
        "0.0%",
        "<0.1%",
        "99.9%",
        "-",
    ]


@pytest.mark.parametrize("text", ["524288", "512k", "512K", "512Ki", "512KiB", "524,288", " 512k "])
def test_one_size_in_many_spellings(text: str) -> None:
    assert parse_size(text) == 524288


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5k", "12x", "0x10"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)
