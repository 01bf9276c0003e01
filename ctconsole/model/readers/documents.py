"""JSON and YAML as tools print them: whole documents, streams of them, tables.

Of YAML only what Cilium's tool prints is read: mappings and lists by indentation, plain scalars.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ctconsole.errors import FormatError
from ctconsole.model.readers.agentjson import MOST_MEMORY, memory_of
from ctconsole.model.readers.lines import (
    LONGEST_TOLD,
    MOST_TOLD,
    Gap,
    Sort,
    Told,
    lines,
    sort_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Item: TypeAlias = "dict[str, Any]"

_BLANK: Final = re.compile(r"[\s,\x1e]*")
_DEEPEST: Final = 3
_DEEPEST_YAML: Final = 20
_MOST_LINES: Final = 1000
_YAML_LINE: Final = re.compile(
    r"(?P<indent> *)(?P<dashes>(?:- +)*)"
    r"(?:(?P<key>[A-Za-z_][\w.-]*):(?: (?P<value>.*))?|(?P<item>.+))?"
)


def items(text: bytes, where: str) -> tuple[list[Item], list[Told]]:
    """The objects of a document or of a stream of them, out of lists, too.

    Args:
        text: the whole file.
        where: its name, for messages.

    Returns:
        The objects, and the lines in between that are no JSON.

    Raises:
        FormatError: it would take too much memory.
    """
    _check(text, where)
    decoder = json.JSONDecoder()
    whole = text.decode("utf-8", "replace")
    found: list[Item] = []
    told: list[Told] = []
    position = 0
    while True:
        blank = _BLANK.match(whole, position)
        position = blank.end() if blank else position
        if position >= len(whole):
            return found, told
        try:
            value, position = decoder.raw_decode(whole, position)
        except (ValueError, RecursionError):
            end = whole.find("\n", position)
            end = len(whole) if end < 0 else end
            line = whole[position:end].strip()
            sort = Sort.DAMAGE if line[:1] in '{["' else sort_of(line)
            reason = "no JSON" if sort is Sort.DAMAGE else ""
            if len(told) < MOST_TOLD:
                number = 1 + whole.count("\n", 0, position)
                told.append(Told(number, position, sort, line[:LONGEST_TOLD], reason))
            position = end
            continue
        found += _objects(value, _DEEPEST)


def _objects(value: object, depth: int) -> Iterator[Item]:
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list) and depth:
        for one in value:
            yield from _objects(one, depth - 1)


def _check(text: bytes, where: str) -> None:
    cost = memory_of(text)
    if cost > MOST_MEMORY:
        raise FormatError(
            f"{where} is not read: its {len(text)} bytes may take {cost >> 20} MiB of memory"
        )


def stream(
    blocks: Iterable[bytes], envelope: re.Pattern[str] | None = None
) -> Iterator[Item | Told]:
    """The objects of lists or of streams of them, one by one, and the lines between that are none.

    Behind a `Gap` comes what names the node of the objects that follow.

    Args:
        blocks: the text's bytes in order.
        envelope: what stands before objects that lie in another one, which may be larger than an
            object that is read at once; what it names comes as an object of its own.
    """
    blank = _BETWEEN if envelope is None else _BETWEEN_ALL
    decoder = json.JSONDecoder()
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    text, position, number, offset = "", 0, 1, 0
    for block in chain(blocks, [b""]):
        more = utf8.decode(block, final=not block)
        number += text.count("\n", 0, position)
        offset += position
        text, position = text[position:] + more, 0
        while True:
            apart = blank.match(text, position)
            position = apart.end() if apart else position
            if position >= len(text):
                break
            opened = envelope.match(text, position) if envelope else None
            if opened is not None:
                yield opened.groupdict()
                position = opened.end()
                continue
            try:
                value, position = _object(decoder, text, position)
            except (ValueError, RecursionError):
                # What goes on for longer is not looked at again with every block.
                if block and len(text) - position < LARGEST_OBJECT:
                    break
                end = text.find("\n", position)
                end = len(text) if end < 0 else end
                line = text[position:end].strip()
                broken = _OF_JSON.match(line) is not None
                sort = Sort.DAMAGE if broken else sort_of(line)
                at = number + text.count("\n", 0, position)
                reason = "no JSON" if broken else ""
                yield Told(at, offset + position, sort, line[:LONGEST_TOLD], reason)
                position = end
                continue
            # An empty one is what the tool prints of no entries.
            if value:
                yield value
        if isinstance(block, Gap):
            # A gap is empty, so that what stood before it has been read to its end.
            number += text.count("\n") + block.lines
            offset += len(text) + block.size
            text, position = "", 0
            if block.named:
                yield named_by(block)


def named_by(gap: Gap) -> Told:
    """The line of a gap that says whose lines follow; it is told where the gap's lines are read."""
    return Told(0, 0, Sort.NOTICE, gap.named[:LONGEST_TOLD])


LARGEST_OBJECT: Final = 1 << 16
"""Characters within which an object must end."""

_BETWEEN: Final = re.compile(r"[\s,\[\]\x1e]*")
_BETWEEN_ALL: Final = re.compile(r"[\s,\[\]}\x1e]*")
_OF_JSON: Final = re.compile(r"[{}\"\d\]\[-]")


def _object(decoder: json.JSONDecoder, text: str, position: int) -> tuple[Item, int]:
    """The object here, and where it ends.

    Raises:
        ValueError: there is none, or not all of it.
    """
    if text[position] != "{":
        raise ValueError("no object")
    value, end = decoder.raw_decode(text, position)
    return value, end


def between(names: str) -> str:
    """What stands between the cells of a table in CSV, by the line of its names.

    A spreadsheet puts semicolons or tabs there where it writes numbers with commas.
    """
    return next((mark for mark in (";", "\t") if mark in names and "," not in names), ",")


def rows(blocks: Iterable[bytes]) -> Iterator[Item | Told]:
    """The rows of a CSV file, one by one, by the names in its first line."""
    texts = (line.text for line in lines(blocks) if line.text and line.number)
    first = next(texts, "")
    try:
        yield from csv.DictReader(chain([first], texts), delimiter=between(first))
    except csv.Error as error:
        yield Told(0, 0, Sort.DAMAGE, "", f"no CSV that can be read: {error}")


_YAML_ITEM: Final = re.compile(rb"^- +Key:[ \t]*\r?\n(?:(?!- )[^\n]*\n?){1,60}", re.MULTILINE)


def has_yaml_item(head: bytes, member: bytes) -> bool:
    """Whether a text has a list in YAML whose first entry has a member in its value."""
    found = _YAML_ITEM.search(head)
    return found is not None and member in found[0]


def yaml_stream(blocks: Iterable[bytes]) -> Iterator[Item | Told]:
    """The objects of a list in YAML, one by one."""
    begun: list[str] = []
    first = 1
    for line in chain(lines(blocks), [None]):
        if (line is None or line.text.startswith("- ")) and begun:
            tokens = [token for text in begun for token in _tokens(text)]
            try:
                yield from _objects(_value(tokens, 0, -1, 0)[0], _DEEPEST)
            except FormatError as error:
                yield Told(first, 0, Sort.DAMAGE, begun[0][:LONGEST_TOLD], str(error))
            begun = []
        if line is not None:
            if not begun:
                first = line.number
            if len(begun) < _MOST_LINES:
                begun.append(line.text)


_Part: TypeAlias = "tuple[int, str, str | None]"
"""Indentation; ``-`` or a key or empty for a scalar; the scalar, None where a block follows."""


def _tokens(line: str) -> Iterator[_Part]:
    if line.lstrip().startswith("#") or line.strip() in {"", "---", "..."}:
        return
    found = _YAML_LINE.fullmatch(line.rstrip())
    if found is None:
        return
    indent = len(found["indent"])
    for _ in range(found["dashes"].count("-")):
        yield indent, "-", None
        indent += 2
    if found["key"]:
        yield indent, found["key"], found["value"]
    elif found["item"]:
        yield indent, "", found["item"]


def _value(tokens: list[_Part], at: int, parent: int, depth: int) -> tuple[Any, int]:
    """The value whose first token is here, and where the next one begins."""
    if depth > _DEEPEST_YAML:
        raise FormatError("it is nested too deep")
    if at >= len(tokens) or tokens[at][0] <= parent:
        return None, at
    indent, key, scalar = tokens[at]
    if key == "":
        return _scalar(scalar or ""), at + 1
    if key == "-":
        listed = []
        while at < len(tokens) and tokens[at][:2] == (indent, "-"):
            value, at = _value(tokens, at + 1, indent, depth + 1)
            listed.append(value)
        return listed, at
    mapped: Item = {}
    while at < len(tokens) and tokens[at][0] == indent and tokens[at][1] not in {"", "-"}:
        _, key, scalar = tokens[at]
        at += 1
        if scalar is not None:
            mapped[key] = _scalar(scalar)
        else:
            # A list may stand as far left as its key.
            dash = at < len(tokens) and tokens[at][:2] == (indent, "-")
            mapped[key], at = _value(tokens, at, indent - dash, depth + 1)
    return mapped, at


def _scalar(text: str) -> object:
    text = text.strip()
    if re.fullmatch(r"-?\d{1,20}", text):
        return int(text)
    if text[:1] in {'"', "'"} and text[-1:] == text[:1]:
        return text[1:-1]
    return {"true": True, "false": False, "null": None, "[]": [], "{}": {}}.get(text, text)
