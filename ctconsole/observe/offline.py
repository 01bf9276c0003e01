"""Maps out of files: dumps, bugtool folders, sysdumps; no kernel and no privileges needed.

What is recognised, by name in folders and archives and by content in all: ``bpftool map dump``
(JSON and plain, of per-CPU maps too), the text of ``cilium bpf ct list``, which is used for the
maps of which there is no dump, and what the agent told of itself. Maps of several nodes keep
their folder in their pin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.errors import FormatError
from ctconsole.model.catalogue import CATALOGUE, classify
from ctconsole.model.ct.layout import VALUE_SIZE
from ctconsole.model.raw import Raw
from ctconsole.model.readers.ct_text import looks_like_ct_text, read_ct_text
from ctconsole.model.readers.dump import is_decoded, is_missing, map_name_of, read_dump, tool_error
from ctconsole.model.readers.dump_percpu import LARGEST_FILE, is_per_cpu, read_per_cpu
from ctconsole.model.records import data as record_data
from ctconsole.model.records.table import is_known
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.archive import Walker, taken
from ctconsole.observe.offline_nodes import (
    RUNTIME_CONFIG,
    NodeFiles,
    Nodes,
    folder_of,
    is_debuginfo,
    is_show,
)
from ctconsole.observe.source import is_conntrack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout
    from ctconsole.observe.archive import Member

_HEAD: Final = 1 << 16
LARGEST_ANSWER: Final = 1 << 26
"""Bytes of what an agent or bpftool tells in one file: ten thousand endpoints are 40 MB."""

_DUMP_NAME: Final = re.compile(
    r"(?:^|[/-])cilium_[A-Za-z0-9_]+(?:\.bpftool)?(?:\.json|\.md|\.txt|\.dump)?$"
)
_TEXT_NAME: Final = re.compile(r"bpf-ct-list[^/]*$|(?:^|/)ct-list\.txt$")


@dataclass(frozen=True)
class Offline:
    """All that was found.

    Attributes:
        maps: the maps, in the order of their files; ids count from 1. When they were written is
            in `timed`.
        problems: files that could not be read to the end, one sentence each.
        nodes: what else is known of the nodes, by the folders of their files.
    """

    maps: tuple[Raw, ...]
    problems: tuple[str, ...]
    nodes: Mapping[str, NodeFiles] = field(default_factory=lambda: MappingProxyType({}))

    def node_of(self, one: Raw) -> NodeFiles:
        """What is known of the node a map belongs to."""
        return self.nodes.get(one.node, NodeFiles())

    def timed(self, one: Raw, now: int = 0, taken_at: float = 0.0) -> Raw:
        """A map with the moment at which it was written (see `NodeFiles.at`)."""
        return replace(one, at=self.node_of(one).at(now, taken_at))

    def without(self, sought: str, paths: Iterable[Path]) -> FormatError:
        """The error for files that hold nothing of what is sought, with what went wrong in them.

        Args:
            sought: as in "There is no dump of {sought} in cilium-sysdump.zip".
            paths: what was read.
        """
        named = ", ".join(path.name or str(path) for path in paths)
        return FormatError(". ".join((f"There is no dump of {sought} in {named}", *self.problems)))

    @property
    def layout(self) -> Layout | None:
        """The layout of all nodes, where they are alike and their files tell."""
        told = {self.node_of(one).layout for one in self.maps}
        return told.pop() if len(told) == 1 else None


def is_interesting(name: str) -> bool:
    """Whether a file found in a folder or archive may hold a map, by its path."""
    if _TEXT_NAME.search(name) or is_debuginfo(name) or is_show(name):
        return True
    if not _DUMP_NAME.search(name):
        return False
    label = map_name_of(name.rsplit("/", 1)[-1])
    return classify(label) is not None or is_known(label)


def read_offline(paths: Iterable[Path]) -> Offline:
    """Read files, folders and archives.

    Raises:
        UsageError: a path cannot be read at all.
    """
    walker = Walker(is_interesting)
    nodes = Nodes()
    found: list[Raw] = []
    for path in paths:
        for member in walker.members(path):
            found += _read(member, nodes)
    kept = _best(found, {str(path) for path in paths})
    for one in kept:
        if one.info.label == RUNTIME_CONFIG:
            nodes.runtime_config(one.node, one.keys, one.values)
    numbered = (
        replace(
            one,
            info=replace(nodes.of(one.node).described(one.info), id=number),
            layout=one.layout or nodes.of(one.node).layout if is_conntrack(one.info) else None,
        )
        for number, one in enumerate(kept, start=1)
    )
    return Offline(tuple(numbered), (*walker.problems, *nodes.problems), nodes.found)


def _best(found: Iterable[Raw], named: Collection[str]) -> list[Raw]:
    """Of each node's map the best that was read, and every dump that was asked for by name."""
    groups: dict[tuple[str, str], list[Raw]] = {}
    for one in found:
        groups.setdefault((one.node, one.info.label), []).append(one)
    kept = []
    for group in groups.values():
        best = max(group, key=_rank)
        kept += [
            one
            for one in group
            if one is best or (one.file in named and not (one.from_text or best.from_text))
        ]
    return kept


def _rank(one: Raw) -> tuple[bool, int, bool]:
    """Sound ones first, of these dumps; of damaged ones what has most entries."""
    sound = not one.problem
    return sound, 0 if sound else len(one.keys), not one.from_text


def _read(member: Member, nodes: Nodes) -> Iterator[Raw]:
    """The maps in one file; what else it tells goes to ``nodes``."""
    head, blocks = _peek(member.blocks)
    error = tool_error(head)
    node = str(folder_of(member.name))
    if is_debuginfo(member.name):
        nodes.debuginfo(node, _whole(member.name, blocks, LARGEST_ANSWER, nodes), member.name)
    elif is_show(member.name):
        nodes.show(node, _whole(member.name, blocks, LARGEST_ANSWER, nodes))
    elif looks_like_ct_text(head):
        for one in _text(member.name, blocks, nodes):
            nodes.text(one.node, one.layout)
            yield one
    elif error is not None:
        if not is_missing(error):
            nodes.problems.append(f"{member.name} holds an error instead of entries: {error}")
    elif is_decoded(head):
        nodes.problems.append(
            f"{member.name} holds fields instead of bytes, as bpftool prints a map with BTF: dump "
            "it with bpftool -j"
        )
    elif is_per_cpu(head):
        yield _per_cpu(member.name, _whole(member.name, blocks, LARGEST_FILE, nodes))
    elif not _TEXT_NAME.search(member.name):
        yield _dump(member.name, blocks)


def _peek(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning of a file, and the whole file again."""
    taken: list[bytes] = []
    size = 0
    for block in blocks:
        taken.append(block)
        size += len(block)
        if size >= _HEAD:
            break
    return b"".join(taken)[:_HEAD], chain(taken, blocks)


def _text(name: str, blocks: Iterator[bytes], nodes: Nodes) -> Iterator[Raw]:
    found = read_ct_text(blocks, name)
    problem = ""
    if found.damage:
        first, more = found.damage[0], len(found.damage) - 1
        also = f", and {more} more such lines" if more else ""
        problem = f"{name} is damaged at byte {first.offset}: {first.reason}{also}"
    if problem and not found.maps:
        nodes.problems.append(problem)
    for label, (keys, values) in found.maps.items():
        info = _info(name, label, keys.shape[1], VALUE_SIZE)
        yield Raw(
            info,
            keys,
            values,
            problem=problem,
            layout=found.layout,
            file=name,
            from_text=True,
        )
        problem = ""


def _whole(name: str, blocks: Iterator[bytes], limit: int, nodes: Nodes) -> bytes:
    """A file's bytes up to a limit; that there are more is a problem."""
    text, more = taken(blocks, limit)
    if more:
        nodes.problems.append(f"{name} has more than {limit} bytes; no more were read")
    return text


def _per_cpu(name: str, text: bytes) -> Raw:
    dump = read_per_cpu(text, name)
    error = dump.error()
    info = _info(name, dump.map_name, dump.keys.shape[1], dump.values.shape[-1])
    return Raw(info, dump.keys, dump.values, problem=str(error) if error else "", file=name)


def _dump(name: str, blocks: Iterator[bytes]) -> Raw:
    dump = read_dump(blocks, name)
    keys, values = dump.keys, dump.values
    if not len(keys):
        key, value = _sizes(dump.map_name)
        keys, values = keys.reshape(0, key), values.reshape(0, value)
    error = dump.error()
    info = _info(name, dump.map_name, keys.shape[1], values.shape[1])
    return Raw(info, keys, values, problem=str(error) if error else "", file=name)


def _sizes(label: str) -> tuple[int, int]:
    """The sizes of a map whose dump has no entries, as far as its name tells."""
    entry = classify(label)
    if entry is not None and entry.key_size and entry.value_size:
        return entry.key_size, entry.value_size
    for spec in record_data.RECORDS:
        if re.fullmatch(spec.names, label):
            return spec.key.itemsize, spec.value.itemsize
    return (38 if "6" in label else 14), VALUE_SIZE


def _info(path: str, label: str, key_size: int, value_size: int) -> MapInfo:
    """What the name and the sizes tell; the type from the catalogue, where it has one entry."""
    types = {entry.type for entry in CATALOGUE if entry is classify(label)}
    return MapInfo(
        id=0,
        name=map_name_of(label)[:15],
        type=types.pop() if types else MapType.UNSPEC,
        key_size=key_size,
        value_size=value_size,
        max_entries=0,
        pin=folder_of(path) / label,
    )
