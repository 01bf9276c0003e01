"""The filter language: ``proto:tcp dport:443 state:syn idle<30s src:10.0.0.0/8 !dst:10.0.0.1``.

Terms are joined by *and*, values separated by commas by *or*, and ``!`` turns a term round. Each
term is a field, an operator (``:`` is; also ``= < > <= >=`` for numbers) and values. A bare
address, number or word stands for ``ip:``, ``port:``, or the protocol or state of that name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.errors import UsageError
from ctconsole.model.ct.fields import FIELDS, Compare, bare_field

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]

_TERM: Final = re.compile(r"(?P<field>[a-z]+)(?P<operator><=|>=|[:=<>])(?P<values>.*)")
HELP: Final = "Fields: " + ", ".join(sorted(FIELDS))
"""What can be asked for, in one line."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        text: as it was written.
        negated: whether it is turned round.
        tests: any of these must hold.
    """

    text: str
    negated: bool
    tests: tuple[Callable[[CtTable], Bools], ...]

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
        return any(term.text.removeprefix("!").startswith("risk") for term in self.terms)

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
    matched = _TERM.fullmatch(body)
    # IPv6 addresses have colons of their own.
    if matched is None or (matched["field"] not in FIELDS and bare_field(body) is not None):
        field, operator, values = bare_field(body), ":", body
        if field is None:
            raise UsageError(f"The filter term {word!r} cannot be meant", hint=HELP)
    else:
        field, operator, values = matched["field"], matched["operator"], matched["values"]
    rule = FIELDS.get(field)
    if rule is None:
        raise UsageError(f"There is no field {field!r} to filter by in {word!r}", hint=HELP)
    compare = Compare(operator.replace(":", "="))
    if compare is not Compare.IS and not rule.ordered:
        raise UsageError(f"{field} is no number in {word!r}", hint=f"Write {field}:{rule.example}")
    parts = values.split(",")
    if not all(parts):
        raise UsageError(f"A value is missing in {word!r}", hint=f"Write {field}:{rule.example}")
    tests = tuple(rule.test(compare, part, word) for part in parts)
    return Term(word, negated, tests)
