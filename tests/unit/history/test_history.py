from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.history import PRUNE_EVERY, History, Retention
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


def append_many(path: Path, name: str) -> None:
    with History(path) as history:
        for number in range(50):
            history.append([event(f"{name}-{number}")])


def read_once(path: Path) -> None:
    with History(path, create=False) as history:
        history.read()


def test_whoever_reads_it_meanwhile_takes_no_log_from_those_who_write(tmp_path: Path) -> None:
    """Two connections in one process, as of a console; a reader in another comes and goes."""
    path = tmp_path / "history.db"
    spawn = multiprocessing.get_context("spawn")
    with History(path) as first:
        first.append([event("before")])
        with History(path) as second:
            second.append([event("by another")])
        reader = spawn.Process(target=read_once, args=(path,))
        reader.start()
        reader.join(30)
        assert reader.exitcode == 0
        first.append([event("after")])
        assert path.with_name("history.db-wal").exists()
    with History(path, create=False) as history:
        told = [found.message for _, found in history.read()]
    assert told == ["before", "by another", "after"]


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
        follower = reader.follow(writer.read()[-1][0], poll=0.01)
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


def messages(history: History) -> list[str]:
    return [found.message for _, found in history.read()]


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    now = time.time()
    with History(tmp_path / "history.db", keep=Retention(age=3600, events=0)) as history:
        history.append([replace(event("old"), time=now - 3601), replace(event("new"), time=now)])
        assert messages(history) == ["new"]


def test_of_too_many_the_quiet_ones_go_first_and_then_the_oldest(tmp_path: Path) -> None:
    quiet = replace(event("quiet"), level=Level.DEBUG)
    with History(tmp_path / "history.db", keep=Retention(age=0, events=2)) as history:
        history.append([event("first"), event("second"), quiet, event("third")])
        assert messages(history) == ["second", "third"]
        ids = [number for number, _ in history.read()]
        history.append([event(str(number)) for number in range(PRUNE_EVERY)])
        assert messages(history) == ["498", "499"]
        assert history.read()[0][0] > ids[-1]


def test_a_history_without_limits_keeps_everything(tmp_path: Path) -> None:
    with History(tmp_path / "history.db", keep=Retention(age=0, events=0)) as history:
        history.append([event("x")] * (PRUNE_EVERY + 1))
        assert len(history.read()) == PRUNE_EVERY + 1


def test_who_was_told_no_limits_deletes_nothing(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        history.append([replace(event("ancient"), time=1.0)])
        assert messages(history) == ["ancient"]


def test_every_question_is_answered_from_an_index(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    asked: list[str] = []
    with History(path, keep=Retention(age=1e10, events=1)) as history:
        assert history._database
        history._database.set_trace_callback(asked.append)
        history.append([event("a"), event("b"), replace(event("c"), level=Level.DEBUG)] * 2)
        history.read(5, newest=True, limit=10)
        history.read(kinds=[EventKind.STORY])
        history.read(kinds=[EventKind.STORY], newest=True, limit=1)
        history.read(debug=False, newest=True, limit=10)
        history.read(kinds=[EventKind.STORY, EventKind.GC_PASS], debug=False)
        history._database.set_trace_callback(None)
        questions = [sql for sql in asked if sql.startswith(("SELECT", "DELETE"))]
        assert len(questions) >= 8
        for sql in questions:
            plan = [row[3] for row in history._database.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert [step for step in plan if step == "SCAN events"] == [], (sql, plan)


@pytest.mark.parametrize("whole_folder", [False, True])
def test_a_replaced_history_is_found_again_and_its_ids_go_on(
    tmp_path: Path, *, whole_folder: bool
) -> None:
    path = tmp_path / "state" / "history.db"
    with History(path) as first, History(path, create=False) as reader:
        first.append([event("one"), event("two")])
        (last, _) = reader.read()[-1]
        if whole_folder:
            shutil.rmtree(path.parent)
        else:
            path.unlink()
        with History(path) as second:
            second.append([event("three")])
            assert [found.message for _, found in reader.read(last)] == ["three"]
            first.append([event("four")])
            assert [found.message for _, found in reader.read(last)] == ["three", "four"]
            assert [found.message for _, found in reader.read(reader.read(last)[0][0])] == ["four"]
        # What the first ones let go of must not take the new file's log along.
    with History(path, create=False) as history:
        assert messages(history) == ["three", "four"]


def test_a_removed_history_is_made_again_by_who_writes_but_never_its_folder(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state" / "history.db"
    with History(path) as writer, History(path, create=False) as reader:
        path.unlink()
        with pytest.raises(CtconsoleError, match="There is no history at"):
            reader.read()
        writer.append([event("again")])
        assert messages(reader) == ["again"]
        shutil.rmtree(path.parent)
        with pytest.raises(CtconsoleError, match="cannot be opened"):
            writer.append([event("nowhere")])
        assert not path.parent.exists()


def test_a_follower_waits_for_a_history_that_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with History(path) as writer, History(path, create=False) as reader:
        writer.append([event("before")])
        follower = reader.follow(poll=0.01)
        assert next(follower)[1].message == "before"
        path.unlink()
        timer = threading.Timer(0.05, lambda: writer.append([event("after")]))
        timer.start()
        assert next(follower)[1].message == "after"
        timer.join()


def test_a_full_disk_is_called_so(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        history.append([event("fits")])
        assert history._database
        pages = history._database.execute("PRAGMA page_count").fetchone()[0]
        history._database.execute(f"PRAGMA max_page_count={pages}").close()
        big = replace(event("big"), message="x" * 100_000)
        with pytest.raises(CtconsoleError, match="disk is full"):
            history.append([big])
        history._database.execute("PRAGMA max_page_count=100000").close()
        history.append([big])
        assert len(history.read()) == 2


def test_fills_come_back_by_map_oldest_first(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        history.append_fills(20.0, {"/a": 7, "/b": 1})
        history.append_fills(10.0, {"/a": 5})
        assert history.fills() == {"/a": ((10.0, 5), (20.0, 7)), "/b": ((20.0, 1),)}
        assert history.fills(since=15.0)["/a"] == ((20.0, 7),)
        assert history.fills(path="/b") == {"/b": ((20.0, 1),)}
        assert not history.read()


def test_fills_that_are_too_old_go(tmp_path: Path) -> None:
    with History(tmp_path / "history.db", keep=Retention(age=100)) as history:
        history.append_fills(1000.0, {"/a": 1})
        history.append_fills(1050.0, {"/a": 2})
        history.append_fills(1120.0, {"/a": 3})
        assert history.fills()["/a"] == ((1050.0, 2), (1120.0, 3))


def test_a_history_from_before_fills_has_none(tmp_path: Path) -> None:
    with History(tmp_path / "history.db") as history:
        history.append([event("kept")])
        with sqlite3.connect(tmp_path / "history.db") as database:
            database.execute("DROP TABLE fills")
        database.close()
        assert history.fills() == {}
