"""Keys as a person writes them, and which of them clash."""

from __future__ import annotations

import string

import pytest
from textual.keys import _character_to_key

from ctconsole.keytable import BY_ID, KEYS
from ctconsole.settings.keymap import VIM, clashes, for_textual, key_named, keymap


@pytest.mark.parametrize("character", [*string.printable[:95], "ä"])
def test_a_sign_has_the_name_that_textual_gives_its_key(character: str) -> None:
    assert key_named(character) == _character_to_key(character)


@pytest.mark.parametrize(
    ("text", "key"),
    [("?", "question_mark"), ("ctrl++", "ctrl+plus"), ("+", "plus"), ("shift+f5", "shift+f5"),
     ("ctrl+?", "ctrl+question_mark"), ("G", "G"), ("alt+x", "alt+x")],
)  # fmt: skip
def test_keys_are_written_as_people_write_them(text: str, key: str) -> None:
    assert key_named(text) == key


@pytest.mark.parametrize("text", ["", "hyper+x", "escpe", "ctrl+", "\x1b", "xy"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names no key"):
        key_named(text)


def test_every_key_of_the_table_can_be_written() -> None:
    for key in KEYS:
        for pressed in key.each:
            assert key_named(pressed) == pressed


def test_the_table_clashes_with_nothing() -> None:
    assert clashes({}) == []


def test_the_preset_of_vim_names_keys_that_are_there() -> None:
    assert VIM.keys() <= BY_ID.keys()
    assert keymap("vim", {}) == (VIM, [])


def test_a_clash_names_both_and_leaves_what_does_not_clash() -> None:
    kept, told = keymap("", {"map.info": ("r",), "map.undo": ("U",), "app.explain": ("space",)})
    assert kept == {"map.undo": ("U",)}
    assert sorted(one.ids for one in told) == [
        ("app.freeze", "app.explain"),
        ("map.info", "map.recreate"),
    ]


def test_what_has_no_key_gets_one_that_is_never_pressed() -> None:
    assert for_textual({"map.info": (), "map.undo": ("u", "U")}) == {
        "map.info": "none",
        "map.undo": "u,U",
    }
