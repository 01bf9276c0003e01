"""One worker at a time, and of what is asked for meanwhile only the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Wanted = TypeVar("Wanted")


class Newest(Generic[Wanted]):
    """Has one thing done after the other, where each takes a while.

    A thread cannot be broken off. Where samples come faster than they are worked up, threads that
    nobody waits for any more would each hold a table of their own. All but reading `wanted` is done
    in one thread.

    Args:
        begin: begins to do what is `wanted`, and sees that `ended` is called after that, however
            it ends.

    Attributes:
        wanted: what is being done. A worker takes it from here: what it is called with lives as
            long as Textual remembers that there was a worker.
    """

    def __init__(self, begin: Callable[[], object]) -> None:
        self._begin = begin
        self._next: Wanted | None = None
        self.wanted: Wanted | None = None

    def ask(self, wanted: Wanted) -> None:
        """Do this next."""
        if self.wanted is not None:
            self._next = wanted
            return
        self.wanted = wanted
        self._begin()

    def ended(self) -> None:
        """What was begun is over."""
        wanted, self._next, self.wanted = self._next, None, None
        if wanted is not None:
            self.ask(wanted)
