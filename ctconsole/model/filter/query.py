"""A filter that was read, bound to a table of fields, and held against rows.

Rows are looked at in blocks that fit the CPU's caches. In a block the cheap terms come first, and
the others are asked only of the rows that they matter for. A row of which something is not known
passes only if it would pass whatever that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar, cast

import numpy as np

from ctconsole.errors import FilterError
from ctconsole.model.filter.asking import elsewhere
from ctconsole.model.filter.names import SIGN
from ctconsole.model.filter.parse import FIELD, NONE_SAVED, parse
from ctconsole.model.filter.rules import UnmeantError, meant
from ctconsole.model.filter.syntax import (
    EVERYTHING,
    Compare,
    Either,
    Not,
    Saved,
    Span,
    Term,
    printed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from ctconsole.model.filter.rules import Fields, Filterable, FilterRule, Test
    from ctconsole.model.filter.syntax import Node, Value

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Places: TypeAlias = npt.NDArray[np.intp]

_Rows = TypeVar("_Rows", bound="Filterable")

BLOCK: Final = 1 << 15
"""Rows that are looked at together."""

_FEW: Final = 4
"""Rows are taken out of a block for the next term where they are at most one in so many."""


@dataclass(frozen=True, slots=True)
class Bound(Generic[_Rows]):
    """A term that can be asked of rows.

    Attributes:
        tests: any of these must hold.
        cost: of the dearest.
        beside: what must be known beside the rows (see `FilterRule`).
        said: as it was written.
        span: where it stands in the text.
    """

    tests: tuple[Test[_Rows], ...]
    cost: int
    beside: str
    said: str
    span: Span

    def lacks(self, rows: _Rows) -> str:
        """Why these rows do not tell; empty where they do."""
        found = (test.lacks(rows) for test in self.tests if test.lacks is not None)
        return next(filter(None, found), "")

    @property
    def leaves(self) -> Iterator[Bound[_Rows]]:
        """Itself."""
        yield self

    def surely(self, rows: _Rows, *, turned: bool) -> Bools:
        """Of which rows it is known to hold, or, turned, not to hold."""
        found: Bools | None = None
        for test in self.tests:
            one = ~test.holds(rows) if turned else test.holds(rows)
            if test.known is not None:
                one = one & test.known(rows)
            if found is not None:
                one = found & one if turned else found | one
            found = one
        return cast("Bools", found)


@dataclass(frozen=True, slots=True)
class Joined(Generic[_Rows]):
    """Parts of which all must hold, or one, or of which the whole must not.

    Attributes:
        parts: the cheapest first.
        either: whether one is enough.
        turned: whether the whole must not hold.
    """

    parts: tuple[Bound[_Rows] | Joined[_Rows], ...]
    either: bool = False
    turned: bool = False

    @property
    def cost(self) -> int:
        """That of all."""
        return sum(part.cost for part in self.parts)

    @property
    def leaves(self) -> Iterator[Bound[_Rows]]:
        """Every term."""
        return (leaf for part in self.parts for leaf in part.leaves)

    def surely(self, rows: _Rows, *, turned: bool) -> Bools:
        """See `Bound.surely`."""
        turned ^= self.turned
        # Not one of them is: all of them are not.
        if self.either is turned:
            return self._all(rows, turned=turned)
        return ~self._all(rows, turned=turned, wanted=False)

    def _all(self, rows: _Rows, *, turned: bool, wanted: bool = True) -> Bools:
        """Rows for which every part's answer is as wanted; each is asked of those still open."""
        found = np.ones(len(rows), np.bool_)
        places: Places | None = None
        for part in self.parts:
            answers = part.surely(rows, turned=turned)
            if not wanted:
                answers = ~answers
            if places is None:
                found &= answers
            else:
                found[places] &= answers
            alive = found if places is None else found[places]
            left = int(np.count_nonzero(alive))
            if not left:
                break
            if left * _FEW <= len(rows):
                kept = np.flatnonzero(alive)
                places = kept if places is None else places[kept]
                rows = rows.take(kept)
        return found


Tree: TypeAlias = "Bound[_Rows] | Joined[_Rows]"


@dataclass(frozen=True, slots=True)
class Filter(Generic[_Rows]):
    """A filter for one kind of rows; the empty one lets everything pass.

    Attributes:
        text: as it was written.
        node: what it says.
        tree: the same, as it is asked of rows.
    """

    text: str
    node: Node
    tree: Tree[_Rows] = field(compare=False, repr=False)

    @classmethod
    def parse(
        cls, text: str, fields: Fields[_Rows], saved: Mapping[str, str] = NONE_SAVED
    ) -> Filter[_Rows]:
        """What a filter means.

        Args:
            text: as it was written.
            fields: what can be asked for.
            saved: filters by the name they were saved under.

        Raises:
            FilterError: it cannot be meant; points at the place, and says what could be.
        """
        node = parse(text, fields.known, saved)
        return cls(text.strip(), node, _bind(node, fields, text))

    @property
    def meaning(self) -> str:
        """The text, with what saved filters say in place of their names."""
        return printed(self.node, expanded=True) if SIGN in self.text else self.text

    @property
    def grouped(self) -> str:
        """The text, as it stands beside other terms."""
        return f"({self.text})" if isinstance(self.node, Either) else self.text

    def needs(self, what: str) -> bool:
        """Whether this must be known beside the rows: ``risk``, ``names``, ``rates``."""
        return any(leaf.beside == what for leaf in self.tree.leaves)

    def rows(self, rows: _Rows) -> Bools:
        """Which rows surely pass, bool of shape (n,).

        Raises:
            FilterError: the rows do not tell what is asked; points at the term.
        """
        return self._surely(rows, turned=False)

    def undecided(self, rows: _Rows) -> Bools:
        """Which rows would pass or not, were more known of them.

        Raises:
            FilterError: see `rows`.
        """
        return ~self._surely(rows, turned=False) & ~self._surely(rows, turned=True)

    def _surely(self, rows: _Rows, *, turned: bool) -> Bools:
        if not len(rows):
            return np.zeros(0, np.bool_)
        for leaf in self.tree.leaves:
            if why := leaf.lacks(rows):
                told, _, hint = why.partition(". ")
                raise _wrong(f"{leaf.said!r} {told}", self.text, leaf.span, hint)
        found = np.empty(len(rows), np.bool_)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            found[part] = self.tree.surely(rows.take(part), turned=turned)
        return found

    def __bool__(self) -> bool:
        return self.node != EVERYTHING


def _bind(node: Node, fields: Fields[_Rows], text: str) -> Tree[_Rows]:
    """A tree whose terms can be asked of rows.

    Raises:
        FilterError: a field or a value is none of this table's; points at it.
    """
    match node:
        case Term():
            return _term(node, fields, text)
        case Not():
            return Joined((_bind(node.part, fields, text),), turned=True)
        case Saved():
            try:
                return _within(_bind(node.part, fields, node.text), node.span)
            except FilterError as error:
                told = f"The saved filter {SIGN}{node.name} is wrong: {error.message}"
                raise _wrong(told, text, node.span, error.hint) from error
        case _:
            parts = sorted((_bind(part, fields, text) for part in node.parts), key=_cost)
            return Joined(tuple(parts), either=isinstance(node, Either))


def _within(tree: Tree[_Rows], span: Span) -> Tree[_Rows]:
    """A tree whose terms all stand where a saved filter is named."""
    if isinstance(tree, Bound):
        return replace(tree, span=span)
    return replace(tree, parts=tuple(_within(part, span) for part in tree.parts))


def _cost(tree: Tree[_Rows]) -> int:
    return tree.cost


def _wrong(told: str, text: str, span: Span, hint: str) -> FilterError:
    return FilterError(told, text=text, at=span.at, length=span.length, hint=hint)


def _term(term: Term, fields: Fields[_Rows], text: str) -> Bound[_Rows]:
    """A term with the tests of its values."""
    said = text[term.span.at : term.span.at + term.span.length]
    if not term.name:
        pairs = [_alone(value, said, fields, text) for value in term.values]
    else:
        rule = cast("FilterRule[_Rows]", fields.find(term.name))
        if term.compare is not Compare.IS and not rule.ordered:
            raise _wrong(f"{rule.asked.name} is no number in {said!r}", text, term.span, _as(rule))
        pairs = [(rule, _read(rule, term, value, said, text)) for value in term.values]
    return Bound(
        tests=tuple(test for _, test in pairs),
        cost=max(rule.cost for rule, _ in pairs),
        beside=next((rule.beside for rule, _ in pairs if rule.beside), ""),
        said=said,
        span=term.span,
    )


def _both(first: str, then: str) -> str:
    """Two sentences, of which the first may be missing."""
    end = "" if first.endswith("?") else "."
    return f"{first}{end} {then}" if first else then


def _as(rule: FilterRule[_Rows]) -> str:
    return f"Write {rule.asked.name}:{rule.asked.example}"


def _read(rule: FilterRule[_Rows], term: Term, value: Value, said: str, text: str) -> Test[_Rows]:
    """The test of one value of a field."""
    if not value.text:
        span = value.span if value.span.length else term.span
        raise _wrong(f"A value is missing in {said!r}", text, span, _as(rule))
    try:
        return rule.read(term.compare, value)
    except UnmeantError as error:
        told = f"{value.text!r} cannot be meant in the filter term {said!r}"
        hint = _both(meant(value.text, error.words), f"Give {error.allowed}")
        raise _wrong(told, text, value.span, hint) from error


def _alone(
    value: Value, said: str, fields: Fields[_Rows], text: str
) -> tuple[FilterRule[_Rows], Test[_Rows]]:
    """What a value without a field stands for."""
    for rule in fields.rules:
        if rule.bare and value.text:
            try:
                return rule, rule.read(Compare.IS, value)
            except UnmeantError:
                continue
    have = f"Fields: {', '.join(fields.names)}"
    head = FIELD.match(value.text) if not value.quoted else None
    if head is None:
        words = [word for rule in fields.rules if rule.bare for word in rule.words]
        hint = _both(meant(value.text, words), have)
        raise _wrong(f"The filter term {said!r} cannot be meant", text, value.span, hint)
    name = head[1]
    hint = _both(meant(name, fields.names) or elsewhere(name.lower(), fields.what), have)
    told = f"There is no field {name!r} to filter {fields.what} by in {said!r}"
    raise _wrong(told, text, Span(value.span.at, len(name)), hint)
