from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

import pytest

from ctconsole.errors import MissingFeatureError
from ctconsole.observe import tail
from tests.support.foreign import until

if TYPE_CHECKING:
    from pathlib import Path


class Follower:
    """Gathers the lines of a file in a thread."""

    def __init__(self, path: Path, *, from_start: bool = False) -> None:
        self.lines: list[str] = []
        self._ended = threading.Event()
        self._path, self._from_start = path, from_start
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for line in tail.follow_file(self._path, self._ended.is_set, from_start=self._from_start):
            self.lines.append(line)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def sees(self, *lines: str) -> bool:
        return until(lambda: self.lines == list(lines), 5)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "agent.log"
    path.write_text("before\n")
    return path


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_lines_are_read_as_they_are_added_and_halves_are_kept(log: Path) -> None:
    with Follower(log, from_start=True) as follower:
        assert follower.sees("before")
        add(log, "one\ntw")
        assert follower.sees("before", "one")
        add(log, "o\n")
        assert follower.sees("before", "one", "two")


def test_a_rotated_file_is_read_to_its_end_and_its_successor_from_its_start(log: Path) -> None:
    with Follower(log, from_start=True) as follower:
        assert follower.sees("before")
        log.rename(log.with_suffix(".1"))
        add(log.with_suffix(".1"), "last\n")
        log.write_text("first\n")
        assert follower.sees("before", "last", "first")


def test_a_truncated_file_is_read_from_its_start(log: Path) -> None:
    with Follower(log, from_start=True) as follower:
        assert follower.sees("before")
        log.write_text("new\n")
        assert follower.sees("before", "new")


@pytest.mark.parametrize("text", ["BEFORE\n", "changed, and longer\n"])
def test_a_file_written_anew_is_read_from_its_start_however_long_it_became(
    log: Path, text: str
) -> None:
    with Follower(log, from_start=True) as follower:
        assert follower.sees("before")
        log.write_text(text)
        assert follower.sees("before", text.strip())
        add(log, "more\n")
        assert follower.sees("before", text.strip(), "more")


def test_a_pipe_by_name_keeps_nobody_waiting_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert list(tail.follow_file(path, iter([False, False, True]).__next__)) == []
    with Follower(path) as follower:
        with path.open("w") as pipe:
            pipe.write("one\n")
            pipe.flush()
            assert follower.sees("one")
        with path.open("w") as pipe:
            pipe.write("two\n")
        assert follower.sees("one", "two")


def test_a_plain_file_as_standard_input_is_cut_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n" + b"x" * (3 * tail.LONGEST_LINE) + b"\ntwo")
    with path.open("rb") as stream:
        one, long, two = tail.follow_stream(stream)
    assert (one, two) == ("one", "two")
    assert len(long) <= tail.LONGEST_LINE + tail.CHUNK


def test_a_file_that_comes_later_is_read_whole(tmp_path: Path) -> None:
    with Follower(tmp_path / "later", from_start=True) as follower:
        add(tmp_path / "later", "x\n")
        assert follower.sees("x")


def test_a_pipe_is_read_until_it_ends() -> None:
    read, write = os.pipe()
    os.write(write, b"one\r\ntwo")
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        assert list(tail.follow_stream(stream)) == ["one", "two"]


def test_a_journal_is_read_through_its_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "journalctl"
    tool.write_text('#!/bin/sh\necho "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert list(tail.follow("journal")) == ["-f -n 0 -o cat -u cilium"]
    with pytest.raises(MissingFeatureError, match="journalctl"):
        list(tail.follow_journal(program="no-such-journalctl"))


def test_a_line_without_end_does_not_grow_for_ever() -> None:
    lines = tail.Lines()
    for _ in range(40):
        assert lines.feed(b"x" * tail.CHUNK) == []
    assert len(lines.end()[0]) == tail.LONGEST_LINE
