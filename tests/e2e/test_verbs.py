from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ctconsole.lab import look, topology
from ctconsole.model.ct.layout import IpProtocol
from ctconsole.model.ct.table import Direction

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab


def ctconsole(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ctconsole", *argv], capture_output=True, text=True, check=False
    )


def as_json(*argv: str) -> Any:  # noqa: ANN401 - JSON
    done = ctconsole(*argv, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_traffic_is_answered_and_every_connection_is_in_the_table(lab: Lab) -> None:
    # As much as a busy machine answers in time.
    flags = ("--connections", "100", "--rate", "60", "--duration", "4")
    tally = as_json("lab", "traffic", "--lab", lab.name, *flags)
    assert tally["failed"] == 0
    assert tally["opened"] > tally["open_most"] >= 100
    assert tally["requests"] == tally["answers"] >= tally["opened"]
    assert tally["datagrams"] == tally["echoes"] > 0
    assert tally["pings"] == tally["pongs"] > 0
    tcp, rest = look.table(lab), look.table(lab, look.ANY_MAP)
    assert np.count_nonzero(tcp.direction == Direction.IN) == tally["opened"]
    protocols = set(rest.keys["nexthdr"].tolist())
    assert {int(IpProtocol.UDP), int(IpProtocol.ICMP)} <= protocols


def test_a_command_runs_in_the_network_of_a_host(lab: Lab) -> None:
    done = ctconsole("lab", "exec", "--lab", lab.name, "client", "ip", "-br", "address")
    assert f"{topology.PODS[1].ipv4}/32" in done.stdout
    assert ctconsole("lab", "exec", "--lab", lab.name, "node", "false").returncode == 1
    lost = ctconsole("lab", "exec", "--lab", lab.name, "node", "no-such-program")
    assert lost.returncode == 1
    assert "no-such-program" in lost.stderr
    assert "Traceback" not in lost.stderr


def test_labs_are_listed_built_and_removed(lab: Lab) -> None:
    built = as_json("lab", "up", f"{lab.name}-b", "--server", "none")
    names = [found["name"] for found in as_json("lab", "list")]
    assert {lab.name, f"{lab.name}-b"} <= set(names)
    assert built["owner"] is None
    for _ in range(2):
        assert ctconsole("lab", "down", f"{lab.name}-b").returncode == 0
    assert f"{lab.name}-b" not in [found["name"] for found in as_json("lab", "list")]


def test_a_bad_option_names_itself_and_its_range(lab: Lab) -> None:
    done = ctconsole("lab", "up", f"{lab.name}-c", "-o", "bpf-ct-global-tcp-max=1")
    assert done.returncode == 2
    assert "bpf-ct-global-tcp-max" in done.stderr
    assert "16777216" in done.stderr


def test_a_lab_that_is_up_is_found_and_its_names_are_used(lab: Lab) -> None:
    named = f"{lab.name}-web"
    backend = f"{topology.PODS[0].ipv4}:80"
    ctconsole("lab", "service", "add", named, "10.96.7.7:80", "--backend", backend)
    assert str(lab.bpf_root) in ctconsole("node").stdout
    assert f"of the lab {lab.name}" in ctconsole("node", "--lab", lab.name).stdout
    own = as_json("node", "--lab", lab.name)["own_agent"]
    assert own["state_dir"] == str(lab.state_dir)
    assert f"own agent, process {own['pid']}" in ctconsole("watch", "--for", "0.1").stderr
    assert as_json("agent", "status")["pid"] == own["pid"]
    address = f"http://{topology.PODS[0].ipv4}/"
    through = "http://10.96.7.7/"
    for url in (address, through):
        ctconsole("lab", "exec", "--lab", lab.name, "client", "curl", "-s", url)
    told = ctconsole("ct", "list", "--names", "--lab", lab.name).stdout
    assert "[client -> server" in told
    assert f"service {named}" in told
    refused = ctconsole("ct", "flush", "--lab", lab.name)
    assert f"\nnode        lab {lab.name}, {lab.bpf_root} (ctconsole's own agent" in refused.stdout
