"""How many entries an LRU table has evicted: nobody counts them, so it is worked out.

The kernel evicts silently. What was created since the last pass and is neither there now nor was
deleted must have been evicted. It is an estimate: an entry created twice counts twice, records
lost on the way make it too low, entries somebody else deleted make it too high.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"cilium_ct(?P<any>_any)?(?P<family>[46])_global")


class Evictions:
    """Keeps, from pass to pass, what the estimate starts from.

    Attributes:
        total: entries evicted from all tables since the start.
    """

    def __init__(self) -> None:
        self.total = 0
        self._before: dict[str, tuple[int, int]] = {}

    def estimate(
        self, name: str, created: Mapping[tuple[int, bool], int] | None, found: int, left: int
    ) -> int | None:
        """Entries evicted from a table since the pass before.

        Args:
            name: the table's pin name.
            created: connections given an entry since the start, by (IP version, TCP or not);
                None where nobody counts them.
            found: entries in the table now, before anything is deleted.
            left: entries after the pass has deleted.

        Returns:
            None in the first pass, without a counter, and for tables of one endpoint. Tables of
            everything but TCP hold entries for ICMP errors as well, which nobody counts: theirs
            is what is certain at least.
        """
        match = _NAME.fullmatch(name)
        if match is None or created is None:
            return None
        counter = created.get((int(match["family"]), match["any"] is None), 0)
        before = self._before.get(name)
        self._before[name] = (counter, left)
        if before is None:
            return None
        evicted = max(0, counter - before[0] - (found - before[1]))
        self.total += evicted
        return evicted
