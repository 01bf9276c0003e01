"""How many entries a full LRU map has evicted: the kernel evicts silently, so it is worked out.

An *evicted* entry is one that left the map although its lifetime was not over. That is an
estimate of what a full map threw out: entries that somebody deleted by hand look the same.
"""

from __future__ import annotations


def evicted(*, came: int, before: int, now: int, collected: int = 0) -> int:
    """Entries evicted between two looks at one map.

    What came and is neither there now nor was collected must have been evicted.

    Args:
        came: entries created between the looks. Who compares two samples knows only those that
            are still there: what came and went in between is missing from both sides.
        before: entries at the first look.
        now: entries at the second.
        collected: entries whose lifetime was over and that left in between.
    """
    return max(0, before + came - now - collected)
