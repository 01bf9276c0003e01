"""Maps out of files: dumps, bugtool folders, sysdumps; no kernel and no privileges needed.

What can be read is the table of `forms`. Of a node's map that is there in several forms the best
is taken: a text is used for the maps of which there is no sound dump. Maps of several nodes keep
their folder in their pin.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.errors import FormatError
from ctconsole.model.ct.layout import REPORTS
from ctconsole.model.readers.carried import uncarried
from ctconsole.model.readers.lines import plain, whose_path
from ctconsole.model.whose import NOBODY, Whose
from ctconsole.observe import forms, stdin
from ctconsole.observe.archive import Walker
from ctconsole.observe.gathered import FoundFile, Gathered
from ctconsole.observe.offline_nodes import RUNTIME_CONFIG, NodeFiles, folder_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.raw import Raw
    from ctconsole.model.readers.printed import Printed
    from ctconsole.observe.gathered import FileForm
    from ctconsole.observe.offline_nodes import Nodes

_HEAD: Final = 1 << 16


@dataclass(frozen=True)
class Offline:
    """All that was found.

    Attributes:
        maps: the maps, in the order of their files; ids count from 1. When they were written is
            in `timed`.
        problems: files that could not be read to the end, one sentence each.
        nodes: what else is known of the nodes, by the folders of their files.
        notes: what is to be said though nothing is wrong: lines that are no entries.
        others: the form of every file that has one.
        printed: lists of other maps that the tool printed as text.
    """

    maps: tuple[Raw, ...]
    problems: tuple[str, ...]
    nodes: Mapping[str, NodeFiles] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    others: tuple[tuple[str, FileForm], ...] = ()
    printed: tuple[Printed, ...] = ()

    def node_of(self, one: Raw) -> NodeFiles:
        """What is known of the node a map belongs to."""
        found = self.nodes.get(one.node)
        return found or self.nodes.get(str(PurePath(one.node).parent), NodeFiles())

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
        said = [f"There is no dump of {sought} in {named}", *self.problems]
        kinds = {form.name: form for _, form in self.others if form.verb}
        for form in kinds.values():
            [file, *more] = [file for file, other in self.others if other is form]
            also = f" and {len(more)} more" if more else ""
            said.append(f"{file}{also} holds {form.name}: use ctconsole {form.verb}")
        said += [
            f"{one.file} holds an empty list, which does not say of which map"
            for one in self.maps
            if not len(one.keys) and not one.problem and not forms.is_interesting(one.file)
        ]
        said += [
            f"{file} holds {form.name}, which only helps to read maps"
            for file, form in self.others
            if form.beside
        ]
        return FormatError(". ".join(said))

    def left_out(self, verb: str, paths: Iterable[Path]) -> list[str]:
        """What files that were named hold, where a verb lists something else.

        Args:
            verb: as in ``ct list``.
            paths: what was named.
        """
        named = {stdin.NAME if stdin.is_meant(path) else str(path) for path in paths}
        return [
            f"{file} holds {form.name}, which is not listed here: use ctconsole {form.verb}"
            for file, form in self.others
            if file in named and form.verb not in {"", verb}
        ]

    @property
    def layout_origin(self) -> str:
        """How `layout` is known, and what of it is in doubt."""
        doubts = dict.fromkeys(node.layout_doubt for node in self.nodes.values())
        said = ("told by the text or the agent in the files", *doubts)
        return "; ".join(one for one in said if one)

    @property
    def layout(self) -> Layout | None:
        """The layout of all nodes, where they are alike and their files tell."""
        told = {self.node_of(one).layout for one in self.maps}
        return told.pop() if len(told) == 1 else None


def read_offline(paths: Iterable[Path]) -> Offline:
    """Read files, folders and archives.

    Raises:
        UsageError: a path cannot be read at all.
    """
    walker = Walker(lambda _: True)
    found = Gathered()
    named = {stdin.NAME if stdin.is_meant(path) else str(path) for path in paths}
    for path in paths:
        for member in walker.members(path):
            head, blocks = _peek(uncarried(plain(member.blocks)))
            forms.read(FoundFile(member.name, head, blocks, member.name in named), found)
    nodes = found.nodes
    kept = _best(found, named)
    for one in kept:
        if one.info.label == RUNTIME_CONFIG:
            nodes.runtime_config(one.node, one.keys, one.values)
    nodes.share_clusters({*(one.node for one in kept), *(_folder(one) for one in found.printed)})
    names = _names(kept, nodes)
    for node, whose in names.items():
        nodes.named(node, whose)
    for node, newest in _newest(kept).items():
        nodes.stamped(node, newest)
    numbered = (
        replace(
            one,
            info=replace(nodes.of(one.node).described(one.info), id=number),
            layout=one.layout or nodes.of(one.node).layout if one.is_conntrack else None,
            whose=names.get(one.node, NOBODY),
        )
        for number, one in enumerate(kept, start=1)
    )
    problems = (*walker.problems, *found.problems, *nodes.problems)
    return Offline(
        tuple(numbered),
        problems,
        nodes.found,
        tuple(found.notes),
        tuple(found.others),
        _owned(found),
    )


def _owned(found: Gathered) -> tuple[Printed, ...]:
    """The lists, each with its node where the text or the file's path tells."""
    return tuple(
        replace(one, whose=found.nodes.called(_folder(one), one.whose or whose_path(_folder(one))))
        for one in found.printed
    )


def _folder(one: Printed) -> str:
    return str(folder_of(one.source))


def _names(maps: Iterable[Raw], nodes: Nodes) -> dict[str, Whose]:
    """What the nodes are called, by their folders; one that is alone and unknown has no name."""
    known = {one.node: nodes.called(one.node, one.whose or whose_path(one.node)) for one in maps}
    if len(known) < 2 and not any(known.values()):  # noqa: PLR2004 - several nodes
        return {}
    return {node: whose or Whose(_called(node)) for node, whose in known.items()}


def _called(node: str) -> str:
    """A name for a node of which only the folder is known."""
    parts = [part for part in PurePath(node).parts if part not in {"cmd", "conf", "/"}]
    return parts[-1] if parts else node


def _newest(maps: Iterable[Raw]) -> dict[str, int]:
    """The newest stamp of the entries of each node: no moment of them lies before it."""
    newest: dict[str, int] = {}
    for one in maps:
        if one.is_conntrack and len(one.values):
            stamps = np.ascontiguousarray(one.values[:, REPORTS]).view("<u4")
            newest[one.node] = max(newest.get(one.node, 0), int(stamps.max()))
    return newest


def _best(found: Gathered, named: Collection[str]) -> list[Raw]:
    """Of each node's map the best that was read, and every file that was asked for by name.

    Files of one folder whose names differ are of several nodes or several moments, and kept.
    """
    groups: dict[tuple[str, str], list[Raw]] = {}
    for one in found.maps:
        groups.setdefault((one.node, one.info.label), []).append(one)
    kept = []
    unused: dict[str, int] = {}
    for group in groups.values():
        best = max(group, key=_rank)
        alike = [one for one in group if one.from_text == best.from_text]
        several = len({forms.stem(one) for one in alike}) > 1
        for one in group:
            if one.file != best.file and not (
                one.from_text == best.from_text and (several or one.file in named)
            ):
                unused[one.file] = unused.get(one.file, 0) + 1
            elif several:
                moved = forms.apart(one, forms.stem(one))
                if clock := found.clocks.get((one.file, one.node)):
                    found.nodes.printed(moved.node, clock)
                kept.append(moved)
            else:
                kept.append(one)
    for file in unused:
        found.notes.append(f"{file} is not taken: the dumps beside it hold the same")
    return kept


def _rank(one: Raw) -> tuple[bool, int, bool]:
    """Sound ones first, of these dumps; of damaged ones what has most entries."""
    sound = not one.problem
    return sound, 0 if sound else len(one.keys), not one.from_text


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
