"""Watches what becomes of a table's entries after somebody has changed it, and tells by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.worker import get_current_worker

from ctconsole.model.ct.sequel import EntriesBefore
from ctconsole.model.units import duration
from ctconsole.ui.console import console_of
from ctconsole.ui.newest import Newest
from ctconsole.ui.screens.sequel import SequelScreen
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePath

    import numpy as np
    import numpy.typing as npt
    from textual.app import App

    from ctconsole.model.ct.sequel import Sequels
    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow

LOOKED_AT: Final = 60.0
"""Seconds for which it is watched."""

KEPT: Final = 600.0
"""Seconds for which it is told."""


class Sequelling:
    """A `ctconsole.ui.console.WatchesChange`.

    All but the comparing is done in the app's thread.

    Args:
        app: works off the comparing.
        now: the wall clock, seconds since the Unix epoch.
        watch: called when another map, or none, has to be read for it (`pin`).
        show: brings the screen up to date.
    """

    def __init__(
        self,
        app: App[None],
        now: Callable[[], float],
        watch: Callable[[], None],
        show: Callable[[], None],
    ) -> None:
        self._app, self._now, self._watch, self._show = app, now, watch, show
        self._work = Newest["CtTable"](self._begin_comparing)
        self._row: MapRow | None = None
        self._what = ""
        self._before: EntriesBefore | None = None
        self._changed_at: float | None = None
        self._seen: tuple[float, Sequels] | None = None
        self._over = False

    @property
    def pin(self) -> PurePath | int | None:
        """The map that has to be read for it; None: none."""
        return None if self._row is None or self._over else self._row.info.pin

    def expect(self, row: MapRow | None) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        if row is not None and row.is_conntrack:
            self._row, self._over = row, False
            self._before = self._changed_at = self._seen = None
            self._watch()

    def changing(
        self, what: str, sample: Sample, rows: Callable[[CtTable], npt.NDArray[np.bool_] | None]
    ) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._row is None:
            return
        self._what = what
        read = sample.table if sample.watched == self.pin else None
        lost = rows(read) if read is not None else None
        self._before = None if read is None or lost is None else EntriesBefore(read.take(lost))

    def changed(self) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._row is not None:
            self._changed_at = self._now()
            self._show()

    def left(self) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._changed_at is None:
            self._row = self._before = None
            self._watch()

    def look(self, sample: Sample) -> None:
        """Compare a new sample with what was there before."""
        if self._changed_at is None or self._over:
            return
        table = sample.table
        if self._now() - self._changed_at > LOOKED_AT:
            self._over = True
            self._watch()
            self._show()
        elif (
            self._before is not None
            and table is not None
            and sample.watched == self.pin
            and table.taken_at >= self._changed_at
        ):
            self._work.ask(table)

    def _begin_comparing(self) -> None:
        self._app.run_worker(
            self._compare, name="_compare", thread=True, group="sequel", exit_on_error=False
        )

    def _compare(self) -> None:
        before, table = self._before, self._work.wanted
        seen = None
        if before is not None and table is not None:
            seen = (table.taken_at, before.sequels(table))
        if not get_current_worker().is_cancelled:
            self._app.call_from_thread(self._compared, before, seen)

    def _compared(self, before: EntriesBefore | None, seen: tuple[float, Sequels] | None) -> None:
        self._work.ended()
        if before is self._before and seen is not None:
            self._seen = seen
            self._show()

    @property
    def told(self) -> str:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._changed_at is None or self._row is None:
            return ""
        passed = self._now() - self._changed_at
        if passed > KEPT:
            return ""
        after = min(passed, LOOKED_AT)
        left = "" if self._over else f", {duration(max(1, round(LOOKED_AT - after)))} to go"
        head = f"{clean(self._what)}, {duration(max(1, round(after)))} after{left}: "
        if self._before is None:
            return head + "what came back is not known: the table was not read before"
        if self._seen is None:
            return head + ("not read since" if self._over else "reading …")
        listing = console_of(self._app).keyed(" · {map.sequel} lists them")
        return f"{head}{self._seen[1].sentence}{listing}"

    def list(self) -> str:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._changed_at is None:
            return "nothing was changed from here yet"
        if self._before is None or self._seen is None:
            return self.told
        self._app.push_screen(SequelScreen(self.told, self._before.table, self._seen[1]))
        return ""
