"""The agent as a process: start, restart, requests, stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.agent import control
from ctconsole.agent.state import StateDir, save_endpoint
from ctconsole.cli.main import root
from ctconsole.config import write_option
from ctconsole.errors import AgentError, BusyError, ConfigError
from ctconsole.history import History
from ctconsole.kernel import mapwrite
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.loops import LoopState
from ctconsole.manager.changing import is_orphaned
from ctconsole.model.event import EventKind
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.agent.control import AgentSettings
    from ctconsole.kernel.gate import Gate


def kinds(settings: AgentSettings) -> list[EventKind]:
    with History(StateDir(settings.state_dir).history, create=False) as history:
        return [event.kind for _, event in history.read(debug=False)]


def ct4(settings: AgentSettings) -> Path:
    return settings.bpf_root / GLOBALS / "cilium_ct4_global"


def test_agent_starts_answers_and_stops_leaving_its_maps(settings: AgentSettings) -> None:
    status = control.start(settings)
    assert status.running
    assert status.ready
    assert status.config["bpf-ct-global-tcp-max"] == "2048"
    pinned = {path.name: info.id for path, info in pinned_maps(settings.bpf_root).items()}
    assert dict(status.maps) == pinned
    names = {loop.name for loop in status.loops if loop.running and not loop.error}
    assert names >= {"control", "listener", "signals"}
    assert control.stop(settings)
    assert not control.stop(settings)
    assert not control.status(settings).running
    assert set(pinned_maps(settings.bpf_root / GLOBALS)) == {
        settings.bpf_root / GLOBALS / name for name in pinned
    }
    assert kinds(settings)[0] is EventKind.AGENT_START
    assert EventKind.AGENT_READY in kinds(settings)
    assert kinds(settings)[-1] is EventKind.AGENT_STOP


def test_restart_with_another_size_logs_cilium_s_two_lines_and_loses_the_entries(
    settings: AgentSettings, gate: Gate
) -> None:
    before = control.start(settings)
    with BpfMap.open(ct4(settings)) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 100))
    assert settings.config_dir
    write_option(settings.config_dir, "bpf-ct-global-tcp-max", "4096")
    log = StateDir(settings.state_dir).log
    seen = len(log.read_text())
    after = control.restart(settings)
    assert after.pid != before.pid
    assert after.maps["cilium_ct4_global"] != before.maps["cilium_ct4_global"]
    assert after.maps["cilium_ct_any4_global"] == before.maps["cilium_ct_any4_global"]
    with BpfMap.open(ct4(settings)) as live:
        assert (live.info.max_entries, live.count()) == (4096, 0)
    about = [line for line in log.read_text()[seen:].splitlines() if "level=warning" in line]
    mismatch = 'level=warning msg="Max entries mismatch for BPF map"'
    removing = (
        'level=warning msg="Removing map to allow for property upgrade (expect map data loss)"'
    )
    assert about == [
        f"{mismatch} file-path={ct4(settings)} new=4096 old=2048",
        f"{removing} file-path={ct4(settings)}",
    ]


def test_restart_with_unchanged_sizes_keeps_every_entry(
    settings: AgentSettings, gate: Gate
) -> None:
    control.start(settings)
    with BpfMap.open(ct4(settings)) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 100))
        number = live.info.id
    control.restart(settings)
    with BpfMap.open(ct4(settings)) as live:
        assert (live.info.id, live.count()) == (number, 50)


def test_second_agent_on_the_same_state_is_refused(settings: AgentSettings) -> None:
    pid = control.start(settings).pid
    with pytest.raises(AgentError, match=f"process {pid}.* already runs on"):
        control.start(settings)
    assert control.status(settings).pid == pid


def test_bad_option_is_refused_before_the_running_agent_is_touched(
    settings: AgentSettings,
) -> None:
    pid = control.start(settings).pid
    bad = replace(settings, options={"bpf-ct-global-tcp-max": "12"})
    with pytest.raises(ConfigError, match="1024 to 16777216"):
        control.restart(bad)
    assert control.status(settings).pid == pid


def test_failed_start_is_one_sentence_and_an_event(settings: AgentSettings, tmp_path: Path) -> None:
    broken = replace(settings, bpf_root=tmp_path / "none")
    with pytest.raises(AgentError, match=r"did not start: .*none is not a bpffs"):
        control.start(broken)
    assert kinds(settings)[-1] is EventKind.AGENT_FAILED
    assert control.start(settings).ready


def test_an_option_changed_for_a_restart_that_failed_is_put_back(settings: AgentSettings) -> None:
    before = control.start(settings)
    assert settings.config_dir
    option, agent = settings.config_dir / "bpf-ct-global-tcp-max", StateDir(settings.state_dir)
    was = (option.read_text(), agent.settings_file.read_text())
    (settings.state_dir / "endpoints").mkdir(exist_ok=True)
    (settings.state_dir / "endpoints" / "1.json").write_text("{")
    with pytest.raises(AgentError, match=r"1\.json cannot .*\. Its options are as they were"):
        control.restart(settings, {"bpf-ct-global-tcp-max": "4096"})
    with pytest.raises(AgentError, match="Its options are as they were"):
        control.restart(replace(settings, options={"bpf-ct-global-tcp-max": "4096"}))
    assert (option.read_text(), agent.settings_file.read_text()) == was
    (settings.state_dir / "endpoints" / "1.json").unlink()
    name = "cilium_ct4_global"
    assert control.start(settings).maps[name] == before.maps[name]


def test_whatever_ends_a_start_is_in_the_history_and_in_the_starter_s_sentence(
    settings: AgentSettings,
) -> None:
    # No error of this program's own: an interface's name that is no text.
    pod = Endpoint(1, "pod", "lxc1", 3, "02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1")
    save_endpoint(settings.state_dir, pod)
    file = settings.state_dir / "endpoints" / "1.json"
    file.write_text(file.read_text().replace('"lxc1"', '["lxc1"]'))
    with pytest.raises(AgentError, match=r"did not start: TypeError: unhashable"):
        control.start(settings)
    with History(StateDir(settings.state_dir).history) as history:
        failed = [event for _, event in history.read() if event.kind is EventKind.AGENT_FAILED]
    assert "TypeError: unhashable" in str(failed[0].fields["error"])


def test_killed_agent_is_not_taken_for_a_running_one(settings: AgentSettings) -> None:
    pid = control.start(settings).pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while control.status(settings).running and time.monotonic() < end:
        time.sleep(0.01)
    assert not control.status(settings).running
    assert control.start(settings).pid != pid


def test_gc_runs_on_request_and_by_the_interval(settings: AgentSettings, gate: Gate) -> None:
    control.start(replace(settings, options={"conntrack-gc-interval": "100ms"}))
    with BpfMap.open(ct4(settings)) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(10, lifetime=1))
        end = time.monotonic() + 5
        while live.count() and time.monotonic() < end:
            time.sleep(0.02)
        assert live.count() == 0
    assert control.collect(settings)["alive"] == 0
    assert kinds(settings).count(EventKind.GC_PASS) >= 2


def test_files_that_are_no_option_are_warned_of(settings: AgentSettings) -> None:
    assert settings.config_dir
    (settings.config_dir / "cluster-name").write_text("default")
    control.start(settings)
    log = StateDir(settings.state_dir).log.read_text()
    assert "no option" in log
    assert "files=cluster-name" in log


def test_agent_runs_in_no_session_of_ours_and_is_nobody_s_child(settings: AgentSettings) -> None:
    pid = control.start(settings).pid
    assert pid
    assert os.getsid(pid) != os.getsid(0)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_the_node_says_how_the_threads_of_our_agent_do(
    settings: AgentSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path / "run"))
    ours = replace(settings, state_dir=tmp_path / "run" / "agent")
    control.start(ours)
    try:
        status = control.status(ours)
        argv = ["node", "--bpf-root", str(settings.bpf_root)]
        found = json.loads(CliRunner().invoke(root, [*argv, "--json"]).output)
        assert {loop["name"] for loop in found["loops"]} >= {"control", "listener", "signals"}
        assert "trouble" not in CliRunner().invoke(root, argv).output
        ended = LoopState("listener", running=False, failures=1, error="no memory", since=1.0)
        monkeypatch.setattr(control, "status", lambda _: replace(status, loops=(ended,)))
        said = CliRunner().invoke(root, argv).output
        assert "trouble  The listener loop has ended: no memory" in said
        watched = CliRunner().invoke(
            root, ["watch", "--bpf-root", str(settings.bpf_root), "--for", "0"]
        )
        assert f"ctconsole's own agent, process {status.pid}" in watched.stderr
    finally:
        control.stop(ours)


STARTS_AND_ENDS = """
import subprocess, sys
from pathlib import Path
from ctconsole.manager.changing import changing

go, root, settings = sys.argv[1:]
lock = changing(Path(root), "starts an agent")
late = 'while [ ! -e "$0" ]; do sleep 0.02; done; exec "$@"'
agent = [sys.executable, "-m", "ctconsole", "agent", "run", "--lock-fd", str(lock.fd)]
subprocess.Popen(
    ["sh", "-c", late, go, *agent, "--settings", settings],
    pass_fds=[lock.fd], start_new_session=True,
)
lock.hand_over()
"""
"""A starter that ends before its agent has taken the lock over from it."""


def test_an_agent_whose_starter_was_killed_is_stopped_for_good(
    settings: AgentSettings, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    argv = [sys.executable, "-W", "ignore", "-c", STARTS_AND_ENDS]
    told = [str(go), str(settings.bpf_root), settings.to_json()]
    subprocess.run([*argv, *told], check=True, stdout=subprocess.DEVNULL)
    assert is_orphaned(settings.bpf_root)
    with pytest.raises(BusyError, match=r"what process [0-9]+ began before it ended starts"):
        control.start(settings)
    with ThreadPoolExecutor() as beside:
        stopped = beside.submit(control.stop_for_good, settings)
        wait([stopped], 0.2)
        go.touch()
        stopped.result(60)
    assert not is_orphaned(settings.bpf_root)
    assert not control.status(settings).running
