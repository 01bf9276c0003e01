from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent.log import recorder
from ctconsole.agent.state import (
    AgentSettings,
    StateDir,
    load_endpoints,
    remove_endpoint,
    save_endpoint,
)
from ctconsole.errors import AgentError, ConfigError, FormatError
from ctconsole.history import History
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.plane.endpoint import Endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.model.event import Scalar


def endpoint(number: int) -> Endpoint:
    return Endpoint(number, f"pod{number}", "lxc", 3, "02:..", "02:..", "10.0.0.1", labels=("a=b",))


def test_endpoints_come_back_in_the_order_of_their_ids(tmp_path: Path) -> None:
    assert load_endpoints(tmp_path) == []
    for number in (20, 3):
        save_endpoint(tmp_path, endpoint(number))
    assert load_endpoints(tmp_path) == [endpoint(3), endpoint(20)]
    assert remove_endpoint(tmp_path, 3)
    assert not remove_endpoint(tmp_path, 3)
    assert load_endpoints(tmp_path) == [endpoint(20)]


@pytest.mark.parametrize("text", ["", "[]", '{"id": 1}', '{"color": 1}'])
def test_damaged_endpoint_is_refused_by_name(tmp_path: Path, text: str) -> None:
    save_endpoint(tmp_path, endpoint(1))
    (tmp_path / "endpoints" / "1.json").write_text(text)
    with pytest.raises(FormatError, match=r"1\.json cannot be restored"):
        load_endpoints(tmp_path)


def test_settings_are_remembered(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    settings = AgentSettings(tmp_path, tmp_path / "c", tmp_path / "bpf", "ns", {"tunnel": "geneve"})
    assert state.load_settings() is None
    state.save_settings(settings)
    assert state.load_settings() == settings
    state.settings_file.write_text("{}")
    with pytest.raises(FormatError, match="settings are damaged"):
        state.load_settings()


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_state_folder_that_is_a_file_holds_no_state(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    state = StateDir(tmp_path / "file" / below)
    assert state.load_settings() is None
    assert state.running_pid() is None
    assert load_endpoints(state.root) == []
    assert not remove_endpoint(state.root, 1)
    with pytest.raises(AgentError, match="Cannot write"):
        save_endpoint(state.root, endpoint(1))


def test_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.settings_file.write_bytes(b"\xff")
    with pytest.raises(FormatError, match=r"agent\.json cannot be read"):
        state.load_settings()
    state.settings_file.unlink()
    state.settings_file.symlink_to("agent.json")
    state.endpoints.symlink_to("endpoints")
    with pytest.raises(FormatError, match=r"agent\.json cannot be read"):
        state.load_settings()
    with pytest.raises(FormatError, match="endpoints cannot be read"):
        load_endpoints(tmp_path)


def test_flags_win_over_the_config_folder(tmp_path: Path) -> None:
    (tmp_path / "bpf-ct-global-tcp-max").write_text("4096")
    (tmp_path / "bpf-ct-global-any-max").write_text("2048")
    (tmp_path / "cluster-id").write_text("1")
    settings = AgentSettings(tmp_path, tmp_path, options={"bpf-ct-global-tcp-max": "8192"})
    config, unknown = settings.read_config()
    assert (config.bpf_ct_global_tcp_max, config.bpf_ct_global_any_max) == (8192, 2048)
    assert unknown == ("cluster-id",)
    (tmp_path / "bpf-ct-global-any-max").write_text("7")
    with pytest.raises(ConfigError, match="bpf-ct-global-any-max=7"):
        settings.read_config()


def test_lock_is_one_agent_s_and_forgotten_with_its_descriptor(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert state.running_pid() is None
    lock = state.acquire()
    assert state.running_pid() == os.getpid()
    with pytest.raises(AgentError, match=f"process {os.getpid()}.* already runs on"):
        state.acquire()
    os.close(lock)
    assert state.running_pid() is None


def test_asking_whether_an_agent_runs_keeps_none_from_starting(tmp_path: Path) -> None:
    state, stop = StateDir(tmp_path), threading.Event()
    os.close(state.acquire())
    asked = [0]

    def ask() -> None:
        while not stop.is_set():
            state.running_pid()
            asked[0] += 1

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        starts = 0
        while starts < 300 or not asked[0]:
            os.close(state.acquire())
            starts += 1
    finally:
        stop.set()
        asker.join()


def test_log_lines_look_like_cilium_s_and_debug_is_for_the_history_only(tmp_path: Path) -> None:
    stream = io.StringIO()
    fields: dict[str, Scalar] = {
        "file-path": "/bpf/cilium_ct4_global",
        "new": 624288,
        "old": 524288,
    }
    events = [
        Event(1.0, EventKind.MAP_MISMATCH, "m", "", "Max entries mismatch for BPF map",
              Level.WARNING, fields),
        Event(1.0, EventKind.MAP_OPENED, "m", "", "Opened", Level.DEBUG),
    ]  # fmt: skip
    with History(tmp_path / "history.db") as history:
        recorder(history, stream)(events)
        assert len(history.read()) == 2
        assert len(history.read(debug=False)) == 1
    assert stream.getvalue() == (
        'level=warning msg="Max entries mismatch for BPF map" '
        "file-path=/bpf/cilium_ct4_global new=624288 old=524288\n"
    )
