"""The rows of the table of keys as Textual has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from textual.binding import Binding

from ctconsole.keytable import BY_ID, UNBOUND, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from textual.binding import BindingType


def bindings(*places: str) -> list[BindingType]:
    """The keys of these places, for the ``BINDINGS`` of whoever has their actions."""
    return [
        Binding(
            key.keys or UNBOUND,
            key.action,
            key.word,
            id=key.id,
            show=bool(key.rank),
            priority=key.priority,
            tooltip=key.about,
        )
        for place in places
        for key in keys_of(place)
    ]


_BETWEEN: Final = re.compile(r"( · |; )")
_PLACE: Final = re.compile(r"\{([\w.-]+)\}")


def keyed(text: str, chosen: Mapping[str, Sequence[str]], shown: Callable[[str], str]) -> str:
    """A text with the key that does a thing in the place of its id: ``{help.close} closes``.

    A part of it, between `` · `` or ``; ``, is left out where a thing it names has no key.

    Args:
        text: ours; no other braces may stand in it.
        chosen: keys by id, where they are not those of the table.
        shown: how a key is shown to a person.

    Raises:
        KeyError: there is no such id.
    """
    keys = {
        key_id: next(map(shown, chosen.get(key_id, BY_ID[key_id].each)), "")
        for key_id in _PLACE.findall(text)
    }
    parts = _BETWEEN.split(text)
    kept = [
        (sign, _PLACE.sub(lambda found: keys[found[1]], part))
        for sign, part in zip(["", *parts[1::2]], parts[::2], strict=True)
        if all(map(keys.get, _PLACE.findall(part)))
    ]
    return "".join(f"{sign if place else ''}{part}" for place, (sign, part) in enumerate(kept))
