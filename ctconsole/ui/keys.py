"""The rows of the table of keys as Textual has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import Binding

from ctconsole.keytable import UNBOUND, keys_of

if TYPE_CHECKING:
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
