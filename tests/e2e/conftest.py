"""Labs for the tests: in a run directory of their own, under names nobody else has."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.lab import folders, lifecycle
from ctconsole.lab.owner import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.folders import Lab

SMALL_TABLES = {"bpf-ct-global-tcp-max": "65536", "bpf-ct-global-any-max": "16384"}


@pytest.fixture(scope="session", autouse=True)
def run_dir() -> Iterator[Path]:
    """A run directory that this process and its children use instead of /run/ctconsole."""
    # Not below pytest's own folder: its long path would not leave room for a socket's name.
    with (
        tempfile.TemporaryDirectory(prefix="ctt-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CTCONSOLE_RUN_DIR", folder)
        yield Path(folder)
        for lab in folders.all_labs():
            lifecycle.down(lab)


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with small tables, shared by the tests of a module."""
    word = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    built = lifecycle.up(f"{word}-{os.getpid()}", config=SMALL_TABLES, owner=Owner.me())
    try:
        yield built
    finally:
        lifecycle.down(built)
