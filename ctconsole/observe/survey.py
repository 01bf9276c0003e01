"""The slower questions a sampler asks: what lives in each table, and who uses which map.

A whole table is read with every sample only while somebody looks at it. The others are read one
at a time, whatever is looked at, and so seldom that it is hardly felt: a reading that took one
second is not repeated for `REST`.
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.model.ct.changes import KeyedTable, changes_between
from ctconsole.model.ct.stats import stats_of
from ctconsole.model.ct.turnover import Headcount, Turnover, turnover_between

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import PurePath

    from ctconsole.model.ct.changes import Changes
    from ctconsole.model.ct.stats import Stats
    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.source import MapRow, NodeSnapshot, Source
    from ctconsole.observe.usage import MapUsage

REST: Final = 50
"""Seconds of rest for each second a question took."""

LEAST: Final = 4.0
"""Seconds between two of the same question, however cheap it is."""

REST_IN_DOUBT: Final = 5
LEAST_IN_DOUBT: Final = 1.0
"""The same two of who uses which map, while maps have come apart or a pin has just changed: an
alarm is to go soon after its cause."""


class Survey:
    """Asks in the sampler's thread.

    Args:
        source: what is asked.
        clock: a clock in seconds, to keep the pace by.

    Attributes:
        stats: by `MapRow.key`.
        read_at: when each of these tables was read, seconds since the Unix epoch.
        turnovers: what comes to each table and leaves it, between the two newest looks at it.
        changes: between the two newest samples of the watched map.
        usage: the newest answer about programs.
        calls: the newest answer about program arrays.
    """

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._begun = False
        self._due: dict[str, float] = {}
        self._usage_asked = 0.0
        self._usage_took = 0.0
        self._ids: Mapping[str, int] = {}
        self._before: KeyedTable | None = None
        self._counted: tuple[CtTable, Stats] | None = None
        self._counted_ids: dict[str, int] = {}
        self.stats: Mapping[str, Stats] = MappingProxyType({})
        self.read_at: Mapping[str, float] = MappingProxyType({})
        self.turnovers: Mapping[str, Turnover] = MappingProxyType({})
        self._headcounts: dict[str, Headcount] = {}
        self.changes: Changes | None = None
        self.usage: tuple[MapUsage, ...] = ()
        self.calls: tuple[CallArray, ...] = ()

    @property
    def keyed(self) -> KeyedTable | None:
        """The newest sample of the watched map, with the hashes of its keys."""
        return self._before

    def beat(
        self, node: NodeSnapshot | None, watched: PurePath | int | None, table: CtTable | None
    ) -> None:
        """Take in the table just read and read another that is due; then ask about programs.

        The first beat asks nothing, so that the first screen does not wait.

        Raises:
            CtconsoleError: the programs cannot be listed.
        """
        if node is None:
            return
        self._forget(node)
        if watched is not None:
            self._take(node, watched, table)
        else:
            self._before = self.changes = self._counted = None
        if not self._begun:
            self._begun = True
            return
        self._read_next(node, watched)
        self._ask_usage(node)

    def _take(self, node: NodeSnapshot, watched: PurePath | int, table: CtTable | None) -> None:
        if table is None:
            self._before = self.changes = self._counted = None
            return
        if self._before is not None and self._before.table is table:
            return
        keyed = KeyedTable(table, self._before)
        self.changes = changes_between(self._before, keyed) if self._before else None
        self._before = keyed
        row = next((row for row in node.rows if is_map(row, watched)), None)
        if row is not None:
            self._put(row, table, self._counted)
            self._counted = (table, self.stats[row.key])
            self._headcounts.pop(row.key, None)
            if self.changes is not None:
                self._note(row.key, Turnover.of(self.changes))

    def _read_next(self, node: NodeSnapshot, watched: PurePath | int | None) -> None:
        """Read one table that is due, but for the one that is read with every sample."""
        now = self._clock()
        due = [
            row
            for row in node.rows
            if (row.is_conntrack or row.is_nat)
            and self._due.get(row.key, 0.0) <= now
            and not is_map(row, watched)
        ]
        if not due:
            return
        row = min(due, key=lambda row: self._due.get(row.key, 0.0))
        try:
            if row.is_nat:
                self._count_heads(row)
            else:
                table = self._source.table(row.info.pin or row.info.id)
                self._put(row, table)
                self._compare(row, Headcount.of(table), table)
        except CtconsoleError:
            # Gone since it was listed, or nothing that can be read: the next listing tells.
            self._keep({key for key in self._counted_ids if key != row.key})
        took = self._clock() - now
        self._due[row.key] = now + took + max(LEAST, REST * took)

    def _count_heads(self, row: MapRow) -> None:
        """Look at a table of which nothing but its keys is needed."""
        newer = self._source.headcount(row.info.pin or row.info.id)
        self._counted_ids[row.key] = row.info.id
        if newer is not None:
            self._compare(row, newer, None)

    def _compare(self, row: MapRow, newer: Headcount, table: CtTable | None) -> None:
        """Find what came and went since the last look at a table nobody watches."""
        older = self._headcounts.get(row.key)
        self._headcounts[row.key] = newer
        turnover = turnover_between(older, newer, table) if older is not None else None
        if turnover is not None:
            self._note(row.key, turnover)

    def _note(self, key: str, turnover: Turnover) -> None:
        self.turnovers = MappingProxyType({**self.turnovers, key: turnover})

    def _put(
        self, row: MapRow, table: CtTable, before: tuple[CtTable, Stats] | None = None
    ) -> None:
        self.stats = MappingProxyType({**self.stats, row.key: stats_of(table, before)})
        self._counted_ids[row.key] = row.info.id
        self.read_at = MappingProxyType({**self.read_at, row.key: table.taken_at})

    def _ask_usage(self, node: NodeSnapshot) -> None:
        now = self._clock()
        ids = {row.key: row.info.id for row in node.rows}
        rest, least = REST, LEAST
        if ids != self._ids or any(one.verdict for one in self.usage):
            rest, least = REST_IN_DOUBT, LEAST_IN_DOUBT
        if now < self._usage_asked + max(least, rest * self._usage_took):
            return
        self.usage = tuple(self._source.usage())
        self.calls = tuple(self._source.calls())
        self._ids = ids
        self._usage_asked = self._clock()
        self._usage_took = self._usage_asked - now

    def _forget(self, node: NodeSnapshot) -> None:
        """Let go of maps that are not there any more; each restart of a pod brings new ones."""
        present = {row.key: row.info.id for row in node.rows}
        # What was counted in the map before is nothing that the new one has.
        same = {key for key, number in self._counted_ids.items() if present.get(key) == number}
        if not self._counted_ids.keys() <= same:
            self._keep(same)
        for key in self._due.keys() - same:
            del self._due[key]

    def _keep(self, keys: set[str]) -> None:
        self.stats = MappingProxyType({k: v for k, v in self.stats.items() if k in keys})
        self.read_at = MappingProxyType({k: v for k, v in self.read_at.items() if k in keys})
        self.turnovers = MappingProxyType({k: v for k, v in self.turnovers.items() if k in keys})
        self._headcounts = {k: v for k, v in self._headcounts.items() if k in keys}
        self._counted_ids = {k: v for k, v in self._counted_ids.items() if k in keys}


def is_map(row: MapRow, watched: PurePath | int | None) -> bool:
    """Whether it is this map that was asked for, by its pin or its id."""
    return watched is not None and watched in {row.info.pin, row.info.id}
