"""The entries of one map as they were read, live or from a file, with what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctconsole.errors import FormatError
from ctconsole.model.ct.clock import UNKNOWN, Moment
from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.ct.knowledge import NOTHING_KNOWN
from ctconsole.model.ct.layout import KEYS, VALUE_SIZE
from ctconsole.model.ct.table import UNWALKED, CtTable, Walk
from ctconsole.model.whose import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.guess import Guess
    from ctconsole.model.ct.knowledge import Knowledge
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.records.spec import RecordKind
    from ctconsole.model.records.table import RecordTable
    from ctconsole.model.spec import MapInfo
    from ctconsole.model.whose import Whose

    Bytes: TypeAlias = npt.NDArray[np.uint8]


_FEW = 1000
"""Entries of which one has a counter, where anything is counted."""


@dataclass(frozen=True, slots=True)
class Raw:
    """The raw entries of one map, or of a part of it.

    Attributes:
        info: the map. Of a file what its name and entries tell: the pin is the file's folder and
            the map's name, so that maps of several nodes can be told apart.
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, value size); of per-CPU maps (n, CPUs, value size), as the kernel
            gives it rounded up to 8.
        walk: how the reading went.
        problem: what could not be read, in words; empty where everything was.
        at: when it was read, or the file was written.
        layout: of conntrack values, where something beside the entries tells, else None.
        knowledge: what is known beside the entries.
        file: the path of the file it was in, inside archives behind the archive's; else empty.
        from_text: whether it was read from a tool's text.
        last: whether the map ends with these entries.
        whose: the node, where it is one of several or a file tells.
    """

    info: MapInfo
    keys: Bytes
    values: Bytes
    walk: Walk = UNWALKED
    problem: str = ""
    at: Moment = UNKNOWN
    layout: Layout | None = None
    knowledge: Knowledge = NOTHING_KNOWN
    file: str = ""
    from_text: bool = False
    last: bool = True
    whose: Whose = NOBODY

    @property
    def node(self) -> str:
        """What tells the maps of several nodes apart: the folder of the file, else empty."""
        return str(self.info.pin.parent) if self.file and self.info.pin else ""

    @property
    def is_conntrack(self) -> bool:
        """Whether the sizes are those of a conntrack map and the name is not another map's.

        ``cilium_snat_v6_external`` has the sizes of an IPv6 conntrack map.
        """
        return self._may_be_conntrack and self.info.value_size == VALUE_SIZE

    @property
    def is_missized(self) -> bool:
        """Whether it is a conntrack map but for the size of its values."""
        return self._may_be_conntrack and self.info.value_size != VALUE_SIZE

    @property
    def _may_be_conntrack(self) -> bool:
        label = self.info.label
        other = label.startswith("cilium_") and not label.startswith(
            ("cilium_ct", "cilium_per_cluster_ct")
        )
        return not other and self.info.key_size in KEYS

    def known(self, reading: Reading, at: Moment) -> Raw:
        """With what is known of the node, and the moment of reading."""
        return replace(self, at=at, layout=reading.layout, knowledge=reading.knowledge)

    def part(self) -> Raw:
        """As one of several parts of its map, and not the last."""
        return replace(self, last=False)

    def fitted(self) -> Raw:
        """With zeros behind short values, and long ones cut (`LayoutSpec.any_value_size`)."""
        values = np.zeros((len(self.values), VALUE_SIZE), np.uint8)
        kept = min(self.info.value_size, VALUE_SIZE)
        values[:, :kept] = self.values[:, :kept]
        return replace(self, values=values)

    def table(self) -> CtTable:
        """The entries of a conntrack map; where no layout is known they are asked for it.

        Raises:
            FormatError: the sizes are not those of a conntrack map.
        """
        table = CtTable.from_raw(
            self.info,
            self.layout or guess_layout(self.values).layout,
            self.keys,
            self.values,
            now=self.at.stamp or self.at.least,
            taken_at=self.at.taken_at,
            walk=self.walk,
            hertz=self.at.hertz,
            knowledge=self.knowledge,
            at_least=not self.at.stamp,
            whose=self.whose,
        )
        # Every entry is made by a packet, but services' are counted by no release before 1.16.
        some = table.take(slice(_FEW)).packets.any()
        return replace(table, counted=not len(table) or bool(some or table.packets.any()))

    def records(
        self, layout: Layout | None = None, kinds: Collection[RecordKind] = ()
    ) -> RecordTable:
        """The entries of one of Cilium's other maps.

        Args:
            layout: the node's release, None where it is not known.
            kinds: what a map is taken for whose name says nothing.

        Raises:
            FormatError: no record is known for the name and the sizes.
        """
        from ctconsole.model.records.table import RecordTable

        table = RecordTable.from_raw(
            self.info,
            self.keys,
            self.values,
            layout=layout,
            now=self.at.seconds,
            walk=self.walk,
            kinds=kinds,
        )
        return replace(table, jiffies=self.at.jiffies, hertz=self.at.hertz)


def check_conntrack(info: MapInfo) -> None:
    """Raise FormatError where a live map's values are not those of a conntrack map."""
    if info.value_size != VALUE_SIZE or info.type.is_per_cpu:
        raise FormatError(
            f"{info.label} has values of {info.value_size} bytes for each of its entries, a "
            f"conntrack map has {VALUE_SIZE}"
        )


def settled(
    raws: Sequence[Raw],
    asked: Layout | None = None,
    *,
    peers: Iterable[Raw] | None = None,
    guessed: Callable[[Guess], None] = lambda _: None,
) -> list[Raw]:
    """Each with a layout: the one asked for, else its own, else what the entries of all say.

    Args:
        raws: maps that have a layout in common.
        asked: what the operator says.
        peers: whose entries are asked; None for those of ``raws``.
        guessed: handed what they said, where they were asked.
    """
    common = asked
    if common is None and not (raws and all(one.layout for one in raws)):
        asking = raws if peers is None else peers
        guess = guess_layout(*(one.values for one in asking if one.is_conntrack))
        guessed(guess)
        common = guess.layout
    return [replace(one, layout=asked or one.layout or common) for one in raws]


def whole_maps(raws: Iterable[Raw]) -> Iterator[Raw]:
    """Each map as a whole, where it comes in several parts."""
    parts: list[Raw] = []
    for one in raws:
        parts.append(one)
        if one.last:
            keys = np.concatenate([part.keys for part in parts])
            values = np.concatenate([part.values for part in parts])
            yield replace(one, keys=keys, values=values) if parts[1:] else one
            parts = []
