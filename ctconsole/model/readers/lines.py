"""Text as people hand it over: its encoding, colours, and what other tools put before a line.

``grep`` names file and line, ``kubectl`` pod and time, a container's log its stream, a mail quotes.
A prefix is taken off, and where it tells whose line it is, that is kept.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from enum import Enum
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from ctconsole.model.whose import NOBODY, Whose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST_LINE: Final = 4096
"""Bytes; what is longer comes in pieces."""

MOST_TOLD: Final = 1000
"""Lines of a file that are remembered word by word; the others are counted."""

LONGEST_TOLD: Final = 240
"""Characters of a line that is told."""

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SURE: Final = 8
_ESCAPE: Final = re.compile(
    rb"\x1b(?:\[[0-9;:?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)"
    rb"|[@-Z\\^_=>()][0B]?)"
)
_LONGEST_ESCAPE: Final = 256


def plain(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """A file's text as UTF-8 without a mark of its encoding and without colours.

    Args:
        blocks: its bytes in order, in pieces of any size.
    """
    blocks = iter(blocks)
    first = b""
    for block in blocks:
        first += block
        if len(first) >= _SURE:
            break
    return _uncoloured(_utf8(first, blocks))


def _utf8(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    codec = _codec(first)
    if codec is None:
        return chain([first], blocks)
    decoder = codecs.getincrementaldecoder(codec)("replace")
    return (decoder.decode(block).encode() for block in chain([first], blocks))


def _codec(first: bytes) -> str | None:
    """How the text is encoded; None for bytes that can be read as they are."""
    for mark, codec in _BOMS:
        if first.startswith(mark):
            return codec
    even, odd = first[:64:2], first[1:64:2]
    if len(first) >= _SURE and not any(odd) and all(even):
        return "utf-16-le"
    if len(first) >= _SURE and not any(even) and all(odd):
        return "utf-16-be"
    return None


def _uncoloured(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Without the sequences that colour a terminal."""
    kept = b""
    for block in blocks:
        if b"\x1b" not in block and not kept:
            yield block
            continue
        text = kept + block
        at = text.rfind(b"\x1b")
        # The last sequence may go on in the next block.
        kept = text[at:] if at >= 0 and len(text) - at < _LONGEST_ESCAPE else b""
        yield _ESCAPE.sub(b"", text[: len(text) - len(kept)])
    if kept:
        yield _ESCAPE.sub(b"", kept)


class Line(NamedTuple):
    """One line of a file.

    Attributes:
        number: counted from 1; pieces of an overlong line share it. 0: see `lines`.
        offset: bytes from the start of the text.
        text: without its end.
        ended: whether it has an end, which the last one of a cut file has not.
    """

    number: int
    offset: int
    text: str
    ended: bool


class Gap(bytes):
    """Stands in a text for lines that are read by somebody else; empty.

    Attributes:
        lines: how many there are; they end before the next line begins.
        size: their bytes.
        named: the last line of the text before that says whose lines follow, or nothing.
    """

    lines: int
    size: int
    named: str

    def __new__(cls, lines: int, size: int, named: str = "") -> Self:
        """A gap."""
        made = super().__new__(cls)
        made.lines, made.size, made.named = lines, size, named
        return made


class Cutter:
    """Cuts blocks of a text into lines; overlong ones into pieces."""

    def __init__(self) -> None:
        self._number, self._offset, self._rest = 1, 0, b""

    @property
    def at_start(self) -> bool:
        """Whether the next block begins with a line."""
        return not self._rest

    def feed(self, block: bytes) -> Iterator[Line]:
        """The lines that end in the next block; to be taken to the end."""
        *whole, self._rest = (self._rest + block).split(b"\n")
        for line in whole:
            yield Line(self._number, self._offset, _text(line), ended=True)
            self._number += 1
            self._offset += len(line) + 1
        while len(self._rest) > LONGEST_LINE:
            piece, self._rest = self._rest[:LONGEST_LINE], self._rest[LONGEST_LINE:]
            yield Line(self._number, self._offset, _text(piece), ended=True)
            self._offset += LONGEST_LINE

    def gap(self, gap: Gap) -> Iterator[Line]:
        """Pass over a gap; what names the node of the lines behind it comes as a line."""
        self._number += gap.lines
        self._offset += gap.size
        if gap.named:
            yield Line(0, self._offset, gap.named, ended=True)

    def skip(self, block: bytes, lines: int) -> None:
        """Pass over a block of so many whole lines, where a line begins."""
        self._number += lines
        self._offset += len(block)

    def finish(self) -> Iterator[Line]:
        """What stands behind the last end of a line."""
        if self._rest:
            yield Line(self._number, self._offset, _text(self._rest), ended=False)


def lines(blocks: Iterable[bytes]) -> Iterator[Line]:
    """The lines of a text; overlong ones in pieces.

    Behind a `Gap` comes what names the node of the lines that follow, with the number 0: it is
    a line of the gap, and told there.
    """
    cutter = Cutter()
    for block in blocks:
        yield from cutter.gap(block) if isinstance(block, Gap) else cutter.feed(block)
    yield from cutter.finish()


def bundles(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks that end with a line where they can, of ``size`` bytes or less.

    A line that is longer than that is handed over as it comes, and so is a `Gap`.
    """
    rest = b""
    for block in blocks:
        if isinstance(block, Gap):
            if rest:
                yield rest
            rest = b""
            yield block
            continue
        rest += block
        start = 0
        while len(rest) - start > size:
            end = rest.rfind(b"\n", start, start + size) + 1 or start + size
            yield rest[start:end]
            start = end
        rest = rest[start:]
    if rest:
        yield rest


def line_starts(block: bytes, patterns: Iterable[re.Pattern[bytes]]) -> set[int]:
    """Where lines of a block begin in which one of some patterns is."""
    return {
        block.rfind(b"\n", 0, found.start()) + 1
        for pattern in patterns
        for found in pattern.finditer(block)
    }


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\r").decode("utf-8", "replace")


class Sort(Enum):
    """What a line is that is no entry."""

    FRAME = "what stands around a listing: fences, headings, comments"
    NOTICE = "what another tool said, a prompt, a remark"
    FAILURE = "that the tool failed"
    DAMAGE = "an entry that cannot be read"


@dataclass(frozen=True, slots=True)
class Told:
    """A line that is no entry.

    Attributes:
        number: of the line.
        offset: of its first byte.
        sort: what it is.
        text: the line, its first `LONGEST_TOLD` characters.
        reason: why it cannot be read, as half a sentence; empty where nobody would expect it.
    """

    number: int
    offset: int
    sort: Sort
    text: str
    reason: str = ""

    @property
    def is_told_elsewhere(self) -> bool:
        """Whether it is a line of a `Gap`, and only names the node of what follows."""
        return self.number == 0 and self.sort is Sort.NOTICE


class ToldLines:
    """Lines that are no entries, as a reader comes upon them.

    Attributes:
        first: the first `MOST_TOLD`.
        more: how many there are behind them.
        whose: of whom the last one that told it says the entries are that follow.
    """

    def __init__(self) -> None:
        self.first: list[Told] = []
        self.more = 0
        self.whose = NOBODY

    def take(self, told: Told) -> None:
        """Take one; of a `Gap` only whose entries follow, since it is told where it is read."""
        self.whose = whose_section(told.text) or self.whose
        if told.is_told_elsewhere:
            return
        if len(self.first) < MOST_TOLD:
            self.first.append(told)
        else:
            self.more += 1


_FRAME: Final = re.compile(r"\s*(?:`{3}.*|~{3,}|#+(?: .*)?|</?[a-z]+[^<>]*>.*)$")
_FAILURE: Final = re.compile(
    r"(?:^|[\s>])(?:[Ee]rror(?: |: )|ERROR|FATA|ERRO|panic: |fatal error: |level=(?:error|fatal)|"
    r"command terminated with |exec timeout|signal: |Failed to |failed to |[Cc]annot |"
    r"bash: |sh: |OCI runtime )|connection refused|[Nn]o such file or directory"
)
_SKIPPED: Final = re.compile(r"\s*Unable to open ")
"""1.9's tool says so of every map that the node does not have, and goes on."""


def sort_of(text: str) -> Sort:
    """What a line is that has nothing of an entry."""
    if _FRAME.match(text):
        return Sort.FRAME
    if _FAILURE.search(text) and not _SKIPPED.match(text):
        return Sort.FAILURE
    return Sort.NOTICE


_POD: Final = r"cilium-[bcdf-hj-np-tv-xz2-9]{5}(?![\w-])"
"""A pod of the agent's daemon set: five of the letters that Kubernetes draws from."""

_ARCHIVE: Final = re.compile(r"cilium-bugtool-(.{1,120}?)-\d{8}-\d{6}")
_IN_PREFIX: Final = re.compile(
    rf"\[pod/(?P<kubectl>[\w.-]+)/|cilium-bugtool-(?P<archive>.+?)-\d{{8}}-\d{{6}}"
    rf"|(?<![\w-])(?P<pod>{_POD})"
)
_HOST: Final = re.compile(r"\[?([A-Za-z][\w.-]{0,120})\]?(?: \|)?:?\s*$")
_PATH: Final = re.compile(
    r"(?P<path>[^\s:][^:]{0,400}?)"
    r"(?:(?::\d+)?[:-]|(?:(?<=\.[a-z]{2})|(?<=\.[a-z]{3})|(?<=\.[a-z]{4}))-\d{1,9}-)\s*$"
)
_SECTIONS: Final = (
    re.compile(r"pod[ /](?P<pod>[\w.-]+).{0,20}\bon node (?P<node>[\w.-]+)"),
    re.compile(r"\bon node (?P<node>[\w.-]+)"),
    re.compile(r"^\s*==> (?P<node>.{1,400}) <==\s*$"),
    re.compile(r"^(?P<node>[\w.-]{1,253}) \| (?:CHANGED|SUCCESS|FAILED|UNREACHABLE!?) \|.*>>\s*$"),
    re.compile(r"^\[\d{1,6}\] [\d:]{8} \[(?:SUCCESS|FAILURE)\] (?:\w+@)?(?P<node>[\w.-]{1,253})\b"),
    re.compile(rf"\bkubectl\b.*\bexec\b.*[ /](?P<pod>{_POD})"),
    re.compile(r"^[\s#=*-]*(?i:node|host|hostname)[:=]? ?(?P<node>[A-Za-z][\w.-]*)[\s#=*-]*$"),
    re.compile(rf"^[\s#=*-]*(?:(?i:pod)[:=/ ]+)?(?P<pod>{_POD})[\s#=*:-]*$"),
)


def whose_prefix(prefix: str) -> Whose:
    """Whose line it is, by what stands before it."""
    if found := _IN_PREFIX.search(prefix):
        return Whose(pod=found["kubectl"] or found["archive"] or found["pod"])
    if (found := _HOST.fullmatch(prefix)) and prefix.rstrip().endswith((":", "|", "]")):
        return Whose(found[1])
    if (found := _PATH.fullmatch(prefix)) and re.search(r"[A-Za-z/]", found["path"]):
        return Whose(found["path"])
    return NOBODY


def whose_section(text: str) -> Whose:
    """Whose lines follow, by a line that is no entry; nobody where it does not tell.

    Such lines are of ``tail``, kubectl, Ansible and parallel-ssh, or a person's own.
    """
    for pattern in _SECTIONS:
        if found := pattern.search(text):
            named = found.groupdict()
            return Whose(named.get("node") or "", named.get("pod") or "")
    return NOBODY


def whose_path(path: str) -> Whose:
    """Whose file it is, by its path: bugtool names the pod."""
    found = _ARCHIVE.search(path)
    return Whose(pod=found[1]) if found else NOBODY


def _prefix(number: str) -> re.Pattern[str]:
    """What may stand before a line, by what a line's number is there."""
    return re.compile(
        r"(?:> ?)+"
        r"|\[pod/[^\]\s]{1,200}\] "
        r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.:+-]{0,16}Z? (?:std(?:out|err) [FP] )?"
        r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,120} [^\s:]{1,120}: "
        rf"|[^\s:]{{0,400}}(?:/|\.(?:md|txt|log|out|json))[^\s:]{{0,400}}[:-](?:{number}[:-])?"
        rf"|{number}:"
        r"|[ \t]{0,8}\d{1,9}\t"
    )


_PREFIX: Final = _prefix(r"\d{1,9}")
_UNNUMBERED: Final = _prefix(r"(?:\d{5,9}|\d{1,4}(?!:[0-9a-fA-F]{0,4}:))")
"""The same where ``2001:db8::`` is an address and no line's number."""

_ENDS_IN_NUMBER: Final = re.compile(r"(?:^|[:-])\d{1,9}[:-]$")
_NUMBER: Final = re.compile(rb"(?:[^\s:]{0,400}[/.][^\s:]{0,400}[:-])?(\d{1,9})[:-]")
_MOST_PREFIXES: Final = 4


def are_numbered(block: bytes) -> bool:
    """Whether all lines of a text, of which there are some, have their number before them."""
    found = [_NUMBER.match(line) for line in block.splitlines() if line.strip()]
    numbers = [int(one[1]) for one in found if one is not None]
    climbing = all(before < after for before, after in pairwise(numbers))
    return climbing and len(numbers) == len(found) > 1


def unprefixed(text: str, *, numbered: bool = True) -> str:
    """A line without what grep, kubectl, a container's log, a journal or a mail put before it.

    Indentation is kept; quotes around the whole line are taken off.

    Args:
        text: the line.
        numbered: whether a number that may as well begin an IPv6 address is the line's.
    """
    prefix = _PREFIX if numbered else _UNNUMBERED
    for _ in range(_MOST_PREFIXES):
        found = prefix.match(text)
        if not found:
            break
        text = text[found.end() :]
        if _ENDS_IN_NUMBER.search(found[0]):
            # A line has one number; what looks like another one is an address.
            prefix = _UNNUMBERED
    return unquoted(text)


_QUOTED: Final = re.compile(r"""\s*(["'])(?P<inside>.*?)(?:\\n)?\1,?\s*$""")


def unquoted(text: str) -> str:
    """A line without the quotes around it."""
    found = _QUOTED.match(text)
    return found["inside"] if found else text
