from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctconsole.kernel import clock, procs
from ctconsole.lab import foreign_api
from ctconsole.lab.foreign_api import AgentApiServer
from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.ct.layout import LAYOUTS, Layout
from ctconsole.observe import discovery
from ctconsole.paths import GLOBALS


def as_agent(monkeypatch: pytest.MonkeyPatch, *argv: object, **variables: str) -> None:
    """Let this very process pass for the only agent of the machine, with this environment."""
    me = procs.own()
    fake = procs.Process(
        me.pid, "cilium-agent", ("cilium-agent", *map(str, argv)), me.ticks, me.started
    )
    monkeypatch.setattr(procs, "named", lambda *_: [fake])
    monkeypatch.setattr(procs, "environment", lambda _: variables)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder that looks like a bpffs with IPv4 tables, and beside it state and config."""
    folder = tmp_path / "bpf" / GLOBALS
    folder.mkdir(parents=True)
    (folder / "cilium_ct4_global").touch()
    (tmp_path / "state").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "bpf-ct-global-tcp-max").write_text("65536\n")
    (tmp_path / "config" / "..data").mkdir()
    return tmp_path


def flags(node: Path) -> tuple[str, ...]:
    return (
        f"--bpf-root={node / 'bpf'}",
        f"--config-dir={node / 'config'}",
        f"--state-dir={node}",
        "--enable-ipv6=false",
    )


@pytest.mark.parametrize(
    ("version", "layout"),
    [
        ("1.9.5", "1.9"),
        ("1.12.0", "1.12"),
        ("1.13.7", "1.13"),
        ("1.14.4", "1.14"),
        ("1.20.1", "1.20"),
        ("1.21.0-dev", "1.20"),
        ("1.18.0-dev", "1.18"),
        ("v1.18.4", "1.18"),
    ],
)
def test_a_release_writes_the_newest_layout_that_is_not_newer(version: str, layout: str) -> None:
    assert discovery.layout_of(version) is Layout(layout)


@pytest.mark.parametrize(
    ("version", "doubt"),
    [
        ("1.20.1", ""),
        ("1.21.0", "that release was never looked at, and 1.20 is the nearest"),
        ("1.19.0-dev", "a snapshot from before 1.19"),
        ("1.20.0-rc.1", ""),
    ],
)
def test_a_release_without_a_layout_of_its_own_is_doubted(version: str, doubt: str) -> None:
    layout = discovery.layout_of(version)
    assert layout is not None
    told = discovery.doubt_of(version, layout)
    assert doubt in told
    assert bool(told) == bool(doubt)


def test_what_is_too_old_or_no_version_has_no_layout() -> None:
    assert discovery.layout_of("1.4.0") is None
    assert discovery.layout_of("latest") is None
    assert discovery.layout_of("9.99.0") is list(LAYOUTS)[-1]


def test_without_an_agent_only_the_folder_is_known(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procs, "named", lambda *_: [])
    facts = discovery.discover(node / "bpf")
    assert facts.agent is None
    assert facts.version is facts.layout is None
    assert not facts.clock.certain
    assert any("IPv6" in note for note in facts.notes)
    assert any("No cilium-agent" in note for note in facts.notes)


def test_the_api_is_believed_first(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_agent(monkeypatch, *flags(node))
    documents = {
        "/v1/healthz": foreign_api.health("1.18.1", mode="jiffies", hertz=250),
        "/v1/config": foreign_api.configuration({"CTMapEntriesGlobalTCP": 32768}),
    }
    (node / "state" / "agent-runtime-config.json").write_text('{"CTMapEntriesGlobalTCP": 1}')
    with AgentApiServer(node / "cilium.sock", documents):
        facts = discovery.discover(node / "bpf")
    assert facts.version
    assert facts.version.value == "1.18.1"
    assert "API" in facts.version.origin
    assert facts.clock.value == ClockSource("jiffies", 250)
    assert facts.layout
    assert facts.layout.value is Layout.V1_18
    assert facts.options["bpf-ct-global-tcp-max"] == "32768"
    assert facts.options["enable-ipv6"] == "false"
    assert facts.agent
    assert not facts.agent.contained


def test_without_the_api_the_runtime_config_tells(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent(monkeypatch, *flags(node))
    config = {"CTMapEntriesGlobalTCP": 8192, "ClockSource": 1, "KernelHz": 1000}
    (node / "state" / "agent-runtime-config.json").write_text(json.dumps(config))
    facts = discovery.discover(node / "bpf")
    assert facts.clock.value == ClockSource("jiffies", 1000)
    assert facts.clock.origin.endswith("agent-runtime-config.json")
    assert facts.options["bpf-ct-global-tcp-max"] == "8192"
    assert any("cilium.sock" in note for note in facts.notes)


def test_without_both_the_config_folder_and_the_arguments_tell(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent(monkeypatch, *flags(node), "--enable-bpf-clock-probe=false")
    (node / "state" / "agent-runtime-config.json").write_text('{"damaged')
    facts = discovery.discover(node / "bpf")
    assert facts.options["bpf-ct-global-tcp-max"] == "65536"
    assert facts.clock.value == ClockSource("ktime")
    assert "arguments" in facts.options_origin
    assert any("offset" in note for note in facts.notes)


def test_the_environment_wins_over_the_config_folder_and_loses_to_the_arguments(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent(
        monkeypatch,
        f"--bpf-root={node / 'bpf'}",
        "--enable-ipv6=false",
        CILIUM_CONFIG_DIR=str(node / "config"),
        CILIUM_BPF_CT_GLOBAL_TCP_MAX="131072",
        CILIUM_ENABLE_IPV6="true",
    )
    options = discovery.discover(node / "bpf").options
    assert (options["bpf-ct-global-tcp-max"], options["enable-ipv6"]) == ("131072", "false")


def test_what_the_agent_stored_of_its_options_fills_up_what_nobody_else_tells(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent(monkeypatch, *flags(node))
    (node / "state" / "viper-agent-config.yaml").write_text(
        "bpf-ct-global-tcp-max: 0\nbpf-lb-map-max: 65536\nenable-ipv6: true\n"
    )
    facts = discovery.discover(node / "bpf")
    assert facts.options["bpf-ct-global-tcp-max"] == "65536"
    assert facts.options["bpf-lb-map-max"] == "65536"
    assert facts.options["enable-ipv6"] == "false"
    assert facts.options_origin.endswith("viper-agent-config.yaml")


def test_an_agent_that_answers_garbage_is_told_in_a_sentence_and_the_next_source_tells(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent(monkeypatch, *flags(node))
    config = {"CTMapEntriesGlobalTCP": 8192, "ClockSource": 0, "KernelHz": 250}
    (node / "state" / "agent-runtime-config.json").write_text(json.dumps(config))
    with AgentApiServer(node / "cilium.sock", {"/v1/healthz": ["no", "health"]}):
        facts = discovery.discover(node / "bpf")
    assert facts.version is None
    assert facts.options["bpf-ct-global-tcp-max"] == "8192"
    assert facts.clock.certain
    assert f"{node / 'cilium.sock'} answers /v1/config with 404 Not Found" in facts.notes


def test_an_agent_without_health_is_still_asked_for_its_configuration(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent(monkeypatch, *flags(node))
    config = foreign_api.configuration({"CTMapEntriesGlobalTCP": 32768, "ClockSource": 0})
    with AgentApiServer(node / "cilium.sock", {"/v1/config": config}):
        facts = discovery.discover(node / "bpf")
    assert facts.options["bpf-ct-global-tcp-max"] == "32768"
    assert facts.clock.certain


def test_an_agent_that_has_just_started_does_not_tell_its_release_yet(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_agent(monkeypatch, *flags(node))
    health = {"cilium": {"state": "Warning", "msg": "Not all probes executed at least once"}}
    with AgentApiServer(node / "cilium.sock", {"/v1/healthz": health}):
        facts = discovery.discover(node / "bpf")
    assert facts.version is facts.layout is None


def test_an_agent_of_another_bpffs_is_not_ours(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (node / "other").mkdir()
    as_agent(monkeypatch, f"--bpf-root={node / 'other'}")
    assert discovery.discover(node / "bpf").agent is None


def test_what_the_operator_says_wins(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_agent(monkeypatch, *flags(node))
    with AgentApiServer(node / "cilium.sock", {"/v1/healthz": foreign_api.health("1.18.1")}):
        facts = discovery.discover(node / "bpf", layout=Layout.V1_9)
    assert facts.layout
    assert (facts.layout.value, "--layout" in facts.layout.origin) == (Layout.V1_9, True)


def test_now_is_told_in_the_units_of_the_table() -> None:
    before = clock.ktime(), clock.jiffies() >> 8
    seconds, ticks = clock.ct_now(ClockSource("ktime")), clock.ct_now(ClockSource("jiffies", 250))
    assert before[0] <= seconds <= clock.ktime()
    assert before[1] - 2 <= ticks <= (clock.jiffies() >> 8) + 2


def test_a_folder_that_may_not_be_looked_at_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", deny)
    monkeypatch.setattr(Path, "exists", deny)
    monkeypatch.setattr(procs, "named", lambda *_: [])
    assert discovery.discover().agent is None
