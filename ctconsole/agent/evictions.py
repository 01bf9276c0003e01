"""How many entries of the agent's own tables were evicted, from pass to pass of the collector.

The agent knows how many entries were created, also of those that came and went between two
passes (`model.ct.evictions` says what is counted). Entries created twice count twice, records
lost on the way make the number too low.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ctconsole.model.ct.evictions import evicted

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
        # What the pass before collected is not in ``before`` any more.
        gone = evicted(came=counter - before[0], before=before[1], now=found)
        self.total += gone
        return gone
