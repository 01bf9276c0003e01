"""The filter language: ``proto:tcp dport:443 state:syn idle<30s src:10.0.0.0/8 !dst:10.0.0.1``.

Terms are joined by *and*, values separated by commas by *or*, and ``!`` turns a term round. Each
term is a field, an operator (``:`` is; also ``= < > <= >=`` for numbers) and values. A bare
address, number or word stands for ``ip:``, ``port:``, or the protocol, state or direction of that
name. `show.FIELDS` says what can be asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.errors import UsageError
from ctconsole.model.ct.asking import fields_line
from ctconsole.model.ct.filters import Compare
from ctconsole.model.ct.show import rules
from ctconsole.model.ct.words import fold

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ctconsole.model.ct.filters import FilterRule
    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]

_TERM: Final = re.compile(r"(?P<field>[A-Za-z]+)(?P<operator><=|>=|[:=<>])(?P<values>.*)")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        text: as it was written.
        negated: whether it is turned round.
        tests: any of these must hold.
        judges: whether it asks what becomes of connections.
    """

    text: str
    negated: bool
    tests: tuple[Callable[[CtTable], Bools], ...]
    judges: bool

    def rows(self, table: CtTable) -> Bools:
        """Which rows it holds for."""
        found = self.tests[0](table)
        for test in self.tests[1:]:
            found = found | test(table)
        return ~found if self.negated else found


@dataclass(frozen=True, slots=True)
class Query:
    """A filter; the empty one lets everything pass.

    Attributes:
        text: as it was written.
        terms: all of these must hold.
    """

    text: str
    terms: tuple[Term, ...]

    @property
    def judges(self) -> bool:
        """Whether it asks what becomes of connections, for which `Knowledge` is needed."""
        return any(term.judges for term in self.terms)

    @classmethod
    def parse(cls, text: str) -> Query:
        """What a filter means.

        Raises:
            UsageError: names the term that cannot be meant, and what could be.
        """
        return cls(text.strip(), tuple(_term(word) for word in text.split()))

    def rows(self, table: CtTable) -> Bools:
        """Which rows pass, bool of shape (n,)."""
        found = np.ones(len(table), np.bool_)
        for term in self.terms:
            found &= term.rows(table)
        return found

    def __bool__(self) -> bool:
        return bool(self.terms)


def _term(word: str) -> Term:
    negated, body = word.startswith("!"), word.removeprefix("!")
    known = rules()
    matched = _TERM.fullmatch(body)
    if matched and (named := known.get(matched["field"].lower())):
        rule, operator, values = named, matched["operator"], matched["values"]
    # IPv6 addresses have colons of their own.
    elif alone := _bare(body):
        rule, operator, values = alone, ":", body
    elif matched:
        told = f"There is no field {matched['field']!r} to filter by in {word!r}"
        raise UsageError(told, hint=fields_line())
    else:
        raise UsageError(f"The filter term {word!r} cannot be meant", hint=fields_line())
    compare = Compare(operator.replace(":", "="))
    example = f"Write {rule.asked.name}:{rule.asked.example}"
    if compare is not Compare.IS and not rule.ordered:
        raise UsageError(f"{rule.asked.name} is no number in {word!r}", hint=example)
    parts = values.split(",")
    if not all(parts):
        raise UsageError(f"A value is missing in {word!r}", hint=example)
    tests = tuple(rule.test(compare, part, word) for part in parts)
    return Term(word, negated, tests, rule.judges)


def _bare(text: str) -> FilterRule | None:
    """The rule that a value standing alone is of, None where it is of none."""
    if text.isdigit():
        return rules()["port"]
    for rule in rules().values():
        if rule.bare and _can_be(rule, text):
            return rule
    return None


def _can_be(rule: FilterRule, value: str) -> bool:
    try:
        rule.test(Compare.IS, value, value)
    except UsageError:
        return False
    return True


def completions(text: str) -> list[str]:
    """What a filter that is being typed may go on as: the whole text, with its last term ended.

    A field is completed to its operator, a value to a word of its field; what has no words
    (addresses, numbers) is left to the person.
    """
    before, blank, word = text.rpartition(" ")
    sign, body = ("!", word[1:]) if word.startswith("!") else ("", word)
    matched = _TERM.fullmatch(body)
    if matched is None:
        names = sorted({rule.asked.name for rule in rules().values()})
        ended = [f"{name}:" for name in names if name.startswith(body.lower())]
    else:
        rule = rules().get(matched["field"].lower())
        done, comma, part = matched["values"].rpartition(",")
        head = f"{matched['field']}{matched['operator']}{done}{comma}"
        words = rule.words if rule else ()
        ended = [f"{head}{one}" for one in words if fold(one).startswith(fold(part))]
    return [f"{before}{blank}{sign}{one}" for one in ended]
