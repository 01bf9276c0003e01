"""How a map's element count went, and where it goes."""

from __future__ import annotations

import math
from typing import Final, NamedTuple, TypeAlias

Trend: TypeAlias = tuple[tuple[float, int], ...]
"""Element counts of one map, oldest first: (seconds since the epoch, entries)."""

WINDOW = 30.0
"""Seconds over which a growth is measured where a count is taken every few seconds."""


_STANDS: Final = 150.0
"""Seconds for which a count stands for what was not counted: histories count every minute."""


class Growth(NamedTuple):
    """How fast a count grew, and how long that was looked at.

    Attributes:
        rate: entries per second; negative where it shrank.
        seconds: between the two counts.
    """

    rate: float
    seconds: float


def growth(trend: Trend, window: float = WINDOW) -> Growth | None:
    """Growth over the last ``window`` seconds, or since the count before where that is longer.

    Counted from the last drop on, so that a re-created map does not show as shrinking. None
    where there is nothing to compare with.
    """
    if not trend:
        return None
    end_time, end_count = trend[-1]
    start = trend[-1]
    for point in reversed(trend[:-1]):
        late = end_time - point[0] > window and start is not trend[-1]
        if late or point[1] > start[1] * 1.5 + 64:
            break
        start = point
    elapsed = end_time - start[0]
    return Growth((end_count - start[1]) / elapsed, elapsed) if elapsed > 0 else None


def full_in(free: int, rate: float | None) -> float | None:
    """Seconds until so many more entries have come, None where they do not come."""
    return max(0, free) / rate if rate is not None and rate > 0 else None


def in_columns(trend: Trend, end: float, seconds: float, columns: int) -> list[int | None]:
    """The largest count of each stretch of time; None of one in which nothing was counted.

    Where counts were taken less often than there are columns, each stands until the next.

    Args:
        trend: counts, oldest first.
        end: of the last stretch, seconds since the Unix epoch.
        seconds: all stretches together.
        columns: how many there are.
    """
    found: list[int | None] = [None] * columns
    if not columns:
        return found
    stretch = seconds / columns
    before: tuple[float, int] | None = None
    for when, entries in trend:
        place = columns - 1 - math.floor((end - when) / stretch)
        if 0 <= place < columns:
            found[place] = max(found[place] or 0, entries)
            if before is not None and when - before[0] <= _STANDS:
                _stand(
                    found, before[1], columns - 1 - math.floor((end - before[0]) / stretch), place
                )
        before = (when, entries)
    return found


def _stand(found: list[int | None], entries: int, after: int, until: int) -> None:
    """Fill the places between two counts with the first of them."""
    for place in range(max(0, after + 1), until):
        found[place] = entries
