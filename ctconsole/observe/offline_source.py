"""Files for the console: a node that never changes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from ctconsole.errors import GoneError
from ctconsole.model.catalogue import classify, group_of
from ctconsole.model.nodecard import AgentCard, KnownFact
from ctconsole.model.raw import settled
from ctconsole.model.runs import RunsSeen
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.offline import read_offline
from ctconsole.observe.offline_knowledge import knowledge_of
from ctconsole.observe.offline_maps import told_maps
from ctconsole.observe.offline_nodes import NodeFiles
from ctconsole.observe.source import MapRow, NodeSnapshot, is_conntrack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ctconsole.model.ct.knowledge import Knowledge
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.event import Event
    from ctconsole.model.fill import Trend
    from ctconsole.model.raw import Raw
    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.usage import MapUsage


class OfflineSource:
    """The maps of files, folders and archives.

    Args:
        paths: files, folders and archives.
        layout: of conntrack values; None decides by the entries of each node.
        now: the node's clock in seconds when the files were written; 0 takes what they tell.
        taken_at: seconds since the Unix epoch when they were; 0 where unknown.

    Raises:
        UsageError: a path cannot be read.
        FormatError: there is no map in the files.
    """

    live = False

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        layout: Layout | None = None,
        now: int = 0,
        taken_at: float = 0.0,
    ) -> None:
        self._layout = layout
        self._now = now
        self._taken_at = taken_at
        self._knowledge: dict[str, Knowledge] = {}
        self._tables: dict[int, CtTable] = {}
        self.offline = read_offline(paths)
        named = ", ".join(path.name for path in paths)
        if not told_maps(self.offline):
            raise self.offline.without("a map", paths)
        self.title = f"{named} · offline"

    def maps(self) -> NodeSnapshot:
        """Every map found, counted."""
        started = time.perf_counter()
        rows = tuple(
            MapRow(
                one.info,
                entries=len(one.keys),
                group=group_of(one.info.label),
                whose=one.whose,
            )
            for one in self.offline.maps
        )
        # Beside entries the kernel's list has every map again, by names that are cut.
        rows = rows or tuple(self._named())
        return NodeSnapshot(rows, self._taken_at, time.perf_counter() - started)

    def _named(self) -> Iterator[MapRow]:
        """The maps that the files only tell of: their sizes, and how many entries they have."""
        named = [one for one in told_maps(self.offline) if not one.file]
        for number, one in enumerate(named, len(self.offline.maps) + 1):
            entry = classify(one.label)
            info = one.info or MapInfo(
                id=0,
                name=one.label[:15],
                type=entry.type if entry else MapType.UNSPEC,
                key_size=0,
                value_size=0,
                max_entries=one.most or 0,
            )
            # Two of one name are told apart by the kernel's number.
            own = f"id {info.id}" if info.id else ""
            info = replace(info, id=number, pin=PurePath(one.node, own, one.label))
            yield MapRow(info, one.entries, group=group_of(one.label), whose=one.whose)

    def table(self, where: PurePath | int, before: CtTable | None = None) -> CtTable:
        """A conntrack map, found by its pin or by its number.

        Raises:
            GoneError: there is none such.
            FormatError: it is no conntrack map.
        """
        del before
        for one in self.offline.maps:
            if where in {one.info.id, one.info.pin}:
                # Always the same object, by which the console sees that nothing has changed.
                if one.info.id not in self._tables:
                    self._tables[one.info.id] = self.decode(one)
                return self._tables[one.info.id]
        raise GoneError(2, "open", str(where), hint="It is not in the files")

    def decode(self, one: Raw) -> CtTable:
        """A map as a table (see `table`)."""
        [one] = settled([one], self._layout, peers=self._peers(one))
        one = self.offline.timed(one, self._now, self._taken_at)
        return replace(one, knowledge=self._knowledge_of(one.node)).table()

    def _peers(self, one: Raw) -> Iterator[Raw]:
        """The conntrack maps of the same node."""
        return (
            peer for peer in self.offline.maps if peer.node == one.node and is_conntrack(peer.info)
        )

    def _knowledge_of(self, node: str) -> Knowledge:
        if node not in self._knowledge:
            told = self.offline.nodes.get(node, NodeFiles())
            self._knowledge[node] = knowledge_of(self.offline, node, told)
        return self._knowledge[node]

    def headcount(self, where: PurePath | int) -> None:
        """Files tell of one moment."""
        del where

    def events(self, since_id: int, limit: int) -> Sequence[tuple[int, Event]]:
        """Files hold no events."""
        del since_id, limit
        return ()

    def usage(self) -> Sequence[MapUsage]:
        """Files hold no programs."""
        return ()

    def calls(self) -> Sequence[CallArray]:
        """Files hold no programs."""
        return ()

    def agent(self) -> AgentCard | None:
        """Files hold no process."""
        return AgentCard(why="files tell no process")

    def facts_known(self) -> tuple[KnownFact, ...]:
        """What the files tell of each node."""
        found = [KnownFact("files", self.title, "what was given")]
        for name, node in self.offline.nodes.items():
            whose = f" of {name}" if name else ""
            release = node.told.version or node.text.version
            known = {
                "release": (release, "told by the files"),
                "layout": (node.layout, "by its release, or by what its tool printed"),
            }
            for what, (value, origin) in known.items():
                found.append(
                    KnownFact(f"{what}{whose}", str(value), origin)
                    if value
                    else KnownFact(f"{what}{whose}", "not known", "no file tells it")
                )
        return tuple(found)

    def runs(self, *, wanted: bool) -> RunsSeen:
        """Files hold no programs."""
        del wanted
        return RunsSeen(why="files tell nothing of the runs of programs")

    def fills(self) -> Mapping[str, Trend]:
        """Files are of one moment."""
        return {}

    def close(self) -> None:
        """Nothing is open."""
