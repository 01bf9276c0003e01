"""Where an agent has its sizes from, and what changes them there."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import UsageError
from ctconsole.kernel import procs
from ctconsole.kernel.procs import Process
from ctconsole.node.prestage.settings import (
    put_back,
    settings_for,
    translations_with,
    write,
)
from ctconsole.observe.agents import AgentProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

TCP = "bpf-ct-global-tcp-max"
ANY = "bpf-ct-global-any-max"
OPTIONS = {TCP: "32768"}
SIZES = {"cilium_ct4_global": 65536, "cilium_ct6_global": 65536, "cilium_snat_v4_external": 99}


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of the agent's process."""
    made: dict[str, str] = {}
    monkeypatch.setattr(procs, "environment", lambda _: made)
    return made


def agent(*argv: str, folder: Path | None = None) -> AgentProcess:
    flags = {"config-dir": str(folder)} if folder else {}
    process = Process(4711, "cilium-agent", ("cilium-agent", *argv), 1, 0.0)
    root = Path("/")
    return AgentProcess(process, root, contained=False, flags=flags, state_dir=root, socket=root)


def test_a_file_of_the_folder_is_written_as_it_was_and_put_back_exactly(tmp_path: Path) -> None:
    file = tmp_path / TCP
    file.write_text("32768\n")
    file.chmod(0o640)
    settings = settings_for(agent(folder=tmp_path), OPTIONS, SIZES)
    (one,) = settings
    assert (one.option, one.now, one.value, one.file) == (TCP, "32768", "65536", file)
    assert one.sentence == f"{file}: 32768 -> 65536"
    write(settings)
    assert file.read_text() == "65536\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert put_back(file, one.text, one.new_text)
    assert file.read_text() == "32768\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_file_that_was_not_there_goes_again(tmp_path: Path) -> None:
    settings = settings_for(agent(folder=tmp_path), {}, SIZES)
    write(settings)
    assert (tmp_path / TCP).read_text() == "65536"
    assert settings[0].sentence.endswith("not known -> 65536, a new file")
    assert put_back(tmp_path / TCP, None, "65536")
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_else_wrote_since_stays(tmp_path: Path) -> None:
    file = tmp_path / TCP
    file.write_text("9999")
    assert not put_back(file, "32768", "65536")
    assert file.read_text() == "9999"


def test_an_option_set_by_its_old_name_is_changed_there(tmp_path: Path) -> None:
    (tmp_path / "ct-global-max-entries-tcp").write_text("32768")
    (one,) = settings_for(agent(folder=tmp_path), OPTIONS, SIZES)
    assert one.file == tmp_path / "ct-global-max-entries-tcp"


def as_kubernetes_mounts(folder: Path, files: Mapping[str, str]) -> None:
    (folder / "..data_1").mkdir()
    (folder / "..data").symlink_to("..data_1")
    for name, text in files.items():
        (folder / "..data_1" / name).write_text(text)
        (folder / name).symlink_to(f"..data/{name}")


def test_a_config_map_is_not_written_but_its_patch_is_told(tmp_path: Path) -> None:
    as_kubernetes_mounts(tmp_path, {TCP: "32768"})
    (one,) = settings_for(agent(folder=tmp_path), OPTIONS, SIZES)
    assert one.file is None
    assert one.shared
    kubectl = ["kubectl", "-n", "kube-system", "patch", "configmap", "cilium-config"]
    assert shlex.split(one.deed) == [
        *kubectl,
        "--type",
        "merge",
        "-p",
        f'{{"data":{{"{TCP}":"65536"}}}}',
    ]
    assert shlex.split(one.undo)[-1] == f'{{"data":{{"{TCP}":"32768"}}}}'
    write((one,))
    assert (tmp_path / TCP).read_text() == "32768"


def test_the_config_map_is_the_one_the_folder_was_made_from(tmp_path: Path) -> None:
    sources = {"config-sources": "cilium-node-config:networking/x,config-map:networking/ours"}
    as_kubernetes_mounts(tmp_path, sources)
    (one,) = settings_for(agent(folder=tmp_path), OPTIONS, SIZES)
    assert shlex.split(one.deed)[:6] == [
        "kubectl",
        "-n",
        "networking",
        "patch",
        "configmap",
        "ours",
    ]
    # It was not set, and is to be unset again.
    assert shlex.split(one.undo)[-1] == f'{{"data":{{"{TCP}":null}}}}'


def test_the_namespace_is_the_agents(tmp_path: Path, variables: dict[str, str]) -> None:
    as_kubernetes_mounts(tmp_path, {})
    variables["CILIUM_K8S_NAMESPACE"] = "cilium"
    assert shlex.split(settings_for(agent(folder=tmp_path), {}, SIZES)[0].deed)[2] == "cilium"
    # Nobody's environment runs a command here.
    variables["CILIUM_K8S_NAMESPACE"] = "x; reboot"
    assert shlex.split(settings_for(agent(folder=tmp_path), {}, SIZES)[0].deed)[2] == "kube-system"


def test_flags_and_environment_win_over_the_folder(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    (one,) = settings_for(agent(f"--{TCP}=1024", folder=tmp_path), OPTIONS, SIZES)
    assert one.file is None
    assert "on the command line of process 4711" in one.deed
    variables["CILIUM_BPF_CT_GLOBAL_TCP_MAX"] = "2048"
    (one,) = settings_for(agent(folder=tmp_path), OPTIONS, SIZES)
    assert one.file is None
    assert "in the environment of process 4711" in one.deed


def test_where_nothing_can_be_written_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = settings_for(None, {}, SIZES)
    assert "none can be seen that could be asked" in one.deed
    (one,) = settings_for(agent(), OPTIONS, SIZES)
    assert one.deed.endswith(f"start it with --{TCP}=65536")
    monkeypatch.setattr(os, "access", lambda *_: False)
    (one,) = settings_for(agent(folder=tmp_path), OPTIONS, SIZES)
    assert "cannot be written here" in one.deed
    assert one.undo == f"set {TCP} to 32768 again"


@pytest.mark.parametrize(
    ("flags", "now", "tcp", "follows"),
    [
        # The default fits beside the tables, or gives way to two thirds of them.
        ({}, 524288, 1 << 20, None),
        ({}, 43690, 131072, (131072 + 16384) * 2 // 3),
        ({}, 524288, 32768, (32768 + 16384) * 2 // 3),
        # A size that was given stays.
        ({"bpf-nat-global-max": "40000"}, 40000, 131072, None),
        ({"bpf-nat-global-max": "40000"}, 30000, 131072, 40000),
        # So does a share of the memory.
        ({"bpf-map-dynamic-size-ratio": "0.0025"}, 40000, 131072, None),
        ({"bpf-map-dynamic-size-ratio": "0.0"}, 524288, 1 << 20, None),
    ],
)
def test_translations_follow_the_tables_by_the_agents_own_rule(
    flags: dict[str, str], now: int, tcp: int, follows: int | None
) -> None:
    tables = {TCP: tcp, ANY: 16384}
    assert translations_with(MappingProxyType(flags), now, tables) == follows


@pytest.mark.parametrize(
    "flags", [{"bpf-nat-global-max": "40000"}, {"bpf-map-dynamic-size-ratio": "0.0025"}]
)
def test_an_agent_that_would_not_start_is_told(flags: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="would refuse to start"):
        translations_with(flags, 40000, {TCP: 1024, ANY: 16384})
