"""Services, policy and endpoints of a lab: told on the command line, met by real packets."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.agent import control
from ctconsole.history import History
from ctconsole.kernel import netns
from ctconsole.lab import topology
from ctconsole.model.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.folders import Lab

WEB, WEB6 = "10.96.0.10", "fd96::10"


def lab_verb(lab: Lab, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "ctconsole", "lab", *words, "--lab", lab.name]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    if check:
        assert done.returncode == 0, done.stderr
    return done


def answers(lab: Lab, host: str, address: str, port: int = 80) -> bool:
    """Whether a TCP connection from a lab's host gets an answer to a request."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with netns.inside(lab.namespace(host)):
        client = socket.socket(family, socket.SOCK_STREAM)
    with client:
        client.settimeout(1.0)
        try:
            client.connect((address, port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


@pytest.fixture
def clean(lab: Lab) -> Iterator[Lab]:
    """The module's lab, without rules and services afterwards."""
    yield lab
    lab_verb(lab, "policy", "del", "--all")
    for one in json.loads(lab_verb(lab, "service", "list", "--json").stdout):
        lab_verb(lab, "service", "del", one["name"])


@pytest.mark.parametrize(
    ("frontend", "backend"),
    [
        ((WEB, 80), topology.SERVER_IPV4),
        ((WEB6, 80), topology.SERVER_IPV6),
        ((WEB, 8080), topology.SERVER_IPV4),
    ],
)
def test_a_service_answers_for_its_backend_until_it_is_deleted(
    clean: Lab, frontend: tuple[str, int], backend: str
) -> None:
    six = ":" in backend
    address = f"[{frontend[0]}]:{frontend[1]}" if six else f"{frontend[0]}:{frontend[1]}"
    behind = f"[{backend}]:80" if six else f"{backend}:80"
    assert not answers(clean, topology.CLIENT, *frontend)
    lab_verb(clean, "service", "add", "web", address, "--backend", behind)
    assert answers(clean, topology.CLIENT, *frontend)
    (listed,) = json.loads(lab_verb(clean, "service", "list", "--json").stdout)
    assert (listed["name"], listed["frontend"]) == ("web", address)
    assert [one["address"] for one in listed["backends"]] == [behind]
    lab_verb(clean, "service", "del", "web")
    assert not answers(clean, topology.CLIENT, *frontend)


def test_services_and_policy_are_there_again_after_a_restart(clean: Lab) -> None:
    lab_verb(clean, "service", "add", "web", f"{WEB}:80", "--backend", "10.5.5.5:80")
    rule = "server ingress allow identity:client tcp/80"
    lab_verb(clean, "policy", "add", "--endpoint", "server", "--ingress", *rule.split()[2:])

    def seen() -> tuple[Any, Any]:
        return (
            json.loads(lab_verb(clean, "service", "list", "--json").stdout),
            json.loads(lab_verb(clean, "policy", "list", "--json").stdout),
        )

    before = seen()
    assert before[1]["rules"] == [rule]
    control.restart(clean.settings)
    assert seen() == before
    assert answers(clean, topology.CLIENT, WEB)
    assert not answers(clean, topology.NODE2, topology.SERVER_IPV4)


def test_policy_lets_pass_what_it_allows_and_nothing_else(clean: Lab) -> None:
    assert answers(clean, topology.NODE2, topology.SERVER_IPV4)
    verb = ("policy", "add", "--endpoint", "server", "--ingress")
    lab_verb(clean, *verb, "allow", "identity:client", "tcp/80")
    assert answers(clean, topology.CLIENT, topology.SERVER_IPV4)
    assert answers(clean, topology.CLIENT, topology.SERVER_IPV6)
    assert not answers(clean, topology.NODE2, topology.SERVER_IPV4)
    lab_verb(clean, *verb, "allow", "identity:world")
    assert answers(clean, topology.NODE2, topology.SERVER_IPV4)
    lab_verb(clean, *verb, "deny", "identity:client", "tcp/80")
    assert not answers(clean, topology.CLIENT, topology.SERVER_IPV4)
    lab_verb(clean, "policy", "del", "--all")
    assert answers(clean, topology.CLIENT, topology.SERVER_IPV4)


def test_rules_of_a_file_replace_those_there_are(
    clean: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lab_verb(clean, "policy", "add", "--endpoint", "client", "--egress", "none")
    assert not answers(clean, topology.CLIENT, topology.SERVER_IPV4)
    file = tmp_path_factory.mktemp("rules") / "rules.txt"
    file.write_text("# nobody but the client\nserver ingress allow identity:client\n")
    done = lab_verb(clean, "policy", "import", str(file), "--json")
    assert json.loads(done.stdout)["rules"] == ["server ingress allow identity:client"]
    assert answers(clean, topology.CLIENT, topology.SERVER_IPV4)
    assert not answers(clean, topology.NODE2, topology.SERVER_IPV4)


def test_a_pod_comes_and_goes_with_its_maps_and_entries(clean: Lab) -> None:
    made = json.loads(lab_verb(clean, "endpoint", "add", "shop", "--json").stdout)
    assert answers(clean, "shop", topology.SERVER_IPV4)
    assert answers(clean, "shop", topology.SERVER_IPV6)
    own = f"{made['id']:05d}"
    assert {path.name for path in clean.globals.glob(f"*_{own}")} == {
        f"cilium_policy_{own}",
        f"cilium_calls_{own}",
    }
    names = [
        one["name"] for one in json.loads(lab_verb(clean, "endpoint", "list", "--json").stdout)
    ]
    assert names == ["server", "client", "shop"]
    lab_verb(clean, "endpoint", "del", "shop")
    assert list(clean.globals.glob(f"*_{own}")) == []
    assert not netns.exists(clean.namespace("shop"))
    with History(clean.state_dir / "history.db") as history:
        (gone,) = [event for _, event in history.read() if event.kind is EventKind.ENDPOINT_REMOVED]
    assert int(str(gone.fields["scrubbed"])) >= 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("service", "add", "web", "10.96.0.11", "--backend", "10.5.5.5:80"), "no port"),
        (("service", "add", "web", "10.96.0.11:80", "--backend", "[fd05:5::5]:80"), "IP family"),
        (
            (
                "service",
                "add",
                "w",
                "10.9.0.1:80",
                "--backend",
                "10.5.5.5:80",
                "--algorithm",
                "maglev",
            ),
            "bpf-lb-algorithm=maglev",
        ),
        (("service", "del", "nothing"), "no service nothing"),
        (("policy", "add", "--endpoint", "ghost", "--ingress", "none"), "no endpoint ghost"),
        (
            ("policy", "add", "--endpoint", "server", "--ingress", "allow", "identity:ghost"),
            "no identity ghost",
        ),
        (("policy", "del", "server", "ingress", "none"), "no rule"),
        (("policy", "del", "--endpoint", "ghost"), "no endpoint ghost"),
        (("endpoint", "add", "server"), "host called server already"),
        (("endpoint", "del", "client"), "part of every lab"),
        (("endpoint", "del", "ghost"), "no pod ghost"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(
    lab: Lab, words: tuple[str, ...], reason: str
) -> None:
    done = lab_verb(lab, *words, check=False)
    assert done.returncode in {1, 2}
    assert reason in done.stderr


def test_maps_nobody_uses_are_there_and_say_so(lab: Lab) -> None:
    argv = [sys.executable, "-m", "ctconsole", "map", "list", "--bpf-root", str(lab.bpf_root)]
    done = subprocess.run([*argv, "--json"], capture_output=True, text=True, check=True)
    use = {row["name"]: row["use"] for row in json.loads(done.stdout)}
    # The number of the uplink's interface is the kernel's choice.
    use = {re.sub(r"netdev_[0-9]{5}", "netdev", name): text for name, text in use.items()}
    assert {name for name, text in use.items() if text == "not used by this datapath"} == {
        "cilium_calls_netdev",
        "cilium_calls_hostns_00001",
        "cilium_encrypt_state",
        "cilium_tunnel_map",
        "cilium_lb4_source_range",
        "cilium_lb6_source_range",
        "cilium_nodeport_neigh4",
        "cilium_nodeport_neigh6",
        "cilium_snat_v4_external",
        "cilium_snat_v6_external",
    }
    assert re.fullmatch(r"[0-9]+ programs", use["cilium_ct4_global"])
    table = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "not used by this datapath" in table
