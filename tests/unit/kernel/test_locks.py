from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAKE = "import os, sys; from ctconsole.kernel import locks; print(locks.take(int(sys.argv[1])))"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def fd(path: Path) -> Iterator[int]:
    made = os.open(path, os.O_RDWR | os.O_CREAT)
    yield made
    os.close(made)


def test_the_holder_is_named_by_the_kernel(path: Path, fd: int) -> None:
    assert locks.holder(path) is None
    assert locks.take(fd)
    assert locks.holder(path) == os.getpid()
    assert path.read_bytes() == b""


def test_a_second_open_file_cannot_have_it(path: Path, fd: int) -> None:
    assert locks.take(fd)
    other = os.open(path, os.O_RDWR)
    assert not locks.take(other)
    os.close(other)
    assert locks.holder(path) == os.getpid()


@pytest.mark.parametrize("before", [1, 4_000_000])
def test_a_lock_handed_over_names_its_new_holder(
    path: Path, fd: int, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: before)
        assert locks.take(fd)
    assert locks.holder(path) == before
    assert locks.take(fd)
    assert locks.holder(path) == os.getpid()


def test_it_outlives_the_descriptor_of_whoever_handed_it_over(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    assert locks.take(fd)
    hold = f"{TAKE}; sys.stdout.flush(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(fd)],
        pass_fds=[fd],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        os.close(fd)
        assert child.stdout
        assert child.stdin
        assert child.stdout.readline() == "True\n"
        assert locks.holder(path) == child.pid
        child.stdin.close()
    assert locks.holder(path) is None


def test_no_file_is_nobody(tmp_path: Path) -> None:
    assert locks.holder(tmp_path / "none") is None
