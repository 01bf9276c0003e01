"""``ctconsole map resize`` on a node whose agent is not ours."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.errors import CtconsoleError, ReadOnlyError
from ctconsole.history import History
from ctconsole.lab.foreign_agent import TCP_MAP, TCP_MAX
from ctconsole.model.event import EventKind
from tests.support.foreign import ForeignNode, foreign_node
from tests.support.terminals import interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from ctconsole.kernel.gate import Gate


@pytest.fixture(autouse=True)
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


@pytest.fixture
def node(gate: Gate, bpffs: Path, tmp_path: Path) -> Iterator[ForeignNode]:
    with foreign_node(gate, bpffs, tmp_path) as made:
        made.agent.start()
        yield made


def resize(node: ForeignNode, *arguments: object) -> Result:
    words = ("map", "resize", TCP_MAP, *arguments, "--bpf-root", node.agent.bpf_root)
    done = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done


def test_the_plan_needs_no_gate_and_the_deed_does(node: ForeignNode) -> None:
    done = resize(node, 65536, "--plan", "--restart-command", "systemctl restart cilium")
    assert done.return_value == 0
    file = node.agent.config_dir / TCP_MAX
    assert f"setting     {file}: 32768 -> 65536, a new file\n" in done.stdout
    assert "restart     by running: systemctl restart cilium\n" in done.stdout
    told = json.loads(resize(node, 65536, "--plan", "--json").stdout)
    assert told["settings"] == [
        {"option": TCP_MAX, "old": "32768", "new": "65536", "file": str(file), "by_hand": None}
    ]
    assert (told["restart_command"], told["cancellable_once_restarted"]) == (None, False)
    with pytest.raises(ReadOnlyError):
        resize(node, 65536, "--yes")
    assert not file.exists()


def test_it_is_done_told_and_kept_in_the_history(
    node: ForeignNode, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node.agent.restarted_by_command() as command:
        monkeypatch.setenv("CTCONSOLE_RESTART_COMMAND", command)
        done = resize(node, 65536, "--yes", "--allow-writes")
    assert done.stdout.startswith(f"Resized {TCP_MAP} from 32,768 to 65,536 entries")
    assert f"restart: by running: {command}" in done.stderr
    assert "programs use the old one" in done.stderr
    assert node.map_info().max_entries == 65536
    with History(run_dir / "agent" / "history.db") as history:
        kinds = {event.kind for _, event in history.read()}
    assert EventKind.MAP_RESIZED in kinds


def test_a_failure_is_one_sentence_and_the_settings_are_as_they_were(node: ForeignNode) -> None:
    words = ("--yes", "--allow-writes", "--restart-command", "echo not found >&2; exit 127")
    with pytest.raises(CtconsoleError, match="The restart command ended with 127: not found"):
        resize(node, 65536, *words)
    assert not (node.agent.config_dir / TCP_MAX).exists()
    assert node.map_info().max_entries == 32768


def test_ctrl_c_ends_it_while_the_restart_is_waited_for(node: ForeignNode) -> None:
    code, shown = interrupted(
        "the new map is pinned",
        *("map", "resize", TCP_MAP, "65536", "--yes", "--allow-writes"),
        *("--bpf-root", str(node.agent.bpf_root)),
    )
    assert code == 128 + signal.SIGINT, shown
    assert "cancelled" in shown
    assert "Traceback" not in shown
    assert not (node.agent.config_dir / TCP_MAX).exists()
    assert node.map_info().max_entries == 32768
