"""What a deletion of conntrack entries would do, how far it is, and what it did: values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ctconsole.errors import CtconsoleError
from ctconsole.model.plan import Row
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ctconsole.model.ct.outcomes import Reason, Risk
    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.event import Event
    from ctconsole.model.spec import MapInfo

    Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FlushPlan:
    """What a deletion would take away; a `ctconsole.model.plan.Plan`.

    Attributes:
        path: the map's pin.
        info: the map.
        query: what is to be deleted; the empty query for everything.
        reading: how the entries were read; its layout is known.
        entries: entries in the map.
        keys: keys of those chosen, u1 of shape (n, key size).
        verdicts: what becomes of their connections, the worst first.
        mappings: NAT entries that go with them.
        warnings: sentences for whoever decides.
        single: whether one entry was named by its key.
        connection: which it is, of one entry that was named.
    """

    path: Path
    info: MapInfo
    query: Query
    reading: Reading
    entries: int
    keys: Bytes
    verdicts: tuple[tuple[Risk, Reason, int], ...]
    mappings: int
    warnings: tuple[str, ...]
    single: bool = False
    connection: str = ""

    memory = None

    @property
    def chosen(self) -> int:
        """How many entries would be deleted."""
        return len(self.keys)

    @property
    def title(self) -> str:
        """Which map."""
        return self.path.name

    @property
    def paths(self) -> tuple[Path, ...]:
        """The pins of the maps whose entries it is about."""
        return (self.path,)

    @property
    def rows(self) -> tuple[Row, ...]:
        """How many entries, and which."""
        rows = [Row("deleted", f"{count(self.chosen)} of {count(self.entries)} entries")]
        if self.connection:
            rows.append(Row("connection", self.connection))
        if self.query:
            rows.append(Row("filter", self.query.meaning))
        return tuple(rows)

    @property
    def lasting(self) -> tuple[str, ...]:
        """All: they tell of the entries, not of the deed."""
        return self.warnings

    @property
    def data_loss(self) -> int:
        """Those chosen."""
        return self.chosen

    @property
    def confirm_name(self) -> str:
        """The map's; one entry goes by a key."""
        return "" if self.single else self.path.name

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "path": str(self.path),
            "id": self.info.id,
            "filter": self.query.meaning,
            **({"connection": self.connection} if self.connection else {}),
            "entries": self.entries,
            "chosen": self.chosen,
            "mappings": self.mappings,
        }

    def count(self, risk: Risk) -> int:
        """How many of them have this risk."""
        return sum(number for one, _, number in self.verdicts if one is risk)


class FlushProgress(NamedTuple):
    """How far a deletion is.

    Attributes:
        name: of the map.
        done: entries looked at again, which most of them did not outlive.
        of: how many were planned.
    """

    name: str
    done: int
    of: int

    @property
    def text(self) -> str:
        """For a person."""
        return f"{self.name}: {count(self.done)} of {count(self.of)} entries done"


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What a deletion did; a `ctconsole.model.plan.Report`.

    Attributes:
        path: the map's pin.
        chosen: entries that were to be deleted.
        deleted: entries deleted.
        kept: entries that no longer matched when they came up: traffic had changed them.
        vanished: entries that were gone already.
        mappings: NAT entries deleted with them.
        seconds: wall time.
        events: to be stored.
        left: entries it did not come to.
        stopped: why it did not, half a sentence; empty where it came to all.
        unrecorded: why the events are not in the history, empty where they are.
    """

    path: Path
    chosen: int
    deleted: int
    kept: int
    vanished: int
    mappings: int
    seconds: float
    events: tuple[Event, ...]
    left: int = 0
    stopped: str = ""
    unrecorded: str = ""

    @property
    def failure(self) -> str:
        """What was done before it stopped; empty where it came to all entries."""
        if not self.stopped:
            return ""
        return f"{self.sentence}; the other {count(self.left)} stay: {self.stopped}"

    def check(self) -> None:
        """Raise CtconsoleError with the failure, if there is one; store the events before."""
        if self.failure:
            raise CtconsoleError(self.failure)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What became of the record."""
        return (Row("history", self.unrecorded),) if self.unrecorded else ()

    @property
    def sentence(self) -> str:
        """What was done."""
        also = f", {count(self.mappings)} NAT entries with them" if self.mappings else ""
        kept = f"; {count(self.kept)} kept, traffic had changed them" if self.kept else ""
        of = f" of {count(self.chosen)}" if self.stopped else ""
        return f"{self.path.name}: {count(self.deleted)}{of} entries deleted{also}{kept}"

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "path": str(self.path),
            "deleted": self.deleted,
            "kept": self.kept,
            "vanished": self.vanished,
            "left": self.left,
            "nat_deleted": self.mappings,
            "seconds": round(self.seconds, 6),
        }
