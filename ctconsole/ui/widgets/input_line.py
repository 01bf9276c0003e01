"""A line that is typed into, whose keys are told as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.keys import KEY_NAME_REPLACEMENTS
from textual.widgets import Input

if TYPE_CHECKING:
    from textual.binding import BindingType

_SIGNS: Final = frozenset(KEY_NAME_REPLACEMENTS.values())
"""Keys that Textual names in its own way; of these it knows no character (8.2.8)."""


class InputLine(Input, inherit_bindings=False):
    """What a key types is no key of the view around it, and the arrows up and down are.

    Textual's own takes ``/``, ``+`` and ``-`` for keys of the view, so that a footer would promise
    them; and it has the arrows from what scrolls, which it does not do.
    """

    BINDINGS: ClassVar[list[BindingType]] = list(Input.BINDINGS)

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether a key is typed into it. Textual has no bindings but for those that are not."""
        return key in _SIGNS or super().check_consume_key(key, character)
