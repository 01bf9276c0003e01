"""How a filter that was read is held against rows, whatever is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.errors import FilterError
from ctconsole.model.filter import query as module
from ctconsole.model.filter import rules
from ctconsole.model.filter.asking import Asked
from ctconsole.model.filter.query import Filter
from ctconsole.model.filter.rules import Fields, meant
from ctconsole.model.filter.syntax import Compare, Either, Every, Node, Not, Term, Value, printed

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Numbers:
    """Rows of three numbers each; a negative one is not known."""

    columns: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Numbers:
        LOOKED_AT.append(len(self.columns[rows]))
        return Numbers(self.columns[rows])


LOOKED_AT: list[int] = []


def field(place: int, name: str) -> rules.FilterRule[Numbers]:
    return rules.measured(
        Asked((name,), "1", "a number"),
        lambda rows: rows.columns[:, place],
        rules.ONES,
        "a number",
        lacks=lambda rows: "is told by nobody. Ask again" if rows.columns[0, 0] == 99 else "",
        known=lambda rows: rows.columns[:, place] >= 0,
        cost=place,
    )


FIELDS = Fields("numbers", (field(0, "a"), field(1, "b"), field(2, "c")))


def rows(*columns: tuple[int, int, int]) -> Numbers:
    return Numbers(np.array(columns, np.int64).reshape(-1, 3))


TERMS = st.builds(
    Term,
    st.sampled_from("abc"),
    st.sampled_from(Compare),
    st.lists(st.sampled_from("012").map(Value), min_size=1, max_size=2).map(tuple),
)
TREES = st.recursive(
    TERMS,
    lambda parts: st.one_of(
        parts.map(Not),
        st.lists(parts, min_size=2, max_size=3).map(lambda few: Every(tuple(few))),
        st.lists(parts, min_size=2, max_size=3).map(lambda few: Either(tuple(few))),
    ),
    max_leaves=8,
)
EVERY = rows(*((a, b, c) for a, b, c in product(range(-1, 3), repeat=3)))


def holds(node: Node, row: list[int]) -> bool | None:
    """Whether it holds for a row, None where that is not known: said once more, row by row."""
    match node:
        case Not():
            inner = holds(node.part, row)
            return None if inner is None else not inner
        case Every() | Either():
            found = [holds(part, row) for part in node.parts]
            deciding = isinstance(node, Either)
            return deciding if deciding in found else None if None in found else not deciding
        case Term():
            number = row["abc".index(node.name)]
            if number < 0:
                return None
            wanted = (int(value.text) for value in node.values)
            return any(bool(node.compare.holds(np.array(number), one)) for one in wanted)
        case _:
            raise AssertionError(node)


@given(TREES)
def test_a_filter_means_of_many_rows_what_it_means_of_each(tree: Node) -> None:
    found = Filter.parse(printed(tree), FIELDS)
    each = [holds(tree, row) for row in EVERY.columns.tolist()]
    assert found.rows(EVERY).tolist() == [one is True for one in each]
    assert found.undecided(EVERY).tolist() == [one is None for one in each]


def test_what_is_not_known_passes_only_if_it_would_whatever_it_is() -> None:
    some = rows((1, -1, 0), (0, -1, 0))

    def found(text: str) -> tuple[list[bool], list[bool]]:
        one = Filter.parse(text, FIELDS)
        return one.rows(some).tolist(), one.undecided(some).tolist()

    assert found("b:1") == ([False, False], [True, True])
    assert found("!b:1") == ([False, False], [True, True])
    assert found("a:1 or b:1") == ([True, False], [False, True])
    assert found("a:1 b:1") == ([False, False], [True, False])
    assert found("!(a:1 b:1)") == ([False, True], [True, False])
    assert found("b:1,2") == ([False, False], [True, True])


def test_rows_that_tell_nothing_are_refused_with_the_term() -> None:
    one = Filter.parse("a:1 or  b<2", FIELDS)
    with pytest.raises(FilterError, match=r"'a:1' is told by nobody. Ask again") as caught:
        one.rows(rows((99, 0, 0)))
    assert (caught.value.at, caught.value.length) == (0, 3)
    assert not len(one.rows(rows()))


def test_dear_terms_are_asked_of_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 10)
    LOOKED_AT.clear()
    every = rows(*[(n % 10, n, 1) for n in range(30)])
    assert np.flatnonzero(Filter.parse("c:1 a:3", FIELDS).rows(every)).tolist() == [3, 13, 23]
    assert LOOKED_AT == [10, 1, 10, 1, 10, 1]


@pytest.mark.parametrize(
    ("text", "said", "at"),
    [
        ("a:1 d:2", "There is no field 'd'", 4),
        ("a:1 b:x", "'x' cannot be meant in the filter term 'b:x'", 6),
        ("a:1 b:1,", "A value is missing in 'b:1,'", 4),
        ("a:1 12", "The filter term '12' cannot be meant", 4),
        ("a:1 dport:2", "Entries can be asked for it", 4),
    ],
)
def test_what_cannot_be_meant_is_pointed_at(text: str, said: str, at: int) -> None:
    with pytest.raises(FilterError) as caught:
        Filter.parse(text, FIELDS)
    assert said in str(caught.value)
    assert caught.value.at == at


def test_what_may_have_been_meant() -> None:
    words = ("established", "est", "expired")
    assert meant("estab", words) == "Did you mean established?"
    assert meant("exipred", words) == "Did you mean expired?"
    assert not meant("zzz", words)
    assert not meant("", words)


def test_a_saved_filter_is_told_as_what_it_says_and_pointed_at_where_it_stands() -> None:
    saved = {"one": "a:1 or b:1"}
    found = Filter.parse("@one c:1", FIELDS, saved)
    assert found.meaning == "(a:1 or b:1) c:1"
    assert found.text == "@one c:1"
    with pytest.raises(FilterError) as caught:
        found.rows(rows((99, 0, 0)))
    assert (caught.value.at, caught.value.length) == (0, 4)
