from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.observe import agentflags

if TYPE_CHECKING:
    from pathlib import Path


def test_flags_are_read_as_pflag_reads_them() -> None:
    argv = ("cilium-agent", "--a=1", "--b", "2", "--c", "--d=x=y", "stray", "--e")
    assert agentflags.arguments(argv) == {"a": "1", "b": "2", "c": "true", "d": "x=y", "e": "true"}


def test_a_process_that_is_going_has_no_arguments() -> None:
    assert agentflags.arguments(()) == {}


def test_options_of_the_environment_are_named_as_on_the_command_line() -> None:
    variables = {
        "CILIUM_BPF_NAT_GLOBAL_MAX": "841429",
        "CILIUM_GLOBAL_CT_MAX_TCP": "262144",
        "CILIUM_GLOBAL_CT_MAX_ANY": "1024",
        "CILIUM_BPF_CT_GLOBAL_ANY_MAX": "65536",
        "CILIUM_ENABLE_IPV6": "",
        # Kubernetes tells of a service named cilium-agent in this way.
        "CILIUM_AGENT_PORT": "tcp://10.96.0.7:9964",
        "PATH": "/bin",
    }
    assert agentflags.environment(variables) == {
        "bpf-nat-global-max": "841429",
        "bpf-ct-global-tcp-max": "262144",
        "bpf-ct-global-any-max": "65536",
    }


def test_a_config_map_is_a_folder_of_links(tmp_path: Path) -> None:
    data = tmp_path / "..2026_11_23"
    data.mkdir()
    (tmp_path / "..data").symlink_to(data.name)
    for name, text in (("enable-ipv4", "true\n"), ("ct-global-max-entries-tcp", "524288")):
        (data / name).write_text(text)
        (tmp_path / name).symlink_to(f"..data/{name}")
    assert agentflags.read_config_dir(tmp_path) == {
        "enable-ipv4": "true",
        "ct-global-max-entries-tcp": "524288",
        "bpf-ct-global-tcp-max": "524288",
    }


def test_a_config_folder_gives_nothing_that_lies_elsewhere_or_is_too_much(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "enable-ipv6").symlink_to("../secret")
    (folder / "debug").symlink_to(tmp_path / "secret")
    (folder / "a").write_bytes(b"x" * (9 << 20))
    (folder / "b").write_bytes(b"x" * (9 << 20))
    found = agentflags.read_config_dir(folder)
    assert not found.keys() & {"enable-ipv6", "debug"}
    assert sum(map(len, found.values())) == 8 << 20


def test_what_viper_stored_is_read_as_far_as_it_is_plain() -> None:
    text = (
        "agent-labels: []\n"
        "bpf-ct-global-any-max: 0\n"
        "bpf-ct-timeout-regular-any: 1m0s\n"
        'cluster-name: "default"\n'
        'datapath-mode: ""\n'
        "direct-routing-skip-unreachable: false\n"
        "kvstore-opt: {}\n"
        "log-opt:\n"
        "    format: json\n"
    )
    assert agentflags.stored(text) == {
        "bpf-ct-timeout-regular-any": "1m0s",
        "cluster-name": "default",
        "direct-routing-skip-unreachable": "false",
    }
