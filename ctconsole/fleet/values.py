"""What the numbers that a Prometheus answers with may be taken for."""

from __future__ import annotations

from typing import Final

_LARGEST_NUMBER: Final = 1 << 53
"""Above it a float has lost its last digit, and no count of ours is there."""


def is_known(value: float) -> bool:
    """Whether a number says something: neither infinite nor beyond all that is counted."""
    return abs(value) < _LARGEST_NUMBER
