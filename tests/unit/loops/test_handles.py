from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctconsole.handles import Handle
from ctconsole.history import History

ROOT = Path(__file__).parents[3]

LEAKING = """
from ctconsole.history import History

def test_drops(tmp_path):
    History(tmp_path / "history.db")

def test_drops_in_a_circle(tmp_path):
    dropped = History(tmp_path / "history.db")
    dropped.itself = dropped

def test_closes(tmp_path):
    History(tmp_path / "history.db").close()
"""


class Thing(Handle):
    """Counts how often it was closed."""

    def __init__(self, closed: list[str], *, fails: bool = False) -> None:
        if fails:
            raise ValueError("not made")
        self._closed = closed
        self._open = True

    @property
    def is_open(self) -> bool:
        return self._open

    def close(self) -> None:
        self._open = False
        self._closed.append("closed")


def test_a_handle_closes_at_the_end_of_its_block() -> None:
    closed: list[str] = []
    with Thing(closed) as thing:
        assert thing.is_open
    assert closed == ["closed"]
    del thing
    gc.collect()
    assert closed == ["closed"]


@pytest.mark.filterwarnings("default::ResourceWarning")
def test_one_that_is_dropped_is_closed_and_told() -> None:
    closed: list[str] = []
    with pytest.warns(ResourceWarning, match="unclosed .*Thing"):
        Thing(closed)
    assert closed == ["closed"]


def test_one_that_was_never_made_owns_nothing() -> None:
    with pytest.raises(ValueError, match="not made"):
        Thing([], fails=True)
    gc.collect()


def test_in_a_test_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_leaking.py").write_text(LEAKING)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.leaks"]
    done = subprocess.run(
        [*argv, "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)],
        env={name: text for name, text in os.environ.items() if name != "PYTEST_ADDOPTS"},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 1
    assert "unclosed <ctconsole.history.History" in done.stdout
    assert "test_drops " in done.stdout
    assert "test_drops_in_a_circle " in done.stdout
    assert "test_closes" not in done.stdout


def test_a_history_may_be_closed_twice(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    history.close()
    history.close()
    assert not history.is_open
