from __future__ import annotations

import os
import shutil
import time
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from ctconsole.datapath import keeping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "5a" * 32
PROGRAMS = {"from_container": b"\x95" + bytes(7), "to_container": b"\xb7" + bytes(15)}


@pytest.fixture
def header(tmp_path: Path) -> Path:
    """A file that programs are made of."""
    path = tmp_path / "bpf.h"
    path.write_text("#define ONE 1\n")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where they are kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "ctconsole/programs"


@pytest.fixture
def entry(folder: Path, header: Path) -> Path:
    """The file of a compilation that is kept."""
    later = header.stat().st_ctime_ns + 1
    keeping.keep(KEY, PROGRAMS, [str(header)], later)
    assert keeping.kept(KEY) == PROGRAMS
    return folder / KEY


def test_another_compilation_is_not_known(entry: Path) -> None:
    other = "00" * 32
    assert keeping.kept(other) is None
    shutil.copy(entry, entry.with_name(other))
    assert keeping.kept(other) is None


def rewritten(header: Path) -> None:
    header.write_text("#define ONE 2\n")


def put_back(header: Path) -> None:
    """Other text of the same length, with the times of the old one."""
    old = header.stat()
    rewritten(header)
    os.utime(header, ns=(old.st_atime_ns, old.st_mtime_ns))


@pytest.mark.parametrize("change", [rewritten, put_back, os.remove])
@pytest.mark.usefixtures("entry")
def test_what_was_made_of_something_else_is_not_taken(
    header: Path, change: Callable[[Path], None]
) -> None:
    ticked = header.stat().st_ctime_ns
    while header.exists() and header.stat().st_ctime_ns == ticked:
        change(header)
    assert keeping.kept(KEY) is None


def test_what_is_not_whole_is_not_taken(entry: Path) -> None:
    whole = entry.read_bytes()
    step = max(1, len(whole) // 60)
    for at in range(0, len(whole), step):
        entry.write_bytes(whole[:at])
        assert keeping.kept(KEY) is None
        entry.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert keeping.kept(KEY) is None
    entry.write_bytes(whole)
    assert keeping.kept(KEY) == PROGRAMS


@pytest.mark.parametrize("body", ["[]", "{}", "null", '{"key": 1, "made_of": 2}', "[" * 100_000])
def test_what_is_no_entry_is_not_taken(entry: Path, body: str) -> None:
    entry.write_text(f"{sha256(body.encode()).hexdigest()}\n{body}")
    assert keeping.kept(KEY) is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_others_can_write_to_is_not_taken(entry: Path, mode: int) -> None:
    entry.chmod(mode)
    assert keeping.kept(KEY) is None


def test_neither_a_link_nor_a_pipe_is_followed(entry: Path) -> None:
    moved = entry.rename(entry.with_name("moved"))
    entry.symlink_to(moved)
    assert keeping.kept(KEY) is None
    entry.unlink()
    os.mkfifo(entry)
    assert keeping.kept(KEY) is None


def test_too_much_is_not_read(entry: Path) -> None:
    os.truncate(entry, 1 << 40)
    assert keeping.kept(KEY) is None


def test_what_changed_while_it_was_read_is_not_kept(folder: Path, header: Path) -> None:
    keeping.keep(KEY, PROGRAMS, [str(header)], header.stat().st_ctime_ns)
    assert keeping.kept(KEY) is None
    keeping.keep(KEY, PROGRAMS, [f"{header} (deleted)"], time.time_ns())
    assert keeping.kept(KEY) is None
    assert list(folder.iterdir()) == []


def test_no_more_than_so_many_are_kept(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_MOST_FILES", 3)
    for age in range(1, 4):
        draft = entry.with_name(f".draft.{age}")
        draft.touch()
        os.utime(draft, (1000 - age, 1000 - age))
    os.utime(entry, (1, 1))
    assert keeping.kept(KEY) == PROGRAMS
    keeping.keep("00" * 32, PROGRAMS, [], time.time_ns())
    assert {path.name for path in entry.parent.iterdir()} == {"00" * 32, KEY, ".draft.1"}


def test_where_nothing_can_be_kept_nothing_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path))
    folder.parent.write_text("no folder")
    (tmp_path / "cache").write_text("none either")
    keeping.keep(KEY, PROGRAMS, [], time.time_ns())
    assert keeping.kept(KEY) is None
