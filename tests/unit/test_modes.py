"""What is kept of a node is its user's alone, also where the umask forbids nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ctconsole.cli.hiding import hiding_by
from ctconsole.config import write_option
from ctconsole.filterbook import FilterBook
from ctconsole.history import History
from ctconsole.manager.resize.journal import Entry, Journal, Stage
from ctconsole.node.entries import Part
from ctconsole.node.snapshots import write_snapshots
from ctconsole.observe.recording.moment import VERSION, Head
from ctconsole.observe.recording.writer import RecordingWriter
from ctconsole.private import write_private
from ctconsole.settings.read import UserSettings
from ctconsole.settings.write import remember
from tests.support.ct_tables import Entry as Row
from tests.support.ct_tables import ct_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def journal(folder: Path) -> None:
    entries = [Entry(stage, "boot", 1, ()) for stage in Stage]
    kept = Journal(folder / "journal")
    kept.prepare(entries)
    kept.write(entries[0])


def history(folder: Path) -> None:
    History(folder / "state" / "history.db").close()


def recording(folder: Path) -> None:
    RecordingWriter(folder / "x.ctrec", Head(VERSION, "node", "0", 0.0, 1.0), 1 << 20).close()


def snapshot(folder: Path) -> None:
    table = ct_table(Row("10.0.1.7:40000", "10.0.2.9:443"), taken_at=1000.0)
    write_snapshots([Part(table, "")], folder / "snapshots", tell=print)


def export(folder: Path) -> None:
    write_private(folder / "x.csv", [b"x"])
    write_private(folder / "x.csv", [b"y"], over=True)


def configuration(folder: Path) -> None:
    remember(UserSettings(), {"theme": "paper"}, folder / "config" / "config.toml")


def filters(folder: Path) -> None:
    book = FilterBook(folder / "config", folder / "state")
    book.remember("entries", "tcp")
    book.save("web", "dport:80")


def agent_option(folder: Path) -> None:
    write_option(folder / "options", "enable-ipv6", "false")


def key(folder: Path) -> None:
    hiding_by(folder / "key")


@pytest.mark.parametrize(
    "make",
    [
        journal,
        history,
        recording,
        snapshot,
        export,
        configuration,
        filters,
        agent_option,
        key,
    ],
)
def test_nobody_else_may_read_it(tmp_path: Path, make: Callable[[Path], None]) -> None:
    before = os.umask(0)
    try:
        make(tmp_path)
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert [path for path in modes if path.is_file()]
    assert {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
