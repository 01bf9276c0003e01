"""What comes out of files while they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ctconsole.model.readers.dump_forms import is_missing
from ctconsole.model.readers.lines import MOST_TOLD, Sort
from ctconsole.model.text.safe import cell
from ctconsole.model.whose import NOBODY
from ctconsole.observe.archive import taken
from ctconsole.observe.offline_nodes import Nodes, folder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import PurePath

    from ctconsole.model.raw import Raw
    from ctconsole.model.readers.lines import Told
    from ctconsole.model.readers.printed import Printed
    from ctconsole.model.readers.text_clock import TextClock
    from ctconsole.model.whose import Whose
    from ctconsole.observe.sections import Kind

LARGEST_ANSWER: Final = 1 << 26
"""Bytes of what an agent or bpftool tells in one file: ten thousand endpoints are 40 MB."""

_MOST_NAMED: Final = 20
"""Lines of a file inside a folder or archive that are shown; of one that was named, all."""


def place_of(path: str, whose: Whose | None) -> PurePath:
    """The folder that stands for the node: the file's, or one below it for each node in it."""
    folder = folder_of(path)
    return folder / whose.name.replace("/", "_") if whose else folder


@dataclass(frozen=True)
class FoundFile:
    """One file that is read.

    Attributes:
        name: its path; inside archives the archive's path, then the path in it.
        head: the beginning of its text.
        blocks: its text, to be read once.
        named: whether a person asked for this very file.
        whose: the node that its lines are of, where it is one of several in the file.
    """

    name: str
    head: bytes
    blocks: Iterator[bytes]
    named: bool = False
    whose: Whose = NOBODY

    @property
    def node(self) -> str:
        """The folder that stands for the node it is of."""
        return str(place_of(self.name, self.whose))


@dataclass
class Gathered:
    """What was found so far.

    Attributes:
        maps: entries, in the order of their files.
        nodes: what else is known of the nodes.
        problems: what could not be read, and what tools said of their own failures.
        notes: what else is to be said.
        others: the form of each file that has one.
        printed: lists of other maps that the tool printed as text.
        clocks: what the listings of each file tell of the clock, by file and node.
    """

    maps: list[Raw] = field(default_factory=list)
    nodes: Nodes = field(default_factory=Nodes)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: list[tuple[str, FileForm]] = field(default_factory=list)
    printed: list[Printed] = field(default_factory=list)
    clocks: dict[tuple[str, str], TextClock] = field(default_factory=dict)

    def whole(self, source: FoundFile, limit: int) -> bytes:
        """A file's text up to a limit; that there is more is a problem."""
        text, more = taken(source.blocks, limit)
        if more:
            self.problems.append(f"{source.name} has more than {limit} bytes; no more were read")
        return text

    def told(self, source: FoundFile, lines: Sequence[Told], untold: int = 0) -> str:
        """Take lines that are no entries, and return what is to be said of the damaged ones.

        Lines that nobody would read are notes. A frame of fences and headings is what every file
        of an archive has around its listing.
        """
        failures = [one for one in lines if one.sort is Sort.FAILURE]
        damage = [one for one in lines if one.sort is Sort.DAMAGE]
        notices = [
            one
            for one in lines
            if one.sort is Sort.NOTICE or (one.sort is Sort.FRAME and source.named)
        ]
        if notices:
            none = "no entry" if len(notices) == 1 else "no entries"
            self.notes.append(
                f"{source.name}: {_lines(len(notices))} {none}:{_shown(notices, source)}"
            )
        if failures:
            # A node need not have every map, and bugtool asks for all of them.
            usual = not source.named and all(_is_usual(one.text) for one in failures)
            (self.notes if usual else self.problems).append(
                f"{source.name}: the tool that wrote it failed:{_shown(failures, source)}"
            )
        if untold:
            self.problems.append(
                f"{source.name}: {untold} more lines are no entries; the first {MOST_TOLD} are told"
            )
        if not damage:
            return ""
        first = damage[0]
        return (
            f"{source.name} is damaged at byte {first.offset}: {first.reason}; "
            f"{_lines(len(damage))} not read:{_shown(damage, source)}"
        )


@dataclass(frozen=True, slots=True)
class FileForm:
    """One way in which a file may hold something of a node.

    Attributes:
        name: what it is, to follow "it holds".
        told: whether a file is of this form.
        read: takes what it holds; None where that is of no use, and only said.
        verb: the command that shows it.
        kind: how its lines are told from others of the same file; None where it is alone in one.
        beside: whether it only tells more of maps that stand elsewhere.
    """

    name: str
    told: Callable[[FoundFile], bool]
    read: Callable[[FoundFile, Gathered], None] | None
    verb: str = ""
    kind: Kind | None = None
    beside: bool = False


def _is_usual(text: str) -> bool:
    """Whether a failure says that there is no such map, or introduces one that does."""
    return is_missing(text) or text.startswith("> Error while running ")


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"


def _shown(lines: Sequence[Told], source: FoundFile) -> str:
    """Lines, one below the other, as they stand in the file."""
    most = len(lines) if source.named else _MOST_NAMED
    shown = "".join(f"\n  line {one.number}: {cell(one.text)}" for one in lines[:most])
    more = len(lines) - most
    return f"{shown}\n  and {more} more" if more > 0 else shown
