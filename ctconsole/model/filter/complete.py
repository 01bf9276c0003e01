"""What a filter that is being typed may go on as."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from ctconsole.model.filter.names import SIGN
from ctconsole.model.filter.parse import FIELD, NONE_SAVED
from ctconsole.model.filter.syntax import ENDS, QUOTES, Value, value_text

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Mapping

    from ctconsole.model.filter.rules import Fields, Filterable, FilterRule

_Rows = TypeVar("_Rows", bound="Filterable")

LOOKED_AT: Final = 20_000
"""Rows whose values are offered: enough to know what occurs often, few enough to look at."""

_OPERATORS: Final = (":", "<", ">", "<=", ">=", "!=")
_BEFORE_A_VALUE: Final = ",:=<>"


@dataclass(frozen=True, slots=True)
class Completion:
    """One way to go on.

    Attributes:
        text: the whole filter, with its last word ended.
        word: the last word alone.
        about: what it is, in a few words.
    """

    text: str
    word: str
    about: str = ""


def completions(
    text: str,
    fields: Fields[_Rows],
    rows: _Rows | None = None,
    saved: Mapping[str, str] = NONE_SAVED,
    most: int = 200,
) -> list[Completion]:
    """Ways to go on; none where only the person knows.

    Args:
        text: what is typed so far.
        fields: what can be asked for.
        rows: what is filtered; without it only words that a field itself knows are offered.
        saved: filters by the name they were saved under.
        most: so many at most.
    """
    start = _last_word(text)
    before, word = text[:start], text[start:]
    if word.startswith(SIGN):
        names = (name for name in sorted(saved) if name.startswith(word[1:]))
        found: Iterable[tuple[str, str]] = ((f"{SIGN}{name}", saved[name]) for name in names)
    elif (head := FIELD.match(word)) and (rule := fields.find(head[1].lower())):
        found = _values(word, head, rule, rows)
    else:
        found = _fields(word, fields)
    offered = (one for one in found if one[0] != word)
    return [Completion(before + one, one, about) for one, about in islice(offered, most)]


def term_at(text: str, fields: Fields[_Rows]) -> FilterRule[_Rows] | None:
    """The field whose value is being typed, None where it is something else."""
    head = FIELD.match(text[_last_word(text) :])
    return fields.find(head[1].lower()) if head else None


def _last_word(text: str) -> int:
    """Where the word that is being typed begins."""
    start, quote = 0, ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES and (at == start or text[at - 1] in _BEFORE_A_VALUE):
            quote = letter
        elif letter.isspace() or letter in ENDS or (letter == "!" and at == start):
            start = at + 1
    return start


def _fields(word: str, fields: Fields[_Rows]) -> Iterator[tuple[str, str]]:
    """Fields to ask for, then words that need none."""
    typed = word.lower()
    exact = fields.find(typed) if typed else None
    if exact is not None:
        operators = _OPERATORS if exact.ordered else (":", "!=")
        first = exact.asked.operator
        for operator in dict.fromkeys((first, *operators)):
            yield f"{typed}{operator}", exact.asked.about
    for rule in sorted(fields.rules, key=lambda rule: rule.asked.name):
        if rule.asked.name.startswith(typed) and rule is not exact:
            yield f"{rule.asked.name}{rule.asked.operator}", rule.asked.about
    if typed:
        for rule in fields.rules:
            for one in rule.words if rule.bare else ():
                if one.lower().startswith(typed):
                    yield one, f"{rule.asked.name}:{one}"


def _values(
    word: str, head: re.Match[str], rule: FilterRule[_Rows], rows: _Rows | None
) -> Iterator[tuple[str, str]]:
    """Values of a field: those that it knows, then those that rows have."""
    done, comma, part = word[head.end() :].rpartition(",")
    begun = f"{head[0]}{done}{comma}"
    typed = _folded(part.lstrip(QUOTES))
    occur: Iterable[str] = ()
    if rows is not None and rule.occurring is not None:
        occur = rule.occurring(rows.take(slice(0, LOOKED_AT)))
    for one in dict.fromkeys((*rule.words, *occur)):
        if _folded(one).startswith(typed):
            yield f"{begun}{value_text(Value(one))}", rule.asked.about


def _folded(text: str) -> str:
    return text.lower().replace("-", "").replace("_", "")
