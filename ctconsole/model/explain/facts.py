"""What answers rest on: a node's tables in numbers, and what was found beside them.

Whatever is not known is None, 0 where that can be no number, or empty.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.model.ct.stats import StatsTally
from ctconsole.model.ct.table import State
from ctconsole.model.ct.tops import TopTally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.advice import Advice
    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.stats import Stats
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.ct.tops import Tops
    from ctconsole.model.explain.log import LogFacts
    from ctconsole.model.sizing import SizingTold
    from ctconsole.model.spec import MapInfo

_PORTS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Content:
    """What is in one conntrack table, in numbers.

    Attributes:
        stats: by state, direction and time.
        half_closed: living entries of which one side only has closed.
        half_closed_services: of these, services' entries.
        longest_left: the most seconds one of these has left.
        services: services' entries.
        expired: entries that are sure to have expired, also where the clock is a lower bound.
        counted: entries with a packet or byte counted.
        now: the clock their ``expires`` counts, 0 where unknown; in their units.
        least: whether that is a lower bound only.
        hertz: HZ where they are stamped in jiffies / 256, else 0.
        lifetimes: seconds from the last report to ``expires``, by how many entries, of living
            entries in use.
        layout: of the values.
    """

    stats: Stats
    half_closed: int
    half_closed_services: int
    longest_left: int
    services: int
    expired: int
    counted: int
    now: int
    least: bool
    hertz: int
    lifetimes: Mapping[int, int]
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class TableKnown:
    """One table.

    Attributes:
        node: what to call the node it is of; empty where there is one only.
        info: the map.
        entries: in it.
        advice: how full it is and what size it should have.
        sizing: what Cilium's rule makes of it; None where the rule does not size it.
        content: what is in it; None where it is no conntrack table, or was not read.
        tops: who has most entries in it; None likewise.
        ports: entries by destination port, the most first.
        names: what those who have most are called, by address.
        services: names of services by RevNAT id.
    """

    node: str
    info: MapInfo
    entries: int
    advice: Advice
    sizing: SizingTold | None = None
    content: Content | None = None
    tops: Tops | None = None
    ports: tuple[tuple[int, int], ...] = ()
    names: Mapping[bytes, str] = field(default_factory=lambda: MappingProxyType({}))
    services: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Known:
    """All that is at hand.

    Attributes:
        live: whether a node is looked at as it is now, rather than files.
        tables: conntrack's and the others asked for, the fullest first.
        version: the agent's release.
        clock: what its ``expires`` counts, None where not known.
        clock_origin: how that is known.
        accounting: whether connections' packets are counted.
        gc_interval: seconds between two passes of the collector.
        gc_last: when the last pass was, seconds since the Unix epoch; 0 where not known.
        gc_deleted: what it deleted.
        log: what the agent's log, or our history, tells.
        drops: drops by reason and the kernel's error, which is empty where it was not printed.
        pressure: how full maps are by the agent's own metrics, 0 to 1 by name.
        sizes: of tables, by pin name, where only the agent's status tells.
        ratio: the share of the memory that sizes follow, None where not told.
        sources: what all of this was read from.
        now: seconds since the Unix epoch, 0 for files.
        older: of tables in whose stead programs use an older map, which, since when and by whom;
            by the table's name.
    """

    live: bool
    tables: tuple[TableKnown, ...] = ()
    version: str = ""
    clock: ClockSource | None = None
    clock_origin: str = ""
    accounting: bool | None = None
    gc_interval: float | None = None
    gc_last: float = 0.0
    gc_deleted: int | None = None
    log: LogFacts | None = None
    drops: Mapping[tuple[str, str], int] = field(default_factory=lambda: MappingProxyType({}))
    pressure: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    sizes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    ratio: float | None = None
    sources: tuple[str, ...] = ()
    now: float = 0.0
    older: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def in_use(self) -> list[TableKnown]:
        """The tables that the node works with, as far as it is known."""
        return [table for table in self.tables if table.info.label not in self.older]


class ContentTally:
    """Counts a conntrack table that comes in parts."""

    def __init__(self) -> None:
        self._stats, self._tops = StatsTally(), TopTally()
        self._ports = np.zeros(_PORTS, np.int64)
        self._sums: Counter[str] = Counter()
        self._lifetimes: Counter[int] = Counter()
        self._longest = 0
        self._last: CtTable | None = None

    def add(self, table: CtTable) -> None:
        """Count another part."""
        self._last = table
        self._stats.add(table)
        self._tops.add(table)
        self._ports += np.bincount(table.ends.destination_port, minlength=_PORTS)
        values, one_side = table.values, table.state == State.HALF_CLOSED
        if table.now:
            if one_side.any():
                self._longest = max(self._longest, int(table.remaining[one_side].max()))
            used = table.alive & (table.state == State.ESTABLISHED)
            reported = np.maximum(values["last_rx_report"], values["last_tx_report"])
            spans = values["lifetime"].astype(np.int64) - reported
            kept, counts = np.unique(spans[used & (reported > 0)], return_counts=True)
            self._lifetimes.update(dict(zip(kept.tolist(), counts.tolist(), strict=True)))
        self._sums["half"] += int(np.count_nonzero(one_side))
        self._sums["half_services"] += int(np.count_nonzero(one_side & table.service))
        self._sums["services"] += int(np.count_nonzero(table.service))
        self._sums["expired"] += int(np.count_nonzero(~table.alive)) if table.now else 0
        self._sums["counted"] += int(np.count_nonzero((table.bytes > 0) & ~table.service))

    def content(self) -> Content | None:
        """What was counted; None where there was no part."""
        last = self._last
        if last is None:
            return None
        return Content(
            stats=self._stats.stats(),
            half_closed=self._sums["half"],
            half_closed_services=self._sums["half_services"],
            longest_left=self._longest,
            services=self._sums["services"],
            expired=self._sums["expired"],
            counted=self._sums["counted"],
            now=last.now,
            least=last.at_least,
            hertz=last.hertz,
            lifetimes=MappingProxyType(dict(self._lifetimes.most_common(8))),
            layout=last.layout,
        )

    def tops(self, most: int) -> Tops:
        """Who has most entries."""
        return self._tops.tops(most)

    def ports(self, most: int) -> tuple[tuple[int, int], ...]:
        """Which destination ports have most entries."""
        order = np.argsort(self._ports[1:])[::-1][:most] + 1
        return tuple((int(port), int(self._ports[port])) for port in order if self._ports[port])
