"""Texts that name keys name those that a person has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ctconsole import keytable, ui
from ctconsole.keytable import BY_ID, keyed

UI = [*sorted(Path(ui.__file__).parent.rglob("*.py")), Path(keytable.__file__)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{help.close} closes", "<escape> closes"),
        ("{columns.right} {columns.left} move · {map.resize} sizes", "<J> <K> move · <f7> sizes"),
        ("one is under way; {map.info} ends it", "one is under way"),
        (" · {map.sequel} lists", " · <L> lists"),
        (" · {map.info} lists", ""),
        ("{map.info} shows · {map.undo} takes back", "<u> takes back"),
        ("enter · {map.info}", "enter"),
        ("{map.info}", ""),
    ],
)
def test_the_key_stands_in_the_place_of_what_it_does(text: str, told: str) -> None:
    chosen = {"map.resize": ("f7", "z"), "map.info": ()}
    assert keyed(text, chosen, lambda key: f"<{key}>") == told


def texts(path: Path) -> list[str]:
    """The texts of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


@pytest.mark.parametrize("path", UI, ids=lambda path: path.stem)
def test_no_text_names_a_key_that_somebody_may_have_changed(path: Path) -> None:
    named = re.compile(
        r"\b(esc|escape|tab|space|ctrl\+\w|shift\+\w+)\b [a-z]|(^|[ (;·])([b-zA-HJ-Z]|f\d+) "
        r"(lists|closes|ends|shows|opens|plans|moves|goes|follows|cancels)\b"
    )
    assert [text for text in texts(path) if named.search(text)] == []


@pytest.mark.parametrize("path", UI, ids=lambda path: path.stem)
def test_every_id_in_a_text_names_a_key(path: Path) -> None:
    found = {one for text in texts(path) for one in re.findall(r"\{([a-z]+\.[a-z-]+)\}", text)}
    assert found <= BY_ID.keys()
