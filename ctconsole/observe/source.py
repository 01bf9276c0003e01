"""Where the console gets its picture of a node from.

Everything handed over is a frozen snapshot, so that it may cross from the sampling thread to the
screen without a lock, and be kept while the screen is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ctconsole.model.catalogue import Group, classify
from ctconsole.model.ct.layout import KEYS, VALUE_SIZE
from ctconsole.model.spec import MapType
from ctconsole.model.whose import NOBODY, called

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePath

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.ct.turnover import Headcount
    from ctconsole.model.event import Event
    from ctconsole.model.fill import Trend
    from ctconsole.model.nodecard import AgentCard, KnownFact
    from ctconsole.model.runs import RunsSeen
    from ctconsole.model.spec import MapInfo
    from ctconsole.model.whose import Whose
    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.usage import MapUsage


def is_conntrack(info: MapInfo) -> bool:
    """Whether a map holds CT entries, by Cilium's pin names and by its sizes.

    The sizes alone cannot tell: a NAT map's IPv6 entry has those of a CT entry.
    """
    entry = classify(info.label, info)
    sizes = info.key_size in KEYS and info.value_size == VALUE_SIZE
    return entry is not None and entry.is_ct and sizes


@dataclass(frozen=True, slots=True)
class MapRow:
    """One map of the node at one moment.

    Attributes:
        info: what the kernel says of it.
        entries: elements in it, None where its type has no count (arrays, tries).
        exact: False when the count is a walk's, which concurrent changes blur.
        group: the part of the datapath it serves, as the catalogue groups maps.
        programs: how many programs refer to it, None where that is not known.
        whose: the node, where it is one of several in files.
    """

    info: MapInfo
    entries: int | None
    exact: bool = True
    group: Group = Group.OTHER
    programs: int | None = None
    whose: Whose = NOBODY

    @property
    def name(self) -> str:
        """What to call it: its name, and its node's where there are several."""
        return called(self.info.label, self.whose)

    @property
    def is_idle(self) -> bool:
        """Whether it is empty because no program refers to it."""
        return self.programs == 0 and not self.entries

    @property
    def key(self) -> str:
        """What stays the same when the map is re-created: its pin, else its id."""
        return str(self.info.pin) if self.info.pin else f"id {self.info.id}"

    @property
    def fill(self) -> float | None:
        """Entries over maximum; None where there is no count, or where being full is no trouble."""
        bounded = self.info.type.is_hash or self.info.type is MapType.LPM_TRIE
        if self.entries is None or not bounded or self.info.max_entries == 0:
            return None
        return self.entries / self.info.max_entries

    @property
    def is_conntrack(self) -> bool:
        """Whether the Entries view can show it."""
        return is_conntrack(self.info)

    @property
    def is_nat(self) -> bool:
        """Whether it holds translations, which come and go as connections do."""
        return self.group is Group.NAT and self.info.type.is_hash and self.entries is not None


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """Every pinned map of the node.

    Attributes:
        rows: in no particular order.
        taken_at: seconds since the Unix epoch when reading began.
        cost_seconds: wall-clock seconds the reading took.
        passed_over: a sentence of each pin that could not be opened.
        cpus: possible CPUs of the node, 0 where not known.
    """

    rows: tuple[MapRow, ...]
    taken_at: float
    cost_seconds: float
    passed_over: tuple[str, ...] = ()
    cpus: int = 0

    def row(self, key: str) -> MapRow | None:
        """The row of a `MapRow.key`, None when the map is gone."""
        return next((row for row in self.rows if row.key == key), None)


class Source(Protocol):
    """What the sampler asks. Its methods run in the sampler's thread, one at a time.

    They raise `ctconsole.errors.CtconsoleError` for everything that can go wrong with a node.
    """

    @property
    def live(self) -> bool:
        """Whether a node is looked at as it is now, rather than files."""
        ...

    @property
    def title(self) -> str:
        """One line naming what is looked at."""
        ...

    def maps(self) -> NodeSnapshot:
        """Read every map's facts and element count."""
        ...

    def table(self, where: PurePath | int, before: CtTable | None = None) -> CtTable:
        """Read a whole CT map, found by its pin or by its id.

        Given what was told of it ``before``, the answer shares its arrays where nothing changed.
        """
        ...

    def headcount(self, where: PurePath | int) -> Headcount | None:
        """Which keys a table of translations has; None where files tell of one moment only."""
        ...

    def events(self, since_id: int, limit: int) -> Sequence[tuple[int, Event]]:
        """Events with an id above ``since_id``, oldest first, at most ``limit`` of the newest."""
        ...

    def usage(self) -> Sequence[MapUsage]:
        """Which programs use which generation of each pinned map; empty where none can run."""
        ...

    def calls(self) -> Sequence[CallArray]:
        """Who calls whom through the pinned program arrays; empty where none can run."""
        ...

    def agent(self) -> AgentCard | None:
        """The agent in charge as it is now; None as long as nothing is known of it."""
        ...

    def facts_known(self) -> tuple[KnownFact, ...]:
        """What is known of the node, each with how."""
        ...

    def runs(self, *, wanted: bool) -> RunsSeen:
        """How often programs ran since the last time this was asked; see `RunMeter`.

        Args:
            wanted: whether somebody looks; where nobody does nothing is counted any more.
        """
        ...

    def fills(self) -> Mapping[str, Trend]:
        """What was counted before this source was asked, by `MapRow.key`; may take its time.

        Of a recording also what was counted later than the moment shown.
        """
        ...

    def close(self) -> None:
        """Let go of file descriptors; the source is not used afterwards."""
        ...
