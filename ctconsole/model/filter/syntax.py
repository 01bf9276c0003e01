"""What a filter is made of: terms, joined and turned round; and how each is written.

A tree is a value: what `printed` writes of it `parse.parse` reads as the same tree again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.filter.names import SIGN

if TYPE_CHECKING:
    import numpy.typing as npt

    Bools: TypeAlias = npt.NDArray[np.bool_]


class Compare(StrEnum):
    """How a value is held against a field."""

    IS = "="
    LESS = "<"
    MORE = ">"
    AT_MOST = "<="
    AT_LEAST = ">="

    def holds(self, column: npt.NDArray[Any], number: float) -> Bools:
        """Where the column stands so to the number."""
        match self:
            case Compare.LESS:
                return np.asarray(column < number)
            case Compare.MORE:
                return np.asarray(column > number)
            case Compare.AT_MOST:
                return np.asarray(column <= number)
            case Compare.AT_LEAST:
                return np.asarray(column >= number)
            case _:
                return np.asarray(column == number)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the text of a filter.

    Attributes:
        at: where it begins, from 0 on.
        length: characters.
    """

    at: int
    length: int


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a field is held against.

    Attributes:
        text: what is meant, without quotes.
        quoted: whether it was quoted: then ``*`` and ``?`` stand for themselves.
        span: where it stands; two values are equal wherever they do.
    """

    text: str
    quoted: bool = False
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: any of the values.

    Attributes:
        name: the field's, as it is told to people; empty for a value that stands alone.
        compare: how the values are held against it.
        values: at least one.
        span: where it stands.
    """

    name: str
    compare: Compare
    values: tuple[Value, ...]
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class Every:
    """All of these must hold; of none everything does."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of these must hold."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Saved:
    """A filter that was saved under a name.

    Attributes:
        name: without its sign.
        part: what it says.
        text: how it says it.
        span: where it is named.
    """

    name: str
    part: Node
    text: str = field(default="", compare=False)
    span: Span = field(default=Span(0, 0), compare=False)


Node: TypeAlias = Term | Not | Every | Either | Saved

EVERYTHING: Final = Every(())
"""What an empty filter means."""

WORDS: Final = ("or", "and", "not")
"""Words of the language itself."""

QUOTES: Final = "\"'"
"""Around a value, blanks and signs stand for themselves."""

ENDS: Final = "()"
"""What ends a word, as a blank does."""

_IN_FIELD: Final = re.compile(r"""[^\s(),"'][^\s(),]*""")
_ALONE: Final = re.compile(r"""[^\s(),"'!@][^\s(),]*""")
"""Values that need no quotes, behind an operator and alone."""


def printed(node: Node, *, expanded: bool = False) -> str:
    """A filter as it is written.

    Args:
        node: what is meant.
        expanded: write what saved filters say in place of their names.
    """
    match node:
        case Term():
            operator = ":" if node.compare is Compare.IS else node.compare.value
            if not node.name:
                first = value_text(node.values[0], alone=True)
                return ",".join([first, *map(value_text, node.values[1:])])
            return f"{node.name}{operator}" + ",".join(map(value_text, node.values))
        case Not():
            return f"!{_grouped(node.part, Every, Either, expanded=expanded)}"
        case Every():
            return " ".join(_grouped(part, Every, Either, expanded=expanded) for part in node.parts)
        case Either():
            return " or ".join(_grouped(part, Either, expanded=expanded) for part in node.parts)
        case Saved():
            return printed(node.part, expanded=True) if expanded else f"{SIGN}{node.name}"


def _grouped(node: Node, *groups: type[Node], expanded: bool) -> str:
    """A part, in parentheses where it would be read as something else without them."""
    while expanded and isinstance(node, Saved):
        node = node.part
    text = printed(node, expanded=expanded)
    return f"({text})" if isinstance(node, groups) else text


def value_text(value: Value, *, alone: bool = False) -> str:
    """A value, quoted where it was, or where it would be read as something else.

    Args:
        value: of a term.
        alone: whether no field stands before it.
    """
    plain = _ALONE.fullmatch(value.text) if alone else _IN_FIELD.fullmatch(value.text)
    word = alone and value.text.lower() in WORDS
    if not value.quoted and (not value.text or (plain and not word)):
        return value.text
    escaped = value.text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
