"""Spares reading a conntrack table again in which nothing has changed since the sample before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ctconsole.kernel.clock import moment
from ctconsole.kernel.fingerprint import open_fingerprints
from ctconsole.model.ct.changes import at_rest
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctconsole.kernel.fingerprint import Fingerprints
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.ct.table import CtTable

SPARSE: Final = 8
"""A map that holds less than this part of what it could is walked sooner than looked over."""


class RestingTables:
    """Reads tables again and again. Not for several threads at once.

    A table comes to rest when it is read twice and no byte differs. Then a fingerprint is taken
    before it is read once more, and from there on it is read only when the fingerprint differs.
    So a table that changes is read as ever, and one at rest is looked over by the kernel, and
    what is told of it is as true at that moment as if it had been read.
    """

    def __init__(self) -> None:
        self._fingerprints: Fingerprints | None = None
        self._tried = False
        self._resting: dict[int, tuple[CtTable, int | None]] = {}

    def read(
        self,
        live: BpfMap,
        reading: Reading,
        before: CtTable,
        read: Callable[[], CtTable],
    ) -> CtTable:
        """The table now; it shares the arrays of ``before`` where not a byte has changed.

        Args:
            live: the map.
            reading: how its entries are to be read, as far as it is known.
            before: what was given the last time.
            read: reads the map.
        """
        now, found = moment(reading.clock), None
        resting, known = self._resting.pop(live.info.id, (None, None))
        if before is resting:
            found = self._fingerprint(before)
        unchanged = found is not None and found == known
        if unchanged and reading.layout in {None, before.layout}:
            table = replace(
                before,
                info=live.info,
                now=now.stamp,
                taken_at=now.taken_at,
                hertz=now.hertz,
                knowledge=reading.knowledge,
            )
        else:
            table = at_rest(before, read())
        if table.keys is before.keys and table.walk.complete:
            self._resting[live.info.id] = table, found
        return table

    def _fingerprint(self, table: CtTable) -> int | None:
        info = table.info
        if info.type is not MapType.LRU_HASH or len(table) * SPARSE < info.max_entries:
            return None
        if not self._tried:
            self._tried = True
            self._fingerprints = open_fingerprints()
        return self._fingerprints.of(info.id) if self._fingerprints else None

    def forget(self, present: Iterable[int]) -> None:
        """Let go of the tables of maps that are not among these."""
        for gone in self._resting.keys() - set(present):
            del self._resting[gone]

    def close(self) -> None:
        """Unload what asks the kernel."""
        if self._fingerprints is not None:
            self._fingerprints.close()
            self._fingerprints = None
