"""Entries as ``ct list`` and its kin get them: raw, with all that is known; those of files."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.ct.knowledge import NOTHING_KNOWN
from ctconsole.model.ct.layout import KEYS, VALUE_SIZE, Layout
from ctconsole.model.ct.table import UNWALKED, CtTable, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ctconsole.model.ct.knowledge import Knowledge
    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.offline import Offline

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Tell: TypeAlias = Callable[[str], None]

GLOBAL_MAPS: Final = (
    "cilium_ct4_global",
    "cilium_ct_any4_global",
    "cilium_ct6_global",
    "cilium_ct_any6_global",
)
"""The maps Cilium's tool lists, in its order."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The raw entries of one map or file.

    Attributes:
        info: the map; for a file what its name and entries tell.
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, value size).
        walk: how the reading went.
        now: see `CtTable`.
        taken_at: see `CtTable`.
        problem: what could not be read, in words; empty where everything was.
        layout: the version that printed the text it was read from, else None.
        hertz: see `CtTable`.
        knowledge: see `CtTable`.
        last: whether the map ends with these entries.
    """

    info: MapInfo
    keys: Bytes
    values: Bytes
    walk: Walk = UNWALKED
    now: int = 0
    taken_at: float = 0.0
    problem: str = ""
    layout: Layout | None = None
    hertz: int = 0
    knowledge: Knowledge = NOTHING_KNOWN
    last: bool = True

    @property
    def is_conntrack(self) -> bool:
        """Whether the sizes are those of a conntrack map and the name is not another map's.

        ``cilium_snat_v6_external`` has the sizes of an IPv6 conntrack map.
        """
        return self._may_be_conntrack and self.info.value_size == VALUE_SIZE

    @property
    def is_short(self) -> bool:
        """Whether it is a conntrack map but for its values, which are shorter."""
        return self._may_be_conntrack and self.info.value_size < VALUE_SIZE

    @property
    def _may_be_conntrack(self) -> bool:
        label = self.info.label
        other = label.startswith("cilium_") and not label.startswith(
            ("cilium_ct", "cilium_per_cluster_ct")
        )
        return not other and self.info.key_size in KEYS

    def part(self) -> Sample:
        """As one of several samples of its map, and not the last."""
        return replace(self, last=False)

    def filled(self) -> Sample:
        """With zeros behind short values (`LayoutSpec.fills_short_values`)."""
        values = np.zeros((len(self.values), VALUE_SIZE), np.uint8)
        values[:, : self.info.value_size] = self.values
        return replace(self, values=values)

    def table(self, layout: Layout) -> CtTable:
        """The entries in a layout."""
        return CtTable.from_raw(
            self.info,
            layout,
            self.keys,
            self.values,
            now=self.now,
            taken_at=self.taken_at,
            walk=self.walk,
            hertz=self.hertz,
            knowledge=self.knowledge,
        )


def whole_maps(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Each map as one sample, where it comes in several."""
    parts: list[Sample] = []
    for sample in samples:
        parts.append(sample)
        if sample.last:
            keys = np.concatenate([part.keys for part in parts])
            values = np.concatenate([part.values for part in parts])
            yield replace(sample, keys=keys, values=values) if parts[1:] else sample
            parts = []


def decoded(
    dumps: Sequence[Path],
    now: int,
    layout: Layout | None,
    root: Path,
    tell: Tell,
    *,
    translations: bool = False,
) -> Iterator[tuple[CtTable, str]]:
    """Conntrack maps with what is known beside them, each with what could not be read of it.

    Args:
        dumps: files, folders and archives; none reads the pinned maps.
        now: see `from_files`.
        layout: of all entries; None goes by the agent, the files or the entries.
        root: the bpffs.
        tell: takes sentences about all of them, as they become known.
        translations: also read the NAT tables, of which a flush deletes what goes with an entry;
            dumps have them beside.

    Raises:
        NoSuchMapError: none is pinned.
        UsageError: a path cannot be read at all.
        FormatError: there is no conntrack map in the files.
    """
    if dumps:
        samples = [one for one in from_files(dumps, now, tell, judged=True) if one.is_conntrack]
        guess = guess_layout(*(sample.values for sample in samples)).layout
        for sample in samples:
            yield sample.table(layout or sample.layout or guess), sample.problem
        return
    from ctconsole.node.pins import Pins
    from ctconsole.node.reading import reading_of_node, with_translations

    with closing(Pins(root, whole=True)) as pins:
        reading = reading_of_node(root, layout)
        if translations:
            reading, warning = with_translations(reading, root)
            if warning:
                tell(f"ctconsole: {warning}")
        for sample in pins.samples(reading, tell, also_local=True):
            if sample.is_conntrack:
                found = reading.layout or guess_layout(sample.values).layout
                yield sample.table(found), sample.problem


def from_files(
    paths: Sequence[Path], now: int, tell: Tell, *, judged: bool = False
) -> list[Sample]:
    """Read dump files, folders and archives; of each node the maps Cilium lists first in front.

    Out of folders and archives conntrack maps are taken, single files whatever they hold. Where
    a node's files tell when they were written, that is said.

    Args:
        paths: what to read.
        now: the node's CLOCK_MONOTONIC in seconds; 0 takes what the files tell.
        tell: takes what the files tell of the time.
        judged: also learn what the dumps beside tell of the connections.

    Raises:
        UsageError: a path cannot be read at all.
        FormatError: there is no conntrack map in any of them.
    """
    from ctconsole.observe.archive import is_archive
    from ctconsole.observe.offline import read_offline
    from ctconsole.observe.offline_knowledge import knowledge_by_node

    offline = read_offline(paths)
    knowledge = knowledge_by_node(offline) if judged else {}
    singles = {str(path) for path in paths if path.is_file() and not is_archive(path.name)}
    nodes: dict[str, int] = {}
    rank = {name: position for position, name in enumerate(GLOBAL_MAPS)}
    found: list[tuple[tuple[int, int], Sample]] = []
    for one in offline.maps:
        info = replace(one.info, id=0)
        node = offline.node_of(one)
        sample = Sample(
            info,
            one.keys,
            one.values,
            now=node.now(now),
            problem=one.problem,
            layout=one.layout,
            hertz=node.hertz,
            knowledge=knowledge.get(one.node, NOTHING_KNOWN),
        )
        if sample.is_conntrack or one.file in singles:
            order = nodes.setdefault(one.node, len(nodes)), rank.get(info.label, len(rank))
            found.append((order, sample))
    if not now:
        for sentence in times_of(offline):
            tell(sentence)
    found.sort(key=lambda pair: pair[0])
    samples = _each_with_its_nodes_layout(found) if len(nodes) > 1 else [one for _, one in found]
    if not samples:
        raise offline.without("a conntrack map", paths)
    if problems := ". ".join(offline.problems):
        also = f"{samples[0].problem}. {problems}" if samples[0].problem else problems
        samples[0] = replace(samples[0], problem=also)
    return samples


def times_of(offline: Offline) -> list[str]:
    """What the files of each node say of their time."""
    return [
        f"now {node.alive_at}: the agent's last sign of life in {folder}"
        for folder, node in offline.nodes.items()
        if node.alive_at
    ]


def _each_with_its_nodes_layout(found: Sequence[tuple[tuple[int, int], Sample]]) -> list[Sample]:
    """The samples of several nodes, each with the layout its node's entries are sure to have."""
    from itertools import groupby

    samples: list[Sample] = []
    for _, pairs in groupby(found, key=lambda pair: pair[0][0]):
        node = [sample for _, sample in pairs]
        guess = guess_layout(*(sample.values for sample in node if sample.is_conntrack))
        known = guess.layout if guess.certain else None
        samples += [replace(sample, layout=sample.layout or known) for sample in node]
    return samples
