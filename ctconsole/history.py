"""The store of events: one SQLite file that outlives agents and takes several writers at once.

Write-ahead logging lets readers and one writer work together; writers wait for each other.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.config import HISTORY_MAX_AGE, HISTORY_MAX_EVENTS
from ctconsole.errors import CtconsoleError
from ctconsole.handles import Handle
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.private import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.model.fill import Trend

BUSY_SECONDS = 10.0
"""How long a writer waits for another one before it gives up."""

PRUNE_EVERY: Final = 500
"""Events appended between two prunings, so a history has at most so many above its limit."""

_PRUNED_AT_ONCE: Final = 5000
"""Events one append deletes at most: other writers wait meanwhile."""

_INSERT: Final = (
    "INSERT INTO events (time, kind, source, subject, message, level, fields) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)

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

_FILLS: Final = """
CREATE TABLE IF NOT EXISTS fills (
    time    REAL NOT NULL,
    path    TEXT NOT NULL,
    entries INTEGER NOT NULL
)
"""
"""How many entries each map had, from minute to minute."""

_INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS events_kind ON events (kind)",
    "CREATE INDEX IF NOT EXISTS events_time ON events (time)",
    "CREATE INDEX IF NOT EXISTS events_loud ON events (id) WHERE level != 'debug'",
    "CREATE INDEX IF NOT EXISTS events_debug ON events (id) WHERE level = 'debug'",
    "CREATE INDEX IF NOT EXISTS fills_path ON fills (path, time)",
)
"""One for each question that the ids alone do not answer."""

_TOO_OLD: Final = (
    "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time < ? ORDER BY time LIMIT ?)"
)
_FIRST_DEBUG: Final = (
    "DELETE FROM events WHERE id IN "
    "(SELECT id FROM events WHERE level = 'debug' ORDER BY id LIMIT ?)"
)
_OLD_FILLS: Final = "DELETE FROM fills WHERE time < ?"
_FILLS_SINCE: Final = (
    "SELECT path, time, entries FROM fills WHERE path BETWEEN ? AND ? AND time >= ? "
    "ORDER BY path, time"
)
_FIRST: Final = (
    "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id > 0 ORDER BY id LIMIT ?)"
)


@dataclass(frozen=True, slots=True)
class Retention:
    """What a history keeps; what is beyond goes, some time after it is.

    Attributes:
        age: seconds; older events go. 0 keeps them whatever their age.
        events: how many; beyond it those of level debug go first, then the oldest. 0 keeps all.
    """

    age: float = HISTORY_MAX_AGE
    events: int = HISTORY_MAX_EVENTS


def _make(path: Path) -> None:
    """Make the file where there is none; SQLite gives the files beside it the same mode.

    One that is there is not even opened: closing it again would take the locks from every other
    connection of this process (POSIX locks), and the next process to close the file would remove
    the log that those go on writing to.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


class History(Handle):
    """The events in one file. Safe to use from several threads and processes.

    A file that was removed or replaced meanwhile is noticed: the one that is there now is used,
    and a new one made where its folder still is. Ids go on above those given before.

    Args:
        path: the file; made with the folders above it where missing.
        create: False refuses a file that is not there instead of making it.
        keep: what is kept when events are appended; None leaves that to other writers.

    Raises:
        CtconsoleError: the file cannot be opened, or is no history.
    """

    def __init__(self, path: Path, *, create: bool = True, keep: Retention | None = None) -> None:
        self.path = path
        self.keep = keep
        self._create = create
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._before = self._highest = 0
        self._since_pruned = PRUNE_EVERY
        if create:
            try:
                make_folder(path.parent)
            except OSError as error:
                raise CtconsoleError(f"The history {path} cannot be opened: {error}") from error
        self._open()

    @property
    def is_open(self) -> bool:
        """Whether `close` was not called yet."""
        return self._database is not None

    def _open(self) -> sqlite3.Connection:
        """Open what is at the path now."""
        path = self.path
        if not self._create and not path.exists():
            raise CtconsoleError(
                f"There is no history at {path}", hint="It is made when an agent first starts"
            )
        try:
            if self._create:
                _make(path)
            database = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(database)
                found = path.stat()
            except BaseException:
                database.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise CtconsoleError(f"The history {path} cannot be opened: {error}") from error
        self._database, self._file = database, (found.st_dev, found.st_ino)
        return database

    def _current(self) -> sqlite3.Connection:
        """The database of the file that is at the path now; to be called under the lock.

        Raises:
            CtconsoleError: there is none any more and none may be made, or it was closed.
        """
        database = self._database
        if database is None:
            raise CtconsoleError(f"The history {self.path} is closed")
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            now = None
        except OSError:
            # What may not be looked at may still be there.
            return database
        else:
            now = (found.st_dev, found.st_ino)
        if now == self._file:
            return database
        fresh = self._open()
        database.close()
        # The new file counts from one again.
        self._before, self._since_pruned = self._highest, PRUNE_EVERY
        return fresh

    def append(self, events: Iterable[Event]) -> None:
        """Store events, all of them or none, and let go of what is not to be kept.

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
        try:
            with self._lock:
                database = self._current()
                database.execute("BEGIN IMMEDIATE").close()
                try:
                    database.executemany(_INSERT, rows).close()
                    database.execute("COMMIT").close()
                except BaseException:
                    _roll_back(database)
                    raise
                self._since_pruned += len(rows)
                if self.keep is not None and self._since_pruned >= PRUNE_EVERY:
                    self._prune(database, self.keep)
        except sqlite3.Error as error:
            raise CtconsoleError(f"The history {self.path} cannot be written: {error}") from error

    def _prune(self, database: sqlite3.Connection, keep: Retention) -> None:
        """Delete what is not to be kept; what cannot be deleted now is tried later."""
        left = _PRUNED_AT_ONCE
        # The events are stored: that old ones could not be deleted is no reason to say otherwise.
        with suppress(sqlite3.Error):
            if keep.age:
                left -= _changed(database, _TOO_OLD, time.time() - keep.age, left)
            if keep.events:
                with closing(database.execute("SELECT count(*) FROM events")) as cursor:
                    excess = cursor.fetchone()[0] - keep.events
                for statement in (_FIRST_DEBUG, _FIRST):
                    if (some := min(excess, left)) > 0:
                        gone = _changed(database, statement, some)
                        excess, left = excess - gone, left - gone
        # Where there was more than is deleted at once, the next append goes on.
        self._since_pruned = 0 if left > 0 else PRUNE_EVERY

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
            CtconsoleError: the file is damaged, or gone.
        """
        wanted = sorted(kind.value for kind in kinds) if kinds is not None else None
        among = f" AND kind IN ({','.join('?' * len(wanted))})" if wanted is not None else ""
        among += "" if debug else " AND level != 'debug'"
        order = "DESC" if newest else "ASC"
        query = (
            "SELECT id, time, kind, source, subject, message, level, fields FROM events "  # noqa: S608 - nothing given is pasted in
            f"WHERE id > ?{among} ORDER BY id {order} LIMIT ?"
        )
        try:
            with self._lock:
                database, before = self._current(), self._before
                after = max(0, since_id - before)
                given = (after, *(wanted or ()), -1 if limit is None else limit)
                with closing(database.execute(query, given)) as cursor:
                    found = [(before + row[0], _event(row)) for row in cursor]
                if found:
                    self._highest = max(self._highest, found[0][0], found[-1][0])
        except (sqlite3.Error, ValueError) as error:
            raise CtconsoleError(f"The history {self.path} cannot be read: {error}") from error
        return found[::-1] if newest else found

    def append_fills(self, when: float, entries: Mapping[str, int]) -> None:
        """Store how many entries maps have, and let go of what is too old to be kept.

        Args:
            when: seconds since the Unix epoch.
            entries: by the map's pin.

        Raises:
            CtconsoleError: the file cannot be written.
        """
        rows = [(when, path, number) for path, number in entries.items()]
        try:
            with self._lock:
                database = self._current()
                database.executemany("INSERT INTO fills VALUES (?, ?, ?)", rows).close()
                if self.keep is not None and self.keep.age:
                    _changed(database, _OLD_FILLS, when - self.keep.age)
        except sqlite3.Error as error:
            raise CtconsoleError(f"The history {self.path} cannot be written: {error}") from error

    def fills(self, since: float = 0.0, path: str = "") -> dict[str, Trend]:
        """How many entries maps had since then, by pin, oldest first; of one pin, or of all.

        Empty of a history that nobody has written such into.

        Raises:
            CtconsoleError: the file is damaged, or gone.
        """
        found: dict[str, list[tuple[float, int]]] = {}
        wanted = (path, path or "\U0010ffff", since)
        try:
            with self._lock, closing(self._current().execute(_FILLS_SINCE, wanted)) as cursor:
                for name, when, entries in cursor:
                    found.setdefault(name, []).append((when, entries))
        except sqlite3.Error as error:
            if "no such table" not in str(error):
                raise CtconsoleError(f"The history {self.path} cannot be read: {error}") from error
        return {name: tuple(points) for name, points in found.items()}

    def follow(
        self,
        since_id: int = 0,
        *,
        stopped: Callable[[], bool] = lambda: False,
        poll: float = 0.2,
    ) -> Iterator[tuple[int, Event]]:
        """Events after ``since_id`` as they come, from any process, until ``stopped()``.

        A file that was removed is waited for. ``poll`` is the longest time in seconds that an
        event stays unseen.
        """
        while not stopped():
            if self.path.exists():
                for number, event in self.read(since_id):
                    since_id = number
                    yield number, event
            time.sleep(poll)

    def close(self) -> None:
        """Close the file; nothing is lost that was appended. May be called again."""
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                database.close()


def _prepare(database: sqlite3.Connection) -> None:
    """Turn on write-ahead logging and make the table.

    Changing the journal mode does not wait for other writers by itself, so a start beside
    another one tries until `BUSY_SECONDS` are over.
    """
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with closing(database.execute("PRAGMA journal_mode=WAL")):
                break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)
    database.execute("PRAGMA synchronous=NORMAL").close()
    database.execute(_SCHEMA).close()
    # Whoever may only read a history that an older version wrote does without them.
    with suppress(sqlite3.OperationalError):
        for statement in (_FILLS, *_INDEXES):
            database.execute(statement).close()


def _roll_back(database: sqlite3.Connection) -> None:
    """Undo what was begun; a full disk, among others, has undone it already."""
    with suppress(sqlite3.Error):
        if database.in_transaction:
            database.execute("ROLLBACK").close()


def _changed(database: sqlite3.Connection, statement: str, *given: float) -> int:
    """Run a statement; how many rows it changed."""
    with closing(database.execute(statement, given)) as cursor:
        return cursor.rowcount


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
        fields=json.loads(fields),
    )
