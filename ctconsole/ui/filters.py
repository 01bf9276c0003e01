"""What was typed and saved of filters, as the console's views share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.filterbook import FilterBook


class Filters:
    """Kept in a book where there is one, else until the console is left.

    Args:
        book: where they are kept.
    """

    def __init__(self, book: FilterBook | None = None) -> None:
        self._book = book
        self._typed: dict[str, list[str]] = {}
        self._saved: Mapping[str, str] | None = None

    def typed(self, what: str) -> Sequence[str]:
        """Filters typed for entries or events, the newest last."""
        if what not in self._typed:
            self._typed[what] = self._book.typed(what) if self._book else []
        return self._typed[what]

    def remember(self, what: str, text: str) -> str:
        """Put a filter behind those typed; why it is forgotten with the console, or nothing."""
        if not text:
            return ""
        self._typed[what] = [one for one in self.typed(what) if one != text] + [text]
        try:
            if self._book:
                self._book.remember(what, text)
        except CtconsoleError as error:
            return str(error)
        return ""

    @property
    def saved(self) -> Mapping[str, str]:
        """Saved filters by name; none where they cannot be read."""
        if self._saved is None:
            try:
                self._saved = self._book.saved() if self._book else {}
            except CtconsoleError:
                # Whoever saves one is told.
                self._saved = {}
        return self._saved

    def save(self, name: str, text: str) -> None:
        """Save a filter under a name.

        Raises:
            CtconsoleError: it cannot have that name, or cannot be kept.
        """
        if self._book:
            self._book.save(name, text)
        self._saved = {**self.saved, name: text}
