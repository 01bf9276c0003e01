"""JSON and YAML as tools print them: whole documents, streams of them, tables.

Of YAML only what Cilium's tool prints is read: mappings and lists by indentation, plain scalars.
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ctconsole.errors import FormatError
from ctconsole.model.readers.agentjson import MOST_MEMORY, memory_of
from ctconsole.model.readers.lines import LONGEST_TOLD, MOST_TOLD, Sort, Told, sort_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Item: TypeAlias = "dict[str, Any]"

_BLANK: Final = re.compile(r"[\s,\x1e]*")
_DEEPEST: Final = 3
_DEEPEST_YAML: Final = 20
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


def rows(text: bytes, where: str) -> list[Item]:
    """The rows of a CSV file, by the names in its first line.

    Raises:
        FormatError: it is none, or would take too much memory.
    """
    _check(text, where)
    try:
        return list(csv.DictReader(io.StringIO(text.decode("utf-8", "replace"))))
    except csv.Error as error:
        raise FormatError(f"{where} is no CSV that can be read: {error}") from error


def yaml_items(text: bytes, where: str) -> list[Item]:
    """The objects of a list in YAML.

    Raises:
        FormatError: it would take too much memory, or is nested too deep.
    """
    _check(text, where)
    if text.count(b"\n") * 200 > MOST_MEMORY:
        raise FormatError(f"{where} is not read: its lines may take too much memory")
    tokens = [
        token for line in text.decode("utf-8", "replace").split("\n") for token in _tokens(line)
    ]
    value, _ = _value(tokens, 0, -1, 0, where)
    return list(_objects(value, _DEEPEST))


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


def _value(tokens: list[_Part], at: int, parent: int, depth: int, where: str) -> tuple[Any, int]:
    """The value whose first token is here, and where the next one begins."""
    if depth > _DEEPEST_YAML:
        raise FormatError(f"{where} is nested too deep")
    if at >= len(tokens) or tokens[at][0] <= parent:
        return None, at
    indent, key, scalar = tokens[at]
    if key == "":
        return _scalar(scalar or ""), at + 1
    if key == "-":
        listed = []
        while at < len(tokens) and tokens[at][:2] == (indent, "-"):
            value, at = _value(tokens, at + 1, indent, depth + 1, where)
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
            mapped[key], at = _value(tokens, at, indent - dash, depth + 1, where)
    return mapped, at


def _scalar(text: str) -> object:
    text = text.strip()
    if re.fullmatch(r"-?\d{1,20}", text):
        return int(text)
    if text[:1] in {'"', "'"} and text[-1:] == text[:1]:
        return text[1:-1]
    return {"true": True, "false": False, "null": None, "[]": [], "{}": {}}.get(text, text)
