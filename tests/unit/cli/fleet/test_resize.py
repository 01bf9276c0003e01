"""``ctconsole fleet resize`` in a process of its own that is told to end while a node is at it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole.cli.main import root
from ctconsole.errors import UsageError
from ctconsole.lab.kube.api import KubeApi
from ctconsole.lab.kube.objects import LabNode, LabPod
from tests.support.fake_prometheus import NOW, FakePrometheus, fake_prometheus, series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

NODES = ("n1", "n2", "n3")
REPORT = {
    "failure": None,
    "seconds": 0.5,
    "maps": [{"carried": 12, "verified": {"no_room": 0, "missing": 0}}],
}
AT_IT = "n1: cilium_ct4_global from 1000 to 2000 entries"


def plan(now: int) -> str:
    """What a node whose table holds so many answers."""
    table = {
        "path": "/sys/fs/bpf/tc/globals/cilium_ct4_global",
        "max_entries": now,
        "new_max_entries": 2000,
        "differences": ["max_entries"] if now != 2000 else [],
        "entries": 300,
        "smallest": 400,
        "dropped": {},
    }
    memory = {"memory_new": 5, "memory_passes": 1, "memory_old": 4, "memory_free": 1000}
    return json.dumps({"maps": [table], **memory, "seconds": 1.0})


def node(folder: Path) -> Callable[[Sequence[str]], Sequence[str]]:
    """What commands in a node's pod become: a resize ends once there is a file ``go``."""
    folder.mkdir()
    (folder / "before").write_text(plan(1000))
    (folder / "after").write_text(plan(2000))
    (folder / "report").write_text(json.dumps(REPORT))
    script = (
        f"cd {shlex.quote(str(folder))}; "
        'case " $* " in *" --plan "*) if [ -e done ]; then cat after; else cat before; fi;; '
        "*) while [ ! -e go ]; do sleep 0.05; done; touch done; cat report;; esac"
    )
    return lambda argv: ["/bin/sh", "-c", script, "sh", *argv]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubeApi]:
    with KubeApi() as running:
        for name in NODES:
            running.objects.nodes[name] = LabNode(name, {"pool": "a"})
            running.objects.pods[name] = LabPod(name, name, argv=node(tmp_path / name))
        running.objects.set_config_map("cilium-config", {})
        running.write_kubeconfig(tmp_path / "kubeconfig")
        yield running


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    told = {
        "up{": [series(1, instance=f"{name}:1", node=name) for name in NODES],
        "sample_timestamp": [series(NOW, instance=f"{name}:1") for name in NODES],
    }
    with fake_prometheus(told=told) as fake:
        yield fake


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_signal_ends_it_once_the_node_at_work_is_done(
    prometheus: FakePrometheus, tmp_path: Path, number: signal.Signals
) -> None:
    journal = tmp_path / "run.json"
    cluster = ("--kubeconfig", str(tmp_path / "kubeconfig"), "--journal", str(journal))
    fleet = ("--selector", "pool=a", "--entries", "2000", "--prometheus", prometheus.url)
    command = [sys.executable, "-m", "ctconsole", "fleet", "resize", *fleet, *cluster, "--yes"]
    heard = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            heard.append(line.rstrip("\n"))
            if heard[-1] == AT_IT:
                process.send_signal(number)
                (tmp_path / "n1" / "go").touch()
        code = process.wait()
    assert code == 128 + number, heard
    assert any("Stopped as asked: no node is at work" in line for line in heard), heard
    assert any("--resume goes on" in line for line in heard), heard
    assert not any("Traceback" in line for line in heard), heard
    told = json.loads(journal.read_text())
    assert [one["state"] for one in told["nodes"]] == ["done", "to do", "to do"]
    assert not told["over"]
    assert [name for name in NODES if (tmp_path / name / "done").exists()] == ["n1"]


@pytest.mark.parametrize("how", ["--resume", "--undo"])
def test_that_there_is_no_run_is_told_before_a_cluster_is_asked_for(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    argv = ["fleet", "resize", how, "--yes", "--journal", str(tmp_path / "run.json")]
    with pytest.raises(UsageError, match=r"There is no run in .*run\.json"):
        root.main([*argv, "--prometheus", "http://127.0.0.1:9"], standalone_mode=False)
