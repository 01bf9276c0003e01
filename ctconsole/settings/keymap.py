"""Which keys do what, once a person has had a say in it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.keytable import BY_ID, KEYS, SCENES, UNBOUND, scene_keys
from ctconsole.settings.fields import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VIM: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "table.half-up": ("ctrl+u",),
    "table.half-down": ("ctrl+d",),
    "table.up": ("k", "up"),
    "table.down": ("j", "down"),
    "table.first": ("g", "home"),
    "table.last": ("G", "end"),
    "table.page-up": ("ctrl+b", "pageup"),
    "table.page-down": ("ctrl+f", "pagedown"),
})  # fmt: skip
"""The preset of those who are used to vim."""

_ALWAYS: Final = frozenset({"app.quit", "app.help", "dialogue.close"})
"""What must have a key."""

_NAMED: Final = frozenset({
    "up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "escape", "tab",
    "space", "backspace", "delete", "insert", *(f"f{number}" for number in range(1, 25)),
})  # fmt: skip

_SIGNS: Final = {
    "solidus": "slash", "reverse_solidus": "backslash", "commercial_at": "at",
    "hyphen_minus": "minus", "plus_sign": "plus", "low_line": "underscore",
}  # fmt: skip
"""Signs that Textual calls otherwise than Unicode does."""

_SAME: Final = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+left_square_bracket": "escape"}
"""Keys that a terminal cannot tell from others."""


def key_named(text: str) -> str:
    """A key by Textual's name, whether it was written so or as the sign itself.

    Raises:
        ValueError: there is no such key; half a sentence on why.
    """
    *modifiers, last = _parts(text)
    sign = _sign(last)
    if sign is None or not set(modifiers) <= {"ctrl", "shift", "alt"}:
        known = sorted({*_NAMED, *_sign_names()})
        raise ValueError(f"names no key: {text}. {did_you_mean(last, known)}".rstrip())
    found = "+".join((*modifiers, sign))
    if found in _SAME:
        raise ValueError(f"names a key that terminals send as {_SAME[found]}: {text}")
    return found


def _parts(text: str) -> list[str]:
    """Modifiers and the key, which may be a plus itself."""
    if text == "+" or text.endswith("++"):
        return [*filter(None, text[:-1].split("+")), "+"]
    return text.split("+")


def _sign(text: str) -> str | None:
    """The name of a key without modifiers; None where it is none."""
    if text in _NAMED or text in _sign_names():
        return text
    if len(text) != 1 or not text.isprintable():
        return None
    if text == " ":
        return "space"
    return text if text.isalnum() else sign_name(text)


def sign_name(character: str) -> str:
    """What Textual calls the key of a sign such as ``?``."""
    name = unicodedata.name(character, "").lower()
    name = re.sub("[- ]", "_", name)
    return _SIGNS.get(name, name)


def _sign_names() -> frozenset[str]:
    return frozenset(map(sign_name, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"))


@dataclass(frozen=True, slots=True)
class Clash:
    """A key that would do two things where both are in force.

    Attributes:
        pressed: the key.
        ids: both things.
        scene: where.
    """

    pressed: str
    ids: tuple[str, str]
    scene: str

    def __str__(self) -> str:
        """As a sentence."""
        return f"{self.pressed} would be both {self.ids[0]} and {self.ids[1]} in {self.scene}"


def keys_from(value: object) -> tuple[str, ...]:
    """The keys that stand in the file for one id.

    Raises:
        ValueError: they are no keys.
    """
    if isinstance(value, str):
        value = [value] if value == "," else [one for one in value.split(",") if one.strip()]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError('must be a key or a list of keys, e.g. "z" or ["z", "f5"]')
    return tuple(key_named(one.strip() or one) for one in value)


def unknown_id(key_id: str) -> str:
    """Why an id cannot be given keys, in half a sentence; empty where it can."""
    if key_id in BY_ID:
        return ""
    return f"names nothing that has a key. {did_you_mean(key_id, BY_ID)}".rstrip()


def must_have_a_key(key_id: str, keys: Sequence[str]) -> str:
    """Why an id cannot be without a key, in half a sentence; empty where it has one or can."""
    return "must have a key" if key_id in _ALWAYS and not keys else ""


def effective(chosen: Mapping[str, Sequence[str]]) -> Mapping[str, tuple[str, ...]]:
    """The keys of every id, those chosen in the place of those of the table."""
    return {key.id: tuple(chosen.get(key.id, key.each)) for key in KEYS}


def clashes(chosen: Mapping[str, Sequence[str]]) -> list[Clash]:
    """Keys that would do two things, each told once."""
    keys = effective(chosen)
    found: dict[tuple[str, str, str], Clash] = {}
    for scene in SCENES:
        held: dict[str, str] = {}
        for key in scene_keys(scene):
            for pressed in keys[key.id]:
                before = held.setdefault(pressed, key.id)
                if before != key.id and BY_ID[before].action != key.action:
                    found.setdefault(
                        (pressed, before, key.id), Clash(pressed, (before, key.id), scene)
                    )
    return list(found.values())


def keymap(
    preset: str, chosen: Mapping[str, Sequence[str]]
) -> tuple[Mapping[str, tuple[str, ...]], list[Clash]]:
    """The keys that differ from the table's, and what could not be had.

    Args:
        preset: a member of `fields.PRESETS`.
        chosen: keys by id, which go before the preset's.

    Returns:
        The keys by id, without those that clash; the clashes.
    """
    wanted = {key_id: keys for key_id, keys in VIM.items() if preset == "vim"}
    wanted |= {key_id: tuple(keys) for key_id, keys in chosen.items()}
    told: list[Clash] = []
    while found := clashes(wanted):
        told += found
        before = len(wanted)
        for clash in found:
            for key_id in clash.ids:
                wanted.pop(key_id, None)
        if len(wanted) == before:
            break
    return wanted, told


def for_textual(keys: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The keys as Textual's keymap has them; an id without any gets one that is never pressed."""
    return {key_id: ",".join(each) or UNBOUND for key_id, each in keys.items()}
