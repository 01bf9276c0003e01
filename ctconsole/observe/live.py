"""The source that reads this machine's kernel."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.history import History
from ctconsole.kernel import procs
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.counts import Count, ElementCounter, count_maps, open_counter
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.catalogue import group_of
from ctconsole.model.raw import settled
from ctconsole.model.spec import MapType
from ctconsole.model.units import duration
from ctconsole.observe.calls import tail_calls
from ctconsole.observe.discovery import nobodys
from ctconsole.observe.facts import FactsKeeper
from ctconsole.observe.inventory import Inventory
from ctconsole.observe.nodecard import AgentMeter, facts_told
from ctconsole.observe.resting import RestingTables
from ctconsole.observe.runs import RunMeter
from ctconsole.observe.source import MapRow, NodeSnapshot
from ctconsole.observe.usage import map_usage
from ctconsole.paths import lab_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import PurePath

    from ctconsole.model.ct.guess import Guess
    from ctconsole.model.ct.knowledge import PolicyFacts
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.ct.turnover import Headcount
    from ctconsole.model.event import Event
    from ctconsole.model.fill import Trend
    from ctconsole.model.nodecard import AgentCard, KnownFact
    from ctconsole.model.runs import RunsSeen
    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.discovery import NodeFacts, OwnAgentAt
    from ctconsole.observe.usage import MapUsage

_ASKED_BY_SLOT = frozenset({MapType.PROG_ARRAY, MapType.ARRAY_OF_MAPS})
_MOST_SLOTS = 4096
"""Slots are counted one system call each; larger arrays are left uncounted."""

_WALK_REST = 50
"""A walk that took one second is not repeated for so many."""

_PAST = 86_400.0
"""Seconds of counts that are taken from the history."""

_WALK_LEAST = 10.0
"""Seconds for which a walk's count is good, however cheap it was."""


_LOOK_AGAIN = 2.0
"""Seconds between two searches for the agent that comes after one that ended."""

_FIRST_ANSWER = 0.3
"""Seconds the first table waits for what the node's agent tells of its layout."""


class LiveSource:
    """Pinned maps below a bpffs, and the events of a history file.

    Args:
        bpf_root: where the bpffs is mounted, or a folder in it.
        history: the history file; may come into being later. None: no events.
        layout: of the CT values; None takes what the node's agent tells, else decides by the
            entries themselves.
        policy: see `FactsKeeper`.
        own_agent: tells which agent of ours is in charge, see `discover`.
    """

    live = True

    def __init__(
        self,
        bpf_root: Path,
        history: Path | None = None,
        layout: Layout | None = None,
        policy: Callable[[], PolicyFacts | None] = lambda: None,
        own_agent: OwnAgentAt = nobodys,
    ) -> None:
        self._agent = AgentMeter(own_agent)
        self._runs = RunMeter()
        self._root = bpf_root
        self._history_path = history
        self._history: History | None = None
        self._layout = layout
        self._guessed: Layout | None = None
        self._waited = False
        self._facts = FactsKeeper(bpf_root, policy=policy, own=own_agent)
        self._card: AgentCard | None = None
        self._inventory = Inventory()
        self._resting = RestingTables()
        self._counter: ElementCounter | None = None
        self._counter_tried = False
        self._walked: dict[int, tuple[Count, float]] = {}
        self._next_look = 0.0

    @property
    def title(self) -> str:
        """The node, its agent as far as one is known by now, and the bpffs looked at."""
        lab = lab_of(self._root)
        where = f"lab {lab}" if lab else str(self._root)
        return f"{os.uname().nodename} · {self._in_charge()} · {where}"

    def _in_charge(self) -> str:
        """Which agent, in a few words."""
        facts, card = self._facts.latest, self._card
        if facts is None:
            return "agent not known yet"
        if facts.agent is None:
            if card is not None and card.pid and card.started:
                return f"own agent (pid {card.pid}, up {_up(card.started)})"
            return "no agent" if facts.own is None else f"own agent (pid {facts.own.pid})"
        release = f"Cilium {facts.version.value}" if facts.version else "Cilium, release not known"
        process = facts.agent.process
        if procs.is_same(process):
            return f"{release} (pid {process.pid}, up {_up(process.started)})"
        self._look_again()
        return f"{release} (its agent has ended)"

    def _look_again(self) -> None:
        """Ask for the agent that may have come since, every few seconds."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_AGAIN
            self._facts.hurry()

    def maps(self) -> NodeSnapshot:
        """Read the facts of every pinned map and count its entries.

        Raises:
            GoneError: the bpffs is not there.
            BpfError: the kernel refuses to be asked.
        """
        self._facts.start()
        started, taken_at = time.perf_counter(), time.time()
        passed_over: list[str] = []
        infos = pinned_maps(self._root, passed_over.append)
        counts = self._counts(infos.values())
        users = Counter(
            number for program in self._inventory.programs() for number in program.map_ids
        )
        rows = []
        for info in infos.values():
            count = counts.get(info.id)
            rows.append(
                MapRow(
                    info,
                    entries=count.entries if count else None,
                    exact=count is None or not count.walked,
                    group=group_of(info.label),
                    programs=users[info.id],
                )
            )
        self._resting.forget(info.id for info in infos.values())
        cost = time.perf_counter() - started
        return NodeSnapshot(tuple(rows), taken_at, cost, tuple(passed_over), possible_cpus())

    def table(self, where: PurePath | int, before: CtTable | None = None) -> CtTable:
        """Read a CT map whole.

        Args:
            where: its pin or its id.
            before: what was told of it the last time, for one map that is read again and again.

        Raises:
            GoneError: it is not there.
            FormatError: it is no CT map.
        """
        opened = BpfMap.from_id(where) if isinstance(where, int) else BpfMap.open(Path(where))
        with opened as live:
            reading = self.reading()
            if before is None:
                return self._read(live, reading)
            return self._resting.read(live, reading, before, lambda: self._read(live, reading))

    def _read(self, live: BpfMap, reading: Reading) -> CtTable:
        [raw] = settled([live.read_conntrack(reading)], guessed=self._take_guess)
        return raw.table()

    def headcount(self, where: PurePath | int) -> Headcount:
        """Which keys a table has; a batch of entries at a time is in memory.

        Raises:
            GoneError: it is not there.
            BpfError: the walk failed.
        """
        from ctconsole.model.ct.turnover import Headcount

        opened = BpfMap.from_id(where) if isinstance(where, int) else BpfMap.open(Path(where))
        with opened as live:
            keys = (keys for keys, _ in live.read_chunks())
            return Headcount.of_keys(live.info, time.time(), keys)

    def events(self, since_id: int, limit: int) -> Sequence[tuple[int, Event]]:
        """The newest events of the history, oldest first; none while there is no file."""
        path = self._history_path
        if path is None or not path.exists():
            return ()
        if self._history is None:
            self._history = History(path, create=False)
        return self._history.read(since_id, limit, newest=True)

    def usage(self) -> Sequence[MapUsage]:
        """See `map_usage`."""
        return map_usage(self._root, self._history_path, inventory=self._inventory)

    def calls(self) -> Sequence[CallArray]:
        """See `tail_calls`."""
        return tail_calls(self._root, history=self._history_path, inventory=self._inventory)

    def agent(self) -> AgentCard | None:
        """See `AgentMeter`."""
        facts = self.facts()
        self._card = card = self._agent.look(facts)
        known = facts.own.pid if facts is not None and facts.own is not None else 0
        if facts is not None and facts.agent is None and card is not None and card.pid != known:
            # What is told of the node is to name the same agent.
            self._look_again()
        return card

    def facts_known(self) -> tuple[KnownFact, ...]:
        """See `facts_told`."""
        return facts_told(self.facts())

    def runs(self, *, wanted: bool) -> RunsSeen:
        """See `RunMeter`."""
        return self._runs.look(wanted=wanted)

    def fills(self) -> Mapping[str, Trend]:
        """What the history has counted in the last day."""
        path = self._history_path
        if path is None or not path.exists():
            return {}
        if self._history is None:
            self._history = History(path, create=False)
        return self._history.fills(time.time() - _PAST)

    def reading(self) -> Reading:
        """How entries are to be read, as far as it is known by now.

        The first table waits a moment for the agent's answer, the later ones never.
        """
        self._facts.start()
        if not self._waited:
            self._waited = True
            self._facts.wait(_FIRST_ANSWER)
        found = self._facts.reading
        return replace(found, layout=self._layout or found.layout or self._guessed)

    def facts(self) -> NodeFacts | None:
        """What is known of the node by now. Answers at once."""
        self._facts.start()
        return self._facts.latest

    def close(self) -> None:
        """Close what asks the kernel, and the history."""
        self._facts.stop()
        self._runs.close()
        self._resting.close()
        if self._counter is not None:
            self._counter.close()
            self._counter = None
        if self._history is not None:
            self._history.close()
            self._history = None

    def _take_guess(self, guess: Guess) -> None:
        """What is certain need not be guessed again."""
        if guess.certain:
            self._guessed = guess.layout

    def _counts(self, infos: Iterable[MapInfo]) -> dict[int, Count]:
        if not self._counter_tried:
            self._counter_tried = True
            self._counter = open_counter()
        infos = list(infos)
        counts = count_maps(infos, self._counter, walk=False)
        present = {info.id for info in infos}
        self._walked = {key: kept for key, kept in self._walked.items() if key in present}
        for info in infos:
            if info.id not in counts and _walkable(info):
                count = self._walk(info)
                if count is not None:
                    counts[info.id] = count
        return counts

    def _walk(self, info: MapInfo) -> Count | None:
        """Count by walking, or take the count of a walk that is not long ago."""
        kept = self._walked.get(info.id)
        started = time.monotonic()
        if kept is not None and started < kept[1]:
            return kept[0]
        count = count_maps([info], None).get(info.id)
        if count is not None:
            ended = time.monotonic()
            due = ended + max(_WALK_LEAST, _WALK_REST * (ended - started))
            self._walked[info.id] = (count, due)
        return count


def _up(started: float) -> str:
    return duration(max(0.0, time.time() - started))


def _walkable(info: MapInfo) -> bool:
    if info.type in _ASKED_BY_SLOT:
        return info.max_entries <= _MOST_SLOTS
    return info.type.is_hash or info.type is MapType.LPM_TRIE
