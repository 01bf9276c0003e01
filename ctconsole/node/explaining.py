"""Gathers what is at hand to answer an operator's questions: of this node, or out of files."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.model.event import EventKind
from ctconsole.model.explain.facts import ContentTally, Known, TableKnown
from ctconsole.model.explain.log import LogFacts
from ctconsole.model.explain.texts import TextFacts, read_text
from ctconsole.model.whose import NOBODY
from ctconsole.node.advising import advise_node, advise_raws
from ctconsole.node.entries import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.names import Names
    from ctconsole.model.whose import Whose
    from ctconsole.node.advising import Advised
    from ctconsole.node.entries import Part
    from ctconsole.observe.discovery import NodeFacts
    from ctconsole.observe.offline import Offline

_TOLD: Final = (EventKind.MAP_MISMATCH, EventKind.AGENT_OPTION, EventKind.GC_PASS)
_EVENTS: Final = 5000
_HEAD: Final = 1 << 14
_ENTRIES: Final = (b" expires=", b"SERVICE ADDRESS", b"ENDPOINT  ", b"IP PREFIX/ADDRESS")
"""One of these stands in every listing of entries, which may begin anywhere in a text."""

_FIRST_DROP: Final = 130
"""``DropMin``: reasons below it are no drops."""

_FORWARDED: Final = frozenset({"Success", "Interface"})
"""Reasons of the list that are no drops."""

_TOP: Final = 3
"""How many of those who fill a table are named."""


def known_of_node(
    root: Path, tell: Callable[[str], None], *, state_dir: Path | None = None, over: float = 0.0
) -> Known:
    """What is at hand of this node.

    Args:
        root: the bpffs.
        tell: takes why something could not be read.
        state_dir: of the agent of ours whose history counts; None finds it.
        over: seconds between two looks at the tables; 0 looks once.

    Raises:
        GoneError: nothing is pinned there.
    """
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.node.names import names_of_node
    from ctconsole.node.owner import agent_of, discover_node
    from ctconsole.paths import GLOBALS

    settings = agent_of(root / GLOBALS / "any", state_dir)
    folder = state_dir or (settings.state_dir if settings else default_state_dir())
    facts = discover_node(root)
    contents = _contents(decoded((), 0, None, root, tell))
    tables = [
        table_known(one, contents.get(("", one.advice.watched.info.label)))
        for one in advise_node(root, state_dir=state_dir, over=over)
    ]
    names, warnings = names_of_node(root)
    for warning in warnings:
        tell(f"ctconsole: {warning}")
    history = StateDir(folder).history
    log = _history(history)
    options = facts.options
    accounting = {"true": True, "false": False}.get(options.get("bpf-conntrack-accounting", ""))
    known = Known(
        live=True,
        tables=tuple(tables),
        version=facts.version.value if facts.version else "",
        clock=facts.clock.value,
        clock_origin=facts.clock.origin,
        accounting=accounting,
        log=log,
        gc_interval=log.gc_interval if log else None,
        gc_last=log.gc_last if log else 0.0,
        gc_deleted=log.gc_deleted if log else None,
        drops=_drops(root, facts),
        sources=(f"the maps below {root}", *([f"the history {history}"] if log else [])),
        now=time.time(),
        older=_older(root, history),
    )
    return named(known, names, {})


def known_of_files(
    paths: Sequence[Path], tell: Callable[[str], None], *, now: int = 0, memory: int = 0
) -> Known:
    """What is at hand in files: maps, and texts beside them.

    Args:
        paths: files, folders and archives.
        tell: takes what could not be read.
        now: the node's CLOCK_MONOTONIC in seconds; 0 takes what the files tell.
        memory: bytes of the node; 0 takes what its agent's log tells.

    Raises:
        UsageError: a path cannot be read.
        FormatError: there is nothing in the files that answers anything.
    """
    from ctconsole.node.names import names_of_files
    from ctconsole.observe.offline import read_offline

    texts, sources, others = _texts(paths)
    log = texts.log
    offline = read_offline(others)
    printed = _printed_drops(offline)
    if others and not offline.maps and not sources and not printed:
        raise offline.without("a map", paths)
    for problem in offline.problems:
        tell(f"ctconsole: {problem}")
    maps = [
        replace(one, info=replace(one.info, max_entries=texts.size_of(one.node, one.info.label)))
        if not one.info.max_entries
        else one
        for one in offline.maps
    ]
    ratio = log.ratio if texts.ratio is None and log else texts.ratio
    contents: dict[tuple[str, str], ContentTally] = {}
    if any(one.is_conntrack for one in maps):
        contents = _contents(decoded(others, now, None, Path(), tell))
    tables = []
    several = len({one.node for one in maps}) > 1
    told = log.memory_of if log and several else None
    memory = memory or (log.memory if log and not several else 0)
    for one in advise_raws(offline, maps, now=now, memory=memory, memory_told=told, ratio=ratio):
        key = one.node, one.advice.watched.info.label
        tables.append(table_known(one, contents.get(key)))
    nodes = list(offline.nodes.values())
    clocks = (texts.clock, *(one.told.clock or one.text.clock for one in nodes))
    clock = next((one for one in clocks if one), None)
    known = Known(
        live=False,
        tables=tuple(tables),
        version=texts.release
        or (log.release if log else "")
        or _first(one.told.version or one.text.version for one in nodes),
        clock=clock,
        clock_origin="what the agent tells in the files" if clock else "",
        log=log,
        gc_interval=log.gc_interval if log else None,
        gc_last=log.gc_last if log else 0.0,
        gc_deleted=log.gc_deleted if log else None,
        drops=texts.drops or printed,
        pressure=texts.pressure,
        sizes=next(iter(texts.sizes.values())) if len(texts.sizes) == 1 else {},
        ratio=ratio,
        sources=(
            *sources,
            *(f"{one.file}: {one.info.label}" for one in maps),
            *(f"{one.source}: {one.title}" for one in offline.printed if not texts.drops),
        ),
    )
    whose = {one.whose.name: one.whose for one in maps}
    return named(known, names_of_files(others)[0] if others else None, whose)


def _older(root: Path, history: Path) -> Mapping[str, str]:
    """Which tables' older generation is in use, by the table's name; none where nobody can tell."""
    from ctconsole.observe.usage import in_use, older_in_use

    try:
        return {one.path.name: in_use(one) for one in older_in_use(root, lambda: history)}
    except CtconsoleError:
        return {}


def _printed_drops(offline: Offline) -> Mapping[tuple[str, str], int]:
    """Packets dropped, by reason, of a list that stands in a file behind others."""
    from ctconsole.model.records.spec import RecordKind

    rows = [row for one in offline.printed if one.kind is RecordKind.METRICS for row in one.rows]
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        key = str(row["reason"]), str(row.get("error") or "")
        packets = row.get("packets", 1)
        if key[0] not in _FORWARDED and isinstance(packets, int):
            found[key] = found.get(key, 0) + packets
    return found


def _first(found: Iterable[str | None]) -> str:
    return next((one for one in found if one), "")


def _contents(parts: Iterator[Part]) -> dict[tuple[str, str], ContentTally]:
    """Each conntrack table counted, by what its node is called and its name."""
    found: dict[tuple[str, str], ContentTally] = {}
    for table, _, _ in parts:
        key = table.whose.name, table.info.label
        found.setdefault(key, ContentTally()).add(table)
    return found


def table_known(one: Advised, tally: ContentTally | None) -> TableKnown:
    """A table with what was counted in it; nothing of one that was not read."""
    watched = one.advice.watched
    found = TableKnown(one.node, watched.info, watched.entries, one.advice, one.sizing)
    if tally is None:
        return found
    return replace(found, content=tally.content(), tops=tally.tops(_TOP), ports=tally.ports(_TOP))


def named(known: Known, names: Names | None, whose: Mapping[str, Whose]) -> Known:
    """With the names of those who fill the tables, as their node calls them."""
    if names is None:
        return known
    tables = [_with_names(one, names.of(whose.get(one.node, NOBODY))) for one in known.tables]
    return replace(known, tables=tuple(tables))


def _with_names(table: TableKnown, names: Names) -> TableKnown:
    tops = table.tops
    if tops is None:
        return table
    found = {top.address: names.top(top) for top in (*tops.sources, *tops.destinations)}
    found |= {top.address: names.top(top) for top in tops.services}
    services = {top.rev_nat_index: names.service(top.rev_nat_index) for top in tops.services}
    return replace(
        table,
        names=MappingProxyType({address: name for address, name in found.items() if name}),
        services=MappingProxyType({number: name for number, name in services.items() if name}),
    )


def _history(file: Path) -> LogFacts | None:
    """What our history tells of re-creations and the collector; None where there is none."""
    from ctconsole.history import History

    if not file.exists():
        return None
    facts = LogFacts()
    try:
        with History(file, create=False) as history:
            facts.take_all(
                event for _, event in history.read(limit=_EVENTS, kinds=_TOLD, newest=True)
            )
    except CtconsoleError:
        # A damaged history is told by whoever lists events; here it is none.
        return None
    return facts


def _drops(root: Path, facts: NodeFacts) -> Mapping[tuple[str, str], int]:
    """Packets dropped since the map was made, by reason; no error stands in the counters."""
    from ctconsole.model.packets.reasons import reason_name
    from ctconsole.model.records.spec import RecordKind
    from ctconsole.model.records.table import RecordTable
    from ctconsole.node.records import decoded as decode
    from ctconsole.node.records import from_pins

    layout: Layout | None = facts.layout.value if facts.layout else None
    found: dict[tuple[str, str], int] = {}
    try:
        for raw in from_pins(root, [RecordKind.METRICS]):
            table = decode(raw, layout)
            if not isinstance(table, RecordTable):
                continue
            for reason, number in zip(table.keys["reason"], table.values["count"], strict=True):
                if reason >= _FIRST_DROP:
                    key = reason_name(int(reason), layout), ""
                    found[key] = found.get(key, 0) + int(number)
    except CtconsoleError:
        return {}
    return found


def _texts(paths: Sequence[Path]) -> tuple[TextFacts, list[str], list[Path]]:
    """What texts tell, what they are, and the paths that are something else or more."""
    from ctconsole.model.readers.carried import with_metrics
    from ctconsole.model.readers.lines import plain
    from ctconsole.observe.archive import Walker
    from ctconsole.observe.forms import holds_entries
    from ctconsole.observe.gathered import FoundFile
    from ctconsole.observe.offline_nodes import folder_of, writer_of

    facts, sources, others = TextFacts(), [], []
    for path in paths:
        only_text = True
        for member in Walker(lambda _: True).members(path):
            blocks = with_metrics(plain(member.blocks))
            head = b""
            for block in blocks:
                head += block
                if len(head) >= _HEAD:
                    break
            facts.place = str(folder_of(member.name))
            facts.writer = writer_of(member.name)
            entries: list[bytes] = []
            found = read_text(_watched(chain([head], blocks), entries), facts)
            if found:
                sources.append(f"{member.name}: {', '.join(found)}")
            begins = FoundFile(member.name, head[:_HEAD], iter(()))
            only_text &= bool(found) and not entries and not holds_entries(begins)
        if not only_text:
            others.append(path)
    return facts, sources, others


def _watched(blocks: Iterable[bytes], entries: list[bytes]) -> Iterator[bytes]:
    """The same blocks; what entries have in them is taken down where it is seen."""
    for block in blocks:
        if not entries:
            entries += [mark for mark in _ENTRIES if mark in block]
        yield block
