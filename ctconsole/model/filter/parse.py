"""Reads a filter: text becomes a tree (`syntax`), and what cannot be read is pointed at.

::

    filter  = or
    or      = and {"or" and}
    and     = not {["and"] not}
    not     = ("!" | "not") not | "(" or ")" | "@" name | term
    term    = [field operator] value {"," value}
    value   = letters without blanks, commas and parentheses | "in quotes"

Operators are ``:`` and ``=`` (is), ``!=`` (is not), ``< > <= >=``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NoReturn

from ctconsole.errors import FilterError
from ctconsole.model.filter.names import SIGN
from ctconsole.model.filter.syntax import (
    ENDS,
    EVERYTHING,
    QUOTES,
    Compare,
    Either,
    Every,
    Not,
    Saved,
    Span,
    Term,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.model.filter.syntax import Node

FIELD: Final = re.compile(r"([A-Za-z][A-Za-z_-]*)(<=|>=|!=|[:=<>])")
"""The beginning of a term that names its field."""

DEEPEST: Final = 64
"""Parentheses, negations and saved filters within one another."""

_BLANK: Final = re.compile(r"\s*")
_UNQUOTED: Final = re.compile(rf"[^\s,{re.escape(ENDS)}]*")
NONE_SAVED: Final[Mapping[str, str]] = MappingProxyType({})


def parse(
    text: str, known: Callable[[str], str | None], saved: Mapping[str, str] = NONE_SAVED
) -> Node:
    """What a filter means.

    Args:
        text: as it was written.
        known: the name that is told of a field, by any of its names; None for no field.
        saved: filters by the name they were saved under.

    Raises:
        FilterError: it cannot be read; points at the place.
    """
    return _Reader(text, known, saved).whole()


@dataclass
class _Reader:
    text: str
    known: Callable[[str], str | None]
    saved: Mapping[str, str]
    outer: tuple[str, ...] = ()
    at: int = 0
    depth: int = 0

    def whole(self) -> Node:
        self._skip()
        if self._done():
            return EVERYTHING
        node = self._either()
        if not self._done():
            self._refuse("No parenthesis is open that this one would close", 1)
        return node

    def _done(self) -> bool:
        return self.at >= len(self.text)

    def _skip(self) -> None:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _refuse(self, told: str, length: int, hint: str = "") -> NoReturn:
        raise FilterError(told, text=self.text, at=self.at, length=length, hint=hint)

    def _word(self, *words: str) -> bool:
        """Whether one of these words of the language stands here; it is taken."""
        found = _UNQUOTED.match(self.text, self.at)
        if found is None or found[0].lower() not in words:
            return False
        self.at = found.end()
        self._skip()
        return True

    def _either(self) -> Node:
        parts = [self._every()]
        while self._word("or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self) -> Node:
        parts = [self._one()]
        while not self._done() and self.text[self.at] != ")":
            before = self.at
            if self._word("or"):
                self.at = before
                break
            self._word("and")
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Node:
        self._skip()
        start = self.at
        if self._done() or self._word("or", "and") or self.text[self.at] == ")":
            self.at = min(start, len(self.text))
            self._refuse("A term is missing here", 1, "Write a field and a value, as dport:443")
        self.depth += 1
        if self.depth > DEEPEST:
            self._refuse(f"More than {DEEPEST} things stand within one another here", 1)
        node = self._turned()
        self.depth -= 1
        self._skip()
        return node

    def _turned(self) -> Node:
        if self.text[self.at] == "!":
            self.at += 1
            return Not(self._one())
        if self._word("not"):
            return Not(self._one())
        if self.text[self.at] == "(":
            return self._group()
        if self.text[self.at] == SIGN:
            return self._saved()
        return self._term()

    def _group(self) -> Node:
        start = self.at
        self.at += 1
        node = self._either()
        if self._done():
            self.at = start
            self._refuse("This parenthesis is not closed", 1)
        self.at += 1
        return node

    def _saved(self) -> Node:
        start = self.at
        found = _UNQUOTED.match(self.text, start + 1)
        name = found[0] if found else ""
        length = len(name) + 1
        text = self.saved.get(name)
        if text is None:
            have = f"Saved are {', '.join(sorted(self.saved))}" if self.saved else "None is saved"
            self._refuse(f"There is no saved filter {SIGN}{name}", length, have)
        if name in self.outer:
            self._refuse(f"The saved filter {SIGN}{name} stands in itself", length)
        inner = _Reader(text, self.known, self.saved, (*self.outer, name), depth=self.depth)
        try:
            part = inner.whole()
        except FilterError as error:
            self._refuse(f"The saved filter {SIGN}{name} is wrong: {error.message}", length)
        self.at = start + length
        return Saved(name, part, text, Span(start, length))

    def _term(self) -> Node:
        start = self.at
        head = FIELD.match(self.text, start)
        name = self.known(head[1].lower()) if head else None
        operator = head[2] if head and name else ":"
        if head and name:
            self.at = head.end()
        values = [self._value()]
        while not self._done() and self.text[self.at] == ",":
            self.at += 1
            values.append(self._value())
        span = Span(start, self.at - start)
        if operator == "!=":
            return Not(Term(name or "", Compare.IS, tuple(values), span))
        compare = Compare.IS if operator == ":" else Compare(operator)
        return Term(name or "", compare, tuple(values), span)

    def _value(self) -> Value:
        start = self.at
        if not self._done() and self.text[start] in QUOTES:
            return self._quoted()
        found = _UNQUOTED.match(self.text, start)
        self.at = found.end() if found else start
        return Value(self.text[start : self.at], span=Span(start, self.at - start))

    def _quoted(self) -> Value:
        start, quote = self.at, self.text[self.at]
        said: list[str] = []
        place = start + 1
        while place < len(self.text) and self.text[place] != quote:
            place += self.text[place] == "\\" and place + 1 < len(self.text)
            said.append(self.text[place])
            place += 1
        if place >= len(self.text):
            self._refuse("This quote is not closed", len(self.text) - start)
        self.at = place + 1
        after = self.text[self.at : self.at + 1]
        if after and not after.isspace() and after not in f",{ENDS}":
            self._refuse("A blank or a comma belongs behind a quoted value", 1)
        return Value("".join(said), quoted=True, span=Span(start, self.at - start))
