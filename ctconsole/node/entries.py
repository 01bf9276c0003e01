"""Maps for the verbs: raw ones by id and out of files, and conntrack tables from wherever.

Pinned maps are read by `ctconsole.node.pinned`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ctconsole.model.catalogue import GLOBAL_MAPS
from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.ct.knowledge import NOTHING_KNOWN
from ctconsole.model.raw import settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.raw import Raw
    from ctconsole.node.pinned import Tell
    from ctconsole.observe.offline import Offline


def by_id(numbers: Iterable[int], reading: Reading, tell: Tell) -> Iterator[Raw]:
    """The conntrack maps with these kernel ids, each whole.

    Args:
        numbers: the ids.
        reading: what is known of the node.
        tell: takes why a map was passed over.

    Raises:
        BpfError: there is none of these.
        FormatError: none is a conntrack map.
    """
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.node.pinned import ReadAhead, readable

    def read(number: str) -> Iterator[Raw]:
        return ReadAhead(BpfMap.from_id(int(number)), whole=True).parts(reading)

    return readable(map(str, numbers), read, tell)


class Part(NamedTuple):
    """Entries of one map.

    Attributes:
        table: these entries.
        problem: what could not be read, in words; empty where everything was.
        last: whether the map ends with them.
    """

    table: CtTable
    problem: str
    last: bool = True


def decoded(
    dumps: Sequence[Path],
    now: int,
    layout: Layout | None,
    root: Path,
    tell: Tell,
    *,
    translations: bool = False,
    whole: bool = False,
) -> Iterator[Part]:
    """Conntrack maps with what is known beside them, as parts or each as one.

    Args:
        dumps: files, folders and archives; none reads the pinned maps.
        now: see `files`.
        layout: of all entries; None goes by the agent, the files or the entries.
        root: the bpffs.
        tell: takes sentences about all of them, as they become known.
        translations: also read the NAT tables, of which a flush deletes what goes with an entry;
            dumps have them beside.
        whole: hand over no pinned map in parts.

    Raises:
        GoneError: none is pinned.
        UsageError: a path cannot be read at all.
        FormatError: there is no conntrack map in the files.
    """
    if dumps:
        raws = [one for one in files(dumps, now, tell, judged=True) if one.is_conntrack]
        for one in settled(raws, layout):
            yield Part(one.table(), one.problem)
        return
    from ctconsole.node.pinned import PinnedTables
    from ctconsole.node.reading import reading_of_node, with_translations

    with PinnedTables(root, whole=whole) as pins:
        reading = reading_of_node(root, layout)
        if translations:
            reading, warning = with_translations(reading, root)
            if warning:
                tell(f"ctconsole: {warning}")
        if reading.layout is None:
            reading = replace(reading, layout=guess_layout(*pins.samples()).layout)
        for one in pins.maps(reading, tell, also_local=True):
            if one.is_conntrack:
                yield Part(one.table(), one.problem, one.last)


def files(paths: Sequence[Path], now: int, tell: Tell, *, judged: bool = False) -> list[Raw]:
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
    from ctconsole.observe import stdin
    from ctconsole.observe.offline import read_offline
    from ctconsole.observe.offline_knowledge import knowledge_by_node

    offline = read_offline(paths)
    knowledge = knowledge_by_node(offline) if judged else {}
    singles = {stdin.NAME, *(str(path) for path in paths)}
    nodes: dict[str, int] = {}
    rank = {name: position for position, name in enumerate(GLOBAL_MAPS)}
    found: list[tuple[tuple[int, int], Raw]] = []
    for one in of_files(offline, now):
        # Other maps out of a text are told as lists that another verb has.
        if one.is_conntrack or (one.file in singles and not one.from_text):
            label = one.info.label
            order = nodes.setdefault(one.node, len(nodes)), rank.get(label, len(rank))
            known = knowledge.get(one.node, NOTHING_KNOWN)
            found.append((order, replace(one, knowledge=known)))
    for note in (*offline.notes, *offline.left_out("ct list", paths)):
        tell(f"ctconsole: {note}")
    for doubt in dict.fromkeys(node.layout_doubt for node in offline.nodes.values()):
        if doubt:
            tell(f"ctconsole: {doubt}")
    if not now:
        for sentence in times_of(offline):
            tell(sentence)
    found.sort(key=lambda pair: pair[0])
    found = _told_by_maps(found, offline)
    raws = _each_with_its_nodes_layout(found) if len(nodes) > 1 else [one for _, one in found]
    if not raws:
        raise offline.without("a conntrack map", paths)
    if problems := ". ".join(offline.problems):
        also = f"{raws[0].problem}. {problems}" if raws[0].problem else problems
        raws[0] = replace(raws[0], problem=also)
    return raws


def _told_by_maps(
    found: list[tuple[tuple[int, int], Raw]], offline: Offline
) -> list[tuple[tuple[int, int], Raw]]:
    """With the release that the other maps of a node leave no doubt of, where nothing told it."""
    from ctconsole.model.generation import generation

    told = {
        node: generation(one.info for one in offline.maps if one.node == node)
        for node in {raw.node for _, raw in found if raw.layout is None and raw.node}
    }
    return [
        (order, replace(raw, layout=told[raw.node].layout))
        if raw.node in told and raw.layout is None and told[raw.node].certain
        else (order, raw)
        for order, raw in found
    ]


def of_files(offline: Offline, now: int) -> Iterator[Raw]:
    """Every map of what was read, with the moment it was written; without the numbers.

    Args:
        offline: what was read.
        now: the node's CLOCK_MONOTONIC in seconds; 0 takes what the files tell.
    """
    return (replace(offline.timed(one, now), info=replace(one.info, id=0)) for one in offline.maps)


def times_of(offline: Offline) -> list[str]:
    """What the files of each node say of their time."""
    said = []
    for folder, node in offline.nodes.items():
        moment, place = node.at(), node.whose.name or (folder if folder != "." else "the file")
        if node.text_clock is not None and node.text_clock.pairs:
            said.append(f"now {moment.stamp}: expires minus remaining, in {place}")
        elif moment.stamp:
            said.append(f"now {moment.seconds}: the agent's last sign of life in {place}")
    return said


def _each_with_its_nodes_layout(found: Sequence[tuple[tuple[int, int], Raw]]) -> list[Raw]:
    """The maps of several nodes, each with the layout its node's entries are sure to have."""
    from itertools import groupby

    raws: list[Raw] = []
    for _, pairs in groupby(found, key=lambda pair: pair[0][0]):
        node = [one for _, one in pairs]
        guess = guess_layout(*(one.values for one in node if one.is_conntrack))
        known = guess.layout if guess.certain else None
        raws += [replace(one, layout=one.layout or known) for one in node]
    return raws
