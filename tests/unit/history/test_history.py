from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.history import History
from ctconsole.model.event import Event, EventKind, Level

if TYPE_CHECKING:
    from pathlib import Path


def event(message: str, kind: EventKind = EventKind.STORY) -> Event:
    return Event(1.5, kind, "test", "/pin", message, Level.WARNING, {"old": 1, "new": None})


def test_events_come_back_as_they_went_in(tmp_path: Path) -> None:
    with History(tmp_path / "below" / "history.db") as history:
        history.append([event("one"), event("two")])
        history.append([])
        assert [found for _, found in history.read()] == [event("one"), event("two")]


def test_events_survive_the_process_that_wrote_them(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        history.append([event("kept")])
    with History(tmp_path / "history.db", create=False) as history:
        assert history.read()[0][1].message == "kept"


def test_reading_is_narrowed_by_id_limit_and_kind(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        history.append([event(str(n)) for n in range(5)] + [event("gc", EventKind.GC_PASS)])
        ids = [number for number, _ in history.read()]
        assert [found.message for _, found in history.read(ids[2], limit=2)] == ["3", "4"]
        assert [found.message for _, found in history.read(limit=2, newest=True)] == ["4", "gc"]
        assert [found.message for _, found in history.read(kinds=[EventKind.GC_PASS])] == ["gc"]
        assert history.read(kinds=[]) == []
        assert history.last_id() == ids[-1]


def append_many(path: Path, name: str) -> None:
    with History(path) as history:
        for number in range(50):
            history.append([event(f"{name}-{number}")])


def test_writers_in_several_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=append_many, args=(path, str(n))) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with History(path) as history:
        messages = [found.message for _, found in history.read()]
    assert len(messages) == 150
    for name in "012":
        mine = [message for message in messages if message.startswith(f"{name}-")]
        assert mine == [f"{name}-{n}" for n in range(50)]


def test_threads_may_share_one_history(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:

        def append_some() -> None:
            for _ in range(20):
                history.append([event("x")])

        threads = [threading.Thread(target=append_some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(history.read()) == 80


def test_followers_see_what_another_handle_writes(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with History(path) as writer, History(path) as reader:
        writer.append([event("before")])
        follower = reader.follow(writer.last_id(), poll=0.01)
        timer = threading.Timer(0.05, lambda: writer.append([event("later"), event("last")]))
        timer.start()
        assert [found.message for _, found in islice(follower, 2)] == ["later", "last"]
        timer.join()


def test_followers_end_when_they_are_told_to(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        history.append([event("only")])
        answers = iter([False, True])
        seen = list(history.follow(stopped=lambda: next(answers), poll=0.0))
        assert [found.message for _, found in seen] == ["only"]


def test_kind_of_a_newer_version_is_shown_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with History(path) as history:
        history.append([event("moved")])
        database = sqlite3.connect(path)
        with database:
            database.execute("UPDATE events SET kind = 'map-teleported'")
        database.close()
        (_, found) = history.read()[0]
    assert found.kind is EventKind.WARNING
    assert found.message == "map-teleported: moved"


def test_missing_and_damaged_files_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(CtconsoleError, match="There is no history at"):
        History(tmp_path / "none.db", create=False)
    (tmp_path / "damaged.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(CtconsoleError, match="cannot be opened"):
        History(tmp_path / "damaged.db")
