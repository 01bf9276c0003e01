"""The one entry that is followed: across samples, views and its own end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.model.ct.followed import FollowedEntry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePath

    from ctconsole.model.ct.field import Facts
    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.sampler import Sample


class Following:
    """Shared by all views.

    Args:
        watch: called when another map, or none, has to be read for it (`pin`).

    Attributes:
        entry: what is followed; None: nothing is.
    """

    def __init__(self, watch: Callable[[], None]) -> None:
        self._watch = watch
        self.entry: FollowedEntry | None = None

    @property
    def pin(self) -> PurePath | int | None:
        """The map that has to be read for it; None: none."""
        if self.entry is None:
            return None
        info = self.entry.last.info
        return info.pin or info.id

    def begin(self, table: CtTable, key: bytes) -> None:
        """Follow this entry of a table, which has it, in the place of the one before."""
        self.entry = FollowedEntry(table, key)
        self._watch()

    def end(self) -> None:
        """Follow nothing."""
        self.entry = None
        self._watch()

    def look(self, sample: Sample) -> None:
        """Take note of a new sample."""
        if self.entry is not None and sample.table is not None:
            self.entry.look(sample.table)

    def facts(self, key: bytes) -> Facts:
        """What happened to the entry of this key; nothing where it is not the one followed."""
        if self.entry is None or self.entry.key != key:
            return []
        return self.entry.facts
