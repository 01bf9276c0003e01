"""The store of events: one SQLite file that outlives agents and takes several writers at once.

Write-ahead logging lets readers and one writer work together; writers wait for each other.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from ctconsole.errors import CtconsoleError
from ctconsole.model.event import Event, EventKind, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

BUSY_SECONDS = 10.0
"""How long a writer waits for another one before it gives up."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    time    REAL NOT NULL,
    kind    TEXT NOT NULL,
    source  TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    level   TEXT NOT NULL,
    fields  TEXT NOT NULL
)
"""


class History:
    """The events in one file. Safe to use from several threads and processes.

    Args:
        path: the file; made with the folders above it where missing.
        create: False refuses a file that is not there instead of making it.

    Raises:
        CtconsoleError: the file cannot be opened, or is no history.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._lock = threading.Lock()
        if not create and not path.exists():
            raise CtconsoleError(
                f"There is no history at {path}", hint="It is made when an agent first starts"
            )
        try:
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise CtconsoleError(f"The history {path} cannot be opened: {error}") from error

    def _prepare(self) -> None:
        """Turn on write-ahead logging and make the table.

        Changing the journal mode does not wait for other writers by itself, so a start beside
        another one tries until `BUSY_SECONDS` are over.
        """
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with closing(self._database.execute("PRAGMA journal_mode=WAL")):
                    break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.01)
        self._database.execute("PRAGMA synchronous=NORMAL").close()
        self._database.execute(_SCHEMA).close()

    def append(self, events: Iterable[Event]) -> None:
        """Store events, all of them or none.

        Raises:
            CtconsoleError: the file cannot be written.
        """
        rows = [
            (
                event.time,
                event.kind.value,
                event.source,
                event.subject,
                event.message,
                event.level.value,
                json.dumps(dict(event.fields)),
            )
            for event in events
        ]
        if not rows:
            return
        insert = (
            "INSERT INTO events (time, kind, source, subject, message, level, fields) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        try:
            with self._lock:
                self._database.execute("BEGIN IMMEDIATE").close()
                try:
                    self._database.executemany(insert, rows).close()
                    self._database.execute("COMMIT").close()
                except BaseException:
                    self._database.execute("ROLLBACK").close()
                    raise
        except sqlite3.Error as error:
            raise CtconsoleError(f"The history {self.path} cannot be written: {error}") from error

    def read(
        self,
        since_id: int = 0,
        limit: int | None = None,
        kinds: Iterable[EventKind] | None = None,
        *,
        newest: bool = False,
        debug: bool = True,
    ) -> list[tuple[int, Event]]:
        """Events and their ids, oldest first.

        Args:
            since_id: only events after this one; ids grow and are never reused.
            limit: at most so many.
            kinds: only these kinds.
            newest: with a limit, the last ones instead of the first ones.
            debug: False leaves out events of level debug.

        Raises:
            CtconsoleError: the file is damaged.
        """
        wanted = sorted(kind.value for kind in kinds) if kinds is not None else None
        among = f" AND kind IN ({','.join('?' * len(wanted))})" if wanted is not None else ""
        among += "" if debug else " AND level != 'debug'"
        order = "DESC" if newest else "ASC"
        query = (
            "SELECT id, time, kind, source, subject, message, level, fields FROM events "  # noqa: S608 - nothing given is pasted in
            f"WHERE id > ?{among} ORDER BY id {order} LIMIT ?"
        )
        given = (since_id, *(wanted or ()), -1 if limit is None else limit)
        try:
            with self._lock, closing(self._database.execute(query, given)) as cursor:
                found = [(row[0], _event(row)) for row in cursor]
        except (sqlite3.Error, ValueError) as error:
            raise CtconsoleError(f"The history {self.path} cannot be read: {error}") from error
        return found[::-1] if newest else found

    def last_id(self) -> int:
        """The id of the newest event, 0 where there is none."""
        newest = self.read(limit=1, newest=True)
        return newest[0][0] if newest else 0

    def follow(
        self,
        since_id: int = 0,
        *,
        stopped: Callable[[], bool] = lambda: False,
        poll: float = 0.2,
    ) -> Iterator[tuple[int, Event]]:
        """Events after ``since_id`` as they come, from any process, until ``stopped()``.

        ``poll`` is the longest time in seconds that an event stays unseen.
        """
        while not stopped():
            for number, event in self.read(since_id):
                since_id = number
                yield number, event
            time.sleep(poll)

    def close(self) -> None:
        """Close the file; nothing is lost that was appended."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _event(row: tuple[int, float, str, str, str, str, str, str]) -> Event:
    """A row as an event; a kind that a newer version wrote is shown as a warning."""
    _, when, kind, source, subject, message, level, fields = row
    known = kind in EventKind._value2member_map_
    return Event(
        time=when,
        kind=EventKind(kind) if known else EventKind.WARNING,
        source=source,
        subject=subject,
        message=message if known else f"{kind}: {message}",
        level=Level(level),
        fields=MappingProxyType(json.loads(fields)),
    )
