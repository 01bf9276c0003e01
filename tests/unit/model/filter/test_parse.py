"""A filter is read into a tree, a tree is written as a filter; what is wrong is pointed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.errors import FilterError
from ctconsole.model.ct.query import entry_fields
from ctconsole.model.filter.parse import DEEPEST, parse
from ctconsole.model.filter.syntax import (
    EVERYTHING,
    Compare,
    Either,
    Every,
    Node,
    Not,
    Saved,
    Term,
    Value,
    printed,
)

FIELDS = entry_fields()


def read(text: str, **saved: str) -> Node:
    return parse(text, FIELDS.known, saved)


def term(name: str, *values: str, compare: Compare = Compare.IS) -> Term:
    return Term(name, compare, tuple(map(Value, values)))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", EVERYTHING),
        ("   ", EVERYTHING),
        ("protocol:tcp", term("proto", "tcp")),
        ("dport=80,443", term("dport", "80", "443")),
        ("left<30s", term("left", "30s", compare=Compare.LESS)),
        ("left>=30s", term("left", "30s", compare=Compare.AT_LEAST)),
        ("dport!=80", Not(term("dport", "80"))),
        ("fd00::1", term("", "fd00::1")),
        ("colour:red", term("", "colour:red")),
        ("tcp in", Every((term("", "tcp"), term("", "in")))),
        ("tcp and in", Every((term("", "tcp"), term("", "in")))),
        ("tcp or in out", Either((term("", "tcp"), Every((term("", "in"), term("", "out")))))),
        ("(tcp OR in) out", Every((Either((term("", "tcp"), term("", "in"))), term("", "out")))),
        ("!(tcp in)", Not(Every((term("", "tcp"), term("", "in"))))),
        ("not not in", Not(Not(term("", "in")))),
        ("! in", Not(term("", "in"))),
        ("node:it's", term("node", "it's")),
        ("node:a!b@c", term("node", "a!b@c")),
    ],
)
def test_what_a_filter_says(text: str, tree: Node) -> None:
    assert read(text) == tree
    assert read(printed(tree)) == tree


def test_quotes_keep_blanks_commas_and_signs_together() -> None:
    found = read("""node:"a, (b)",'c or d' "!x" pod:"q\\"uo\\\\te" """)
    assert found == Every(
        (
            Term("node", Compare.IS, (Value("a, (b)", quoted=True), Value("c or d", quoted=True))),
            Term("", Compare.IS, (Value("!x", quoted=True),)),
            Term("pod", Compare.IS, (Value('q"uo\\te', quoted=True),)),
        )
    )
    assert read(printed(found)) == found


def test_a_saved_filter_stands_for_what_it_says() -> None:
    found = read("!@web tcp", web="dport:80 or @tls", tls="dport:443")
    inner = Either((term("dport", "80"), Saved("tls", term("dport", "443"))))
    assert found == Every((Not(Saved("web", inner)), term("", "tcp")))
    assert printed(found) == "!@web tcp"
    assert printed(found, expanded=True) == "!(dport:80 or dport:443) tcp"


@pytest.mark.parametrize(
    ("text", "at", "length", "said"),
    [
        ("dport:443 or", 12, 1, "missing"),
        ("or tcp", 0, 1, "missing"),
        ("tcp and or in", 8, 1, "missing"),
        ("()", 1, 1, "missing"),
        ("!", 1, 1, "missing"),
        ("(tcp", 0, 1, "not closed"),
        ("tcp) in", 3, 1, "No parenthesis is open"),
        ('node:"a b', 5, 4, "quote"),
        ('node:"a"b', 8, 1, "comma"),
        ("tcp @nobody", 4, 7, "no saved filter @nobody. Saved are me, wrong"),
        ("@me", 0, 3, "stands in itself"),
        ("in @wrong", 3, 6, "@wrong is wrong: This parenthesis is not closed"),
        ("(" * 200 + "tcp" + ")" * 200, DEEPEST, 1, f"More than {DEEPEST}"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, at: int, length: int, said: str) -> None:
    with pytest.raises(FilterError) as caught:
        read(text, me="tcp @me", wrong="(in")
    assert (caught.value.at, caught.value.length) == (at, length)
    assert caught.value.text == text
    assert said in str(caught.value)


LETTERS = "ab \t:()!@\"'\\,<>=*é日\u200b"
VALUES = st.one_of(
    st.from_regex(r"[a-z0-9:./*?\[-]{1,6}", fullmatch=True)
    .filter(lambda text: text not in {"or", "and", "not"} and parse_alone(text))
    .map(Value),
    st.text(LETTERS, min_size=1, max_size=8).map(lambda text: Value(text, quoted=True)),
)


def parse_alone(text: str) -> bool:
    """Whether a value alone is read as one, and not as a term of a field."""
    return FIELDS.known(text.split(":", 1)[0]) is None


TERMS = st.builds(
    Term,
    st.sampled_from(FIELDS.names),
    st.sampled_from(Compare),
    st.lists(VALUES, min_size=1, max_size=3).map(tuple),
) | st.builds(
    Term, st.just(""), st.just(Compare.IS), st.lists(VALUES, min_size=1, max_size=2).map(tuple)
)
TREES = st.recursive(
    TERMS,
    lambda parts: st.one_of(
        parts.map(Not),
        st.lists(parts, min_size=2, max_size=4).map(lambda few: Every(tuple(few))),
        st.lists(parts, min_size=2, max_size=4).map(lambda few: Either(tuple(few))),
    ),
    max_leaves=6,
)


@given(TREES)
def test_a_tree_that_is_written_is_read_as_the_same_tree(tree: Node) -> None:
    assert read(printed(tree)) == tree


@given(st.text(max_size=60) | st.text(alphabet="ab:()!@\"'\\, <>=or*tcp", max_size=60))
def test_any_text_is_a_tree_or_a_sentence_with_a_place(text: str) -> None:
    try:
        tree = read(text, a="tcp")
    except FilterError as caught:
        error = caught
    else:
        assert read(printed(tree), a="tcp") == tree
        return
    assert 0 <= error.at <= len(text)
    assert 1 <= error.length <= len(text) + 1 - error.at
    assert error.message
