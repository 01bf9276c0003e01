"""What is known of each table's fill, past and room, and how the node's agent sizes it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.model.advice import Advice, Watched, advise
from ctconsole.model.catalogue import Group, classify, is_called
from ctconsole.model.ct.layout import lifetimes
from ctconsole.model.ct.reading import Reading
from ctconsole.model.sizing import (
    DEFAULT_RATIO,
    RATIO,
    SHARES,
    Sizing,
    SizingRule,
    SizingTold,
    told,
)
from ctconsole.model.spec import MapType
from ctconsole.observe.source import is_conntrack
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from ctconsole.manager.resize.plan import ResizePlan
    from ctconsole.model.ct.changes import Changes, KeyedTable
    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.fill import Trend
    from ctconsole.model.raw import Raw
    from ctconsole.model.spec import MapInfo
    from ctconsole.model.whose import Whose
    from ctconsole.observe.discovery import NodeFacts
    from ctconsole.observe.offline import Offline

PAST: Final = 7 * 86_400.0
"""Seconds of history that are looked at."""

NEARLY_FULL: Final = 0.9
"""From here on a table is read whole, twice, to see what it throws out."""

_HALF: Final = 0.5

_OWN: Final = "ctconsole's own agent sizes by its options alone"

_PER_CPU: Final = "cilium_events"
"""A map with a place for each possible CPU, by which files tell their number."""

_GROUPS: Final = frozenset({Group.CONNTRACK, Group.NAT})


@dataclass(frozen=True, slots=True)
class Advised:
    """The advice for one table.

    Attributes:
        node: what to call the node, where it is one of several; empty on a live one.
        advice: what size it should have.
        sizing: what Cilium's rule makes of it; None for a table the rule does not size.
    """

    node: str
    advice: Advice
    sizing: SizingTold | None


def advise_node(
    root: Path, names: Sequence[str] = (), *, state_dir: Path | None = None, over: float = 0.0
) -> list[Advised]:
    """Advice for the tables of this node.

    Args:
        root: the bpffs.
        names: which maps; none stands for all whose size somebody chooses, and every other one
            that is more than half full.
        state_dir: whose history has counts; None takes that of the agent of ours which looks
            after the maps, else the one that consoles write.
        over: seconds between two looks at the tables; 0 looks once.

    Raises:
        GoneError: the bpffs is not there.
        UsageError: no map of a name is there.
        CtconsoleError: the history is damaged.
    """
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.kernel.bpffs import pinned_maps
    from ctconsole.kernel.cpus import possible_cpus
    from ctconsole.kernel.memory import free_memory
    from ctconsole.node.owner import agent_of, discover_node

    facts = discover_node(root)
    clock = facts.clock.value
    infos = [one for one in pinned_maps(root, lambda _: None).values() if _asked(one, names)]
    settings = agent_of(root / GLOBALS / "any", state_dir)
    folder = state_dir or (settings.state_dir if settings else default_state_dir())
    past = fills_of(StateDir(folder).history)
    counts = [_count(infos)]
    full = [one for one in infos if over and _is_nearly_full(one, counts[0])]
    before = {one.id: _keyed(one, clock) for one in full}
    if over:
        time.sleep(over)
        counts.append(_count(infos))
    changes = {one.id: _changes(before[one.id], one, clock) for one in full}
    sizing, free = sizing_of(facts, own=settings is not None), free_memory().free
    found = []
    for info in infos:
        trend = *past.get(str(info.pin), ()), *(one[info.id] for one in counts if info.id in one)
        if not trend or (not names and not worth_telling(info, trend)):
            continue
        came, evicted = _rates(changes.get(info.id))
        expired = _expired(info, clock)
        watched = Watched(info, trend, possible_cpus(), expired, came, evicted, free)
        found.append(Advised("", advise(watched), told(sizing, info)))
    return in_order(found, names)


def advise_files(
    paths: Sequence[Path], names: Sequence[str] = (), *, now: int = 0, memory: int = 0
) -> list[Advised]:
    """Advice for the tables of the nodes in files.

    Args:
        paths: files, folders and archives.
        names: see `advise_node`.
        now: the node's CLOCK_MONOTONIC in seconds; 0 takes what the files tell.
        memory: bytes of each node; 0 where the operator does not say.

    Raises:
        UsageError: a path cannot be read, or no map of a name is in the files.
        FormatError: there is no map in the files.
    """
    from ctconsole.observe.offline import read_offline

    offline = read_offline(paths)
    if not offline.maps:
        raise offline.without("a map", paths)
    return advise_raws(offline, offline.maps, names, now=now, memory=memory)


def advise_raws(
    offline: Offline,
    maps: Sequence[Raw],
    names: Sequence[str] = (),
    *,
    now: int = 0,
    memory: int = 0,
    memory_told: Callable[[Whose], int] | None = None,
    ratio: float | None = None,
) -> list[Advised]:
    """Advice for maps out of files.

    Args:
        offline: all that the files hold.
        maps: the maps.
        names: see `advise_node`.
        now: see `advise_files`.
        memory: likewise.
        memory_told: tells the memory of a node, 0 where it does not.
        ratio: the share of it that sizes follow, where something else than the agent's debugging
            information tells.

    Raises:
        UsageError: no map of a name is there.
    """
    found = []
    for one in maps:
        trend: Trend = ((0.0, len(one.keys)),)
        if not _asked(one.info, names) or (not names and not worth_telling(one.info, trend)):
            continue
        node = offline.node_of(one)
        cpus = next((shown.max_entries for shown in node.shown if shown.name == _PER_CPU), 0)
        expired = _expired_in(offline.timed(one, now))
        watched = Watched(one.info, trend, cpus, expired)
        ratio_told = node.told.ratio if ratio is None else ratio
        known = memory or (memory_told(one.whose) if memory_told else 0) or node.memory
        sizing = sizing_of_files(ratio_told, known)
        found.append(Advised(one.whose.name, advise(watched), told(sizing, one.info)))
    return in_order(found, names)


def sizing_of(facts: NodeFacts, *, own: bool) -> Sizing:
    """How the agent of a live node sizes its tables, as far as that is known.

    Args:
        facts: what is known of the node.
        own: whether an agent of ours looks after the maps.
    """
    from ctconsole.kernel.cpus import possible_cpus
    from ctconsole.kernel.procs import memory

    rule = SizingRule(memory().total)
    agent = facts.agent
    if own:
        return Sizing(rule, assumed=True, unknown=_OWN)
    if agent is None:
        return Sizing(rule, assumed=True, unknown="no agent runs that could tell its ratio")
    ratio = _number(facts.options.get(RATIO, ""))
    if ratio is None:
        return Sizing(rule, assumed=True, unknown=f"the agent does not tell its {RATIO}")
    if not agent.flags.keys() - {"config-dir"}:
        return Sizing(unknown="the agent's arguments and its config folder cannot be read")
    given = {
        option: int(size)
        for option in SHARES
        if (size := agent.flags.get(option, "")).isdigit() and int(size)
    }
    distributed = facts.options.get("bpf-distributed-lru") == "true"
    cpus = possible_cpus() if distributed else 1
    return Sizing(replace(rule, ratio=ratio, given=MappingProxyType(given), cpus=cpus))


def sizing_of_files(ratio: float | None, memory: int) -> Sizing:
    """The same of a node in files; which sizes somebody set is not in them."""
    if not memory:
        return Sizing(unknown="the files do not tell the node's memory; --memory does")
    if ratio is None:
        unknown = "the files do not tell the agent's ratio"
        return Sizing(SizingRule(memory, DEFAULT_RATIO), assumed=True, unknown=unknown)
    unknown = "whether somebody set the sizes is not in the files"
    return Sizing(SizingRule(memory, ratio), assumed=True, unknown=unknown)


def with_advice(plan: ResizePlan, state_dir: Path | None) -> ResizePlan:
    """A plan with the size that its first map should have, which is not looked at again.

    Args:
        plan: what was planned.
        state_dir: of the agent of ours that looks after the map; None where there is none.
    """
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.kernel.cpus import possible_cpus

    one = plan.maps[0]
    try:
        past = fills_of(StateDir(state_dir or default_state_dir()).history, one.path)
    except CtconsoleError:
        # A plan is no place to complain of a damaged history: events and map advise do.
        past = {}
    trend = *past.get(str(one.path), ()), (time.time(), one.entries)
    found = advise(Watched(one.info, trend, possible_cpus(), memory_free=plan.memory_free))
    return replace(plan, advice=found.line)


def fills_of(history: Path, pin: Path | None = None) -> Mapping[str, Trend]:
    """What is kept of the last days, by pin; nothing where there is no history.

    Args:
        history: the file.
        pin: of the only map that is asked for; None asks for all.

    Raises:
        CtconsoleError: it is damaged.
    """
    from ctconsole.history import History

    if not history.exists():
        return {}
    with History(history, create=False) as kept:
        return kept.fills(time.time() - PAST, str(pin or ""))


def _asked(info: MapInfo, names: Sequence[str]) -> bool:
    countable = info.type.is_hash or info.type is MapType.LPM_TRIE or info.type is MapType.UNSPEC
    return countable and (not names or any(is_called(info.label, name) for name in names))


def worth_telling(info: MapInfo, trend: Trend) -> bool:
    """Whether a table that nobody named is told of."""
    entry = classify(info.label, info)
    chosen = entry is not None and entry.group in _GROUPS
    return chosen or bool(info.max_entries and trend[-1][1] >= _HALF * info.max_entries)


def _count(infos: Sequence[MapInfo]) -> dict[int, tuple[float, int]]:
    from ctconsole.kernel.counts import count_maps, open_counter

    counter = open_counter()
    try:
        counts = count_maps(infos, counter)
    finally:
        if counter is not None:
            counter.close()
    return {number: (one.taken_at, one.entries) for number, one in counts.items()}


def _is_nearly_full(info: MapInfo, counts: Mapping[int, tuple[float, int]]) -> bool:
    return (
        is_conntrack(info)
        and info.id in counts
        and counts[info.id][1] >= NEARLY_FULL * info.max_entries
    )


def _keyed(info: MapInfo, clock: ClockSource) -> KeyedTable:
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.ct.changes import KeyedTable

    with BpfMap.from_id(info.id) as live:
        return KeyedTable(live.read_conntrack(Reading(clock=clock)).table())


def _changes(before: KeyedTable, info: MapInfo, clock: ClockSource) -> Changes | None:
    from ctconsole.model.ct.changes import changes_between

    try:
        return changes_between(before, _keyed(info, clock))
    except CtconsoleError:
        # Re-created meanwhile: there is nothing to compare with.
        return None


def _rates(changes: Changes | None) -> tuple[float | None, float | None]:
    """Entries that came and that were evicted each second."""
    if changes is None:
        return None, None
    evicted = None if changes.evicted is None else changes.evicted / changes.seconds
    return changes.new_rate, evicted


def _expired(info: MapInfo, clock: ClockSource) -> int | None:
    """Entries of a live table whose time is over; None for one without lifetimes."""
    from ctconsole.kernel.clock import ct_now
    from ctconsole.kernel.maps import BpfMap

    if not is_conntrack(info):
        return None
    now, found = ct_now(clock), 0
    try:
        with BpfMap.from_id(info.id) as live:
            for _, values in live.read_chunks():
                found += int(np.count_nonzero(lifetimes(values) <= now))
    except CtconsoleError:
        return None
    return found


def _expired_in(one: Raw) -> int | None:
    if not is_conntrack(one.info) or not one.at.stamp:
        return None
    return int(np.count_nonzero(lifetimes(one.values) <= one.at.stamp))


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found <= 1 else None


def in_order(found: Iterable[Advised], names: Sequence[str]) -> list[Advised]:
    """The fullest first, node by node.

    Raises:
        UsageError: a table that was named is not among them.
    """
    ordered = sorted(found, key=lambda one: (one.node, -one.advice.fill))
    told_of = {one.advice.watched.info.label for one in ordered}
    if missing := [name for name in names if not any(is_called(one, name) for one in told_of)]:
        raise UsageError(
            f"There is no map {', '.join(missing)} whose entries can be counted",
            hint="See ctconsole map list",
        )
    return ordered
