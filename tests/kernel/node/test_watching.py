from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.history import History
from ctconsole.lab.foreign_agent import TCP_MAX
from ctconsole.model.event import EventKind
from ctconsole.node.watching import watching
from tests.support.foreign import foreign_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


def test_the_console_of_a_foreign_node_gets_its_timeline(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    file = tmp_path / "state" / "history.db"
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        with watching(bpffs, file, foreign=True) as watcher, History(file) as history:
            assert watcher
            assert watcher.wait(10)
            node.agent.configure(TCP_MAX, 8192)
            node.agent.restart()
            assert until(lambda: bool(history.read(kinds=[EventKind.PROGRAM_REPLACED])), 10)
        # A console that is left tells what it has seen of a restart under way.
        with History(file) as history:
            stories = [story.message for _, story in history.read(kinds=[EventKind.STORY])]
    # On a busy machine a restart may pause so long that the rest of it is a story of its own.
    assert sum(f"{TCP_MAX} 32768 -> 8192" in message for message in stories) == 1


def test_a_node_of_our_own_agent_is_not_watched_twice(bpffs: Path, tmp_path: Path) -> None:
    with watching(bpffs, tmp_path / "history.db", foreign=False) as watcher:
        assert watcher is None
    assert not (tmp_path / "history.db").exists()


def test_a_history_that_cannot_be_written_does_not_stop_the_console(
    bpffs: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with watching(bpffs, tmp_path / "file" / "history.db", foreign=True) as watcher:
        assert watcher is None
