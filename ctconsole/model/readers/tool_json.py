"""Lists that Cilium's tool prints as JSON, read into the rows that their text has.

Most of its lists are one object whose members are the lines of the text: what stands in the first
column, and a list of what stands in the second. Policies and metrics are lists of objects.

Sources: ``pkg/command/output.go``, ``cilium-dbg/cmd/bpf_{policy_get,metrics_list}.go`` and what the
tools of 1.9 to 1.20 printed.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ctconsole.model.ct.layout import Layout
from ctconsole.model.packets.reasons import direction_name, reason_name
from ctconsole.model.readers import documents
from ctconsole.model.readers.lines import (
    LONGEST_TOLD,
    Gap,
    Sort,
    Told,
    ToldLines,
    lines,
    sort_of,
    whose_section,
)
from ctconsole.model.readers.policy_items import ENVELOPE, endpoint_of, policy_json_row
from ctconsole.model.readers.printed import MOST_ROWS, Printed
from ctconsole.model.readers.printed_lists import LISTS, PrintedList
from ctconsole.model.records.spec import RecordKind
from ctconsole.model.whose import NOBODY, Named, Whose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ctconsole.model.readers.documents import Item
    from ctconsole.model.readers.lines import Line
    from ctconsole.model.readers.printed_rows import Row

_TEXT: Final = r'"((?:[^"\\\n]|\\.)*+)"'
_MEMBER: Final = re.compile(
    rf"[\s,{{}}]*+{_TEXT}\s*+:\s*+\[((?:\s*+,?\s*+\"(?:[^\"\\\n]|\\.)*+\")*+)\s*+\]"
)
_ONE: Final = re.compile(_TEXT)
_BETWEEN: Final = re.compile(r"(?:[\s,{}]|\[\s*+\])*+")
_OPENED: Final = re.compile(rf"^\s*+\{{\s*+{_TEXT}\s*+:\s*+\[\s*+\"", re.MULTILINE)
_FIRST: Final = re.compile(rf"{_TEXT}\s*+:\s*+\[\s*+{_TEXT}")
_FEW: Final = 3
"""Members of which one must be a row: the others may be damaged."""

_LARGEST_MEMBER: Final = 1 << 16
"""Characters within which a member must end: a service has a few thousand backends."""

_TUNNEL: Final = re.compile(r"\S+:0 {3}\S+:0")
_SERVICE: Final = re.compile(r"\(\d{1,5}\)|backend \d{1,10} not found")
_COUNTED: Final = re.compile(r"reason:(\d{1,3}) dir:(\d{1,3}) {3}count:(\d{1,20}) bytes:(\d{1,20})")
_METRICS: Final = re.compile(
    r'\{\s*"reason"\s*:\s*(?:"(?:[^"\\]|\\.){0,200}"\s*,\s*"direction"\s*:'
    r'|\d{1,3}\s*,\s*"description"\s*:)'
)


class PairList(NamedTuple):
    """How a list of two columns is told and read.

    Attributes:
        of: the list of the text.
        row: the row of a line that has both columns with three blanks between.
    """

    of: PrintedList
    row: Callable[[str], Row | None]


def _counted(text: str) -> Row | None:
    """Packets of one reason, as 1.9 prints keys and values."""
    found = _COUNTED.fullmatch(text)
    if found is None:
        return None
    return {
        "reason": reason_name(int(found[1]), Layout.V1_9),
        "direction": direction_name(int(found[2])).lower(),
        "packets": int(found[3]),
        "bytes": int(found[4]),
    }


def _pairs(one: PrintedList) -> PairList | None:
    """How a list of the text stands in JSON; None where it has more columns than two."""
    if one.kind is RecordKind.METRICS:
        return PairList(one, _counted) if one.heading else None
    if one.kind in {RecordKind.NAT, RecordKind.POLICY}:
        return None

    def row(text: str) -> Row | None:
        if one.kind is RecordKind.SERVICE and not _SERVICE.search(text.partition("   ")[2]):
            return None
        return one.row(text.rstrip(), None)

    return PairList(one, row)


PAIRS: Final = tuple(found for one in LISTS if (found := _pairs(one)) is not None)
"""Every list that is one object."""


def _line(name: str, value: str) -> str:
    return f"{_string(name)}   {_string(value)}"


def _string(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def _first(head: str) -> Iterator[str]:
    """The first lines of an object of lists of texts."""
    opened = _OPENED.search(head)
    if opened is not None:
        for found in islice(_FIRST.finditer(head, opened.start()), _FEW):
            yield _line(found[1], found[2])


def is_pairs(head: str, pairs: PairList) -> bool:
    """Whether a text begins as this list; a line of another tool may stand above."""
    return any(pairs.row(text) is not None for text in _first(head))


def is_tunnels(head: str) -> bool:
    """Whether a text is the list of tunnels, whose lines look like those of others."""
    return any(_TUNNEL.fullmatch(text.rstrip()) for text in _first(head))


def is_metrics(head: str) -> bool:
    """Whether a text is the list of packets by reason as 1.10 and later print it."""
    return _METRICS.search(head) is not None


@dataclass
class _Gathered:
    """What comes out of a text.

    Attributes:
        of: the list.
        rows: by node.
        told: lines that are no rows.
    """

    of: PrintedList
    rows: dict[Whose, list[Row]] = field(default_factory=dict)
    told: ToldLines = field(default_factory=ToldLines)
    whose: Whose = NOBODY
    count: int = 0

    def take(self, row: Row) -> None:
        """Take a row."""
        self.count += 1
        self.rows.setdefault(self.whose, []).append(row)

    def tell(self, told: Told, named: Named) -> None:
        """Take a line that is no row; it may name the node of those that follow."""
        self.told.take(told)
        self.whose = named.one(self.told.whose)

    def finish(self, source: str) -> list[Printed]:
        """The lists; the first one has the lines that are no rows."""
        one = self.of
        lists = [
            Printed(source, one.kind, f"{one.title} (JSON)", one.columns, tuple(found), whose=whose)
            for whose, found in (self.rows or {NOBODY: []}).items()
        ]
        lists[0] = replace(lists[0], told=tuple(self.told.first), untold=self.told.more)
        return lists


def read_pairs(blocks: Iterable[bytes], pairs: PairList, source: str) -> list[Printed]:
    """Read a list of two columns: one for each node that the text names.

    Args:
        blocks: the text's bytes in order.
        pairs: which list it is.
        source: the file's path, for messages.
    """
    found, named = _Gathered(pairs.of), Named()
    for one in _members(blocks):
        if isinstance(one, Told):
            found.tell(one, named)
            continue
        for value in one.values:
            text = _line(one.name, value)
            row = pairs.row(text) if found.count < MOST_ROWS else None
            if row is None:
                found.tell(_no_row(one, text), named)
            else:
                found.take(row)
    return found.finish(source)


class _Member(NamedTuple):
    """A member of an object: where it stands, its name and its list, escaped as they stand."""

    number: int
    offset: int
    name: str
    values: tuple[str, ...]


def _no_row(one: _Member, text: str) -> Told:
    reason = "a member that is no row of its list"
    return Told(one.number, one.offset, Sort.DAMAGE, text[:LONGEST_TOLD], reason)


def _members(blocks: Iterable[bytes]) -> Iterator[_Member | Told]:
    """The members of objects of lists of texts, and the lines between that are none."""
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    text, number, offset = "", 1, 0
    for block in chain(blocks, [b""]):
        text += utf8.decode(block, final=not block)
        position = 0
        while True:
            found = _MEMBER.match(text, position)
            start = found.start(1) - 1 if found else _after(text, position)
            number += text.count("\n", position, start)
            if found:
                values = tuple(one[1] for one in _ONE.finditer(found[2]))
                yield _Member(number, offset + start, found[1], values)
                end = found.end()
            elif start >= len(text) or (block and len(text) - start < _LARGEST_MEMBER):
                position = start
                break
            else:
                end = text.find("\n", start)
                end = len(text) if end < 0 else end
                yield _told(number, offset + start, text[start:end].strip())
            number += text.count("\n", start, end)
            position = end
        text, offset = text[position:], offset + position
        if isinstance(block, Gap):
            # A gap is empty, so that what stood before it has been read to its end.
            number, offset = number + block.lines, offset + block.size
            if block.named:
                yield documents.named_by(block)


def _after(text: str, position: int) -> int:
    """Where what stands between members ends."""
    between = _BETWEEN.match(text, position)
    return between.end() if between else position


def _told(number: int, offset: int, line: str) -> Told:
    broken = line[:1] in {'"', "[", "]", ":"}
    sort = Sort.DAMAGE if broken else sort_of(line)
    return Told(number, offset, sort, line[:LONGEST_TOLD], "no JSON" if broken else "")


_YAML_NAME: Final = re.compile(r"(?P<name>\S.{0,400}):\s*")
_YAML_FIRST: Final = re.compile(
    r"^(?P<name>\S[^\n]{0,400}):[ \t\r]*\n- (?P<value>[^\n]*)", re.MULTILINE
)


def is_yaml_pairs(head: str, pairs: PairList) -> bool:
    """Whether a text begins as this list in YAML."""
    return any(
        pairs.row(f"{_unquoted(found['name'])}   {_unquoted(found['value'])}") is not None
        for found in islice(_YAML_FIRST.finditer(head), _FEW)
    )


def read_yaml_pairs(blocks: Iterable[bytes], pairs: PairList, source: str) -> list[Printed]:
    """Read a list of two columns in YAML; a long value goes on in the lines below it."""
    found, named = _Gathered(pairs.of), Named()
    name = ""
    value: list[Line] = []

    def take() -> None:
        if value:
            first = value[0]
            text = " ".join([first.text[2:].strip(), *(line.text.strip() for line in value[1:])])
            row = pairs.row(f"{name}   {_unquoted(text)}") if found.count < MOST_ROWS else None
            if row is None:
                for line in value:
                    reason = "a member that is no row of its list"
                    shown = line.text[:LONGEST_TOLD]
                    found.tell(Told(line.number, line.offset, Sort.DAMAGE, shown, reason), named)
            else:
                found.take(row)
        value.clear()

    for line in lines(blocks):
        if value and line.text.startswith("  "):
            value.append(line)
            continue
        take()
        if line.text.startswith("- ") and name:
            value.append(line)
        elif (key := _YAML_NAME.fullmatch(line.text)) and not whose_section(line.text):
            name = _unquoted(key["name"])
        elif line.text.strip() not in {"", "---", "{}"}:
            shown = line.text[:LONGEST_TOLD]
            found.tell(Told(line.number, line.offset, sort_of(line.text), shown), named)
    take()
    return found.finish(source)


def _unquoted(text: str) -> str:
    text = text.strip()
    if text[:1] == text[-1:] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    return _string(text[1:-1]) if text[:1] == text[-1:] == '"' and len(text) > 1 else text


def read_metrics(blocks: Iterable[bytes], source: str) -> list[Printed]:
    """Read the list of packets by reason."""
    return _read_items(documents.stream(blocks), _metrics_list(), _metric_rows, source)


def read_policies(blocks: Iterable[bytes], source: str) -> list[Printed]:
    """Read what is allowed to endpoints; every entry is of the endpoint named above it."""
    one = next(one for one in LISTS if one.kind is RecordKind.POLICY)
    endpoint = ""

    def rows(item: Item) -> list[Row]:
        nonlocal endpoint
        if "Content" not in item and (named := endpoint_of(item)):
            endpoint = named
            return []
        return [policy_json_row(item, endpoint)]

    return _read_items(documents.stream(blocks, ENVELOPE), one, rows, source)


def _metrics_list() -> PrintedList:
    return next(one for one in LISTS if one.kind is RecordKind.METRICS and one.heading)


def _metric_rows(item: Item) -> list[Row]:
    """The rows of an object: one, or up to 1.14 one for each direction.

    Raises:
        ValueError: it is none; so too KeyError, TypeError, AttributeError.
    """
    if "values" not in item:
        line = item.get("line")
        return [
            {
                "reason": str(item["reason"]),
                "direction": str(item["direction"]),
                "packets": int(item["packets"]),
                "bytes": int(item["bytes"]),
                "line": None if line is None else int(line),
                "file": None if item.get("file") is None else str(item["file"]),
            }
        ]
    return [
        {
            "reason": str(item["description"]),
            "direction": str(direction),
            "packets": int(counts["packets"]),
            "bytes": int(counts["bytes"]),
        }
        for direction, counts in item["values"].items()
    ]


def _read_items(
    items: Iterable[Item | Told],
    one: PrintedList,
    rows: Callable[[Item], list[Row]],
    source: str,
) -> list[Printed]:
    """Read objects; what has not the members of a row is told."""
    found, named = _Gathered(one), Named()
    for item in items:
        if isinstance(item, Told):
            found.tell(item, named)
            continue
        try:
            taken = rows(item) if found.count < MOST_ROWS else None
        except (ValueError, KeyError, TypeError, AttributeError):
            taken = None
        if taken is None:
            text = json.dumps(item)[:LONGEST_TOLD]
            found.tell(Told(0, 0, Sort.DAMAGE, text, "an object that is no row"), named)
            continue
        for row in taken:
            found.take(row)
    return found.finish(source)
