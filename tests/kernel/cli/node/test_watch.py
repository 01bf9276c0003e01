from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from ctconsole.cli.main import root as cli
from ctconsole.history import History
from ctconsole.kernel import mapwrite, pins
from ctconsole.lab.foreign_agent import TCP_MAX
from ctconsole.model.event import EventKind
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe.watcher import Watcher
from tests.support.foreign import foreign_node, until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ctconsole.kernel.gate import Gate


def test_a_restart_is_followed_printed_and_kept(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        window = node.started()
        argv = [
            *(sys.executable, "-m", "ctconsole", "watch", "--json", "--window", f"{window:.1f}"),
            *("--bpf-root", str(bpffs), "--agent-log", str(node.agent.log)),
            *("--history", str(tmp_path / "history.db")),
        ]
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as watch:
            assert watch.stderr
            assert f"process {node.agent.pid}, Cilium 1.18.0" in watch.stderr.readline()
            with History(tmp_path / "history.db") as history:
                node.agent.configure(TCP_MAX, 8192)
                node.agent.restart()

                def stories() -> list[str]:
                    return [event.message for _, event in history.read(kinds=[EventKind.STORY])]

                changed = f"{TCP_MAX} 32768 -> 8192"
                assert until(lambda: any(changed in story for story in stories()))
            watch.send_signal(signal.SIGINT)
            out, _ = watch.communicate(timeout=20)
        assert watch.returncode == 0
    lines = [json.loads(line) for line in out.splitlines()]
    told = [line["message"] for line in lines if line["kind"] == "story"]
    assert sum(changed in story for story in told) == 1
    assert {"agent-stop", "agent-start", "map-mismatch", "map-recreated", "program-replaced"} <= {
        line["kind"] for line in lines
    }
    shown = [sys.executable, "-m", "ctconsole", "events", "--kind", "story"]
    done = subprocess.run(
        [*shown, "--history", str(tmp_path / "history.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip().endswith(told[-1])


def test_that_a_node_is_watched_is_said_once_it_is(
    bpffs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before: list[str] = []

    def look(_: Watcher, patience: float) -> None:
        del patience
        before.append(capsys.readouterr().err)
        raise KeyboardInterrupt

    monkeypatch.setattr(Watcher, "start", look)
    argv = ["watch", "--bpf-root", str(bpffs), "--history", str(tmp_path / "history.db")]
    cli.main(argv, standalone_mode=False)
    assert before == [""]


def test_a_listing_takes_layout_and_names_from_the_nodes_agent(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    with foreign_node(gate, bpffs, tmp_path, "1.9") as node:
        node.agent.start()
        node.datagrams(range(5000, 5003))
        argv = [sys.executable, "-m", "ctconsole", "ct", "list", "-v", "--names", "-o", "json"]
        done = subprocess.run(
            [*argv, "--bpf-root", str(bpffs)], capture_output=True, text=True, check=True
        )
    assert "layout 1.9: Cilium 1.9.5, from the agent's API" in done.stderr
    assert "prod/web" in done.stdout


def test_the_node_is_described_with_the_origin_of_each_fact(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    node_verb = [sys.executable, "-m", "ctconsole", "node", "--bpf-root", str(bpffs)]

    def run(*argv: str) -> str:
        return subprocess.run(
            [*node_verb, *argv], capture_output=True, text=True, check=True
        ).stdout

    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        text, found = run(), json.loads(run("--json"))
        pid = node.agent.pid
    assert f"agent    process {pid}, socket " in text
    assert "release  1.18.0 (the agent's API at" in text
    assert "option   bpf-ct-global-tcp-max=32768" in text
    assert found["agent"]["pid"] == pid
    assert found["layout"]["value"] == "1.18"
    assert found["clock"]["mode"] == "ktime"
    assert "agent    none runs" in run()


def test_watch_ends_when_it_was_told_to_whatever_it_waits_for(bpffs: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    argv = [
        *(sys.executable, "-m", "ctconsole", "watch", "--for", "0.5", "--agent-log", str(fifo)),
        *("--bpf-root", str(bpffs), "--history", str(tmp_path / "history.db")),
    ]
    # Far above what a busy machine needs to start it, far below what waiting for a writer took.
    subprocess.run(argv, capture_output=True, check=True, timeout=60)


def test_a_closed_output_ends_watch(bpffs: Path, gate: Gate, tmp_path: Path) -> None:
    argv = [
        *(sys.executable, "-m", "ctconsole", "watch", "--for", "60"),
        *("--bpf-root", str(bpffs), "--history", str(tmp_path / "history.db")),
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout
        assert watch.stderr
        assert "no agent runs" in watch.stderr.readline()
        watch.stdout.close()
        with mapwrite.create(gate, MapSpec("x", MapType.HASH, 4, 4, 8)) as live:

            def pin_again() -> bool:
                path = bpffs / "tc" / "globals" / "x"
                pins.pin(gate, live, path)
                pins.unpin(gate, path)
                return watch.poll() is not None

            assert until(pin_again)
        assert watch.returncode == 0
