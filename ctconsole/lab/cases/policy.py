"""The second case the article leaves open: who speaks first after the table was deleted.

While its entry is there, everything a server sends is part of a connection that was allowed.
Without the entry a server's packet is the first of a new connection, in the other direction, and
is judged as one. Here the pod may open no connection: its line is dropped until the client says
something, which brings the entry back.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.agent import wire
from ctconsole.agent.state import StateDir
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look, talk, topology
from ctconsole.lab.tour import Case
from ctconsole.model.plane.encode import key_of, values_in

if TYPE_CHECKING:
    import socket

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport

PORT = 9000
DROP_POLICY = 133
METRIC_EGRESS = 2

SILENCE = 1.0
"""Seconds in which a packet that is let pass would have arrived many times."""

RULE = "server egress none"


def run(lab: Lab, report: CaseReport) -> None:
    """Let the server speak first after a restart, without a policy and with one."""
    ends = talk.accepted(lab, topology.NODE2, topology.SERVER, topology.SERVER_IPV4, PORT)
    with ends as (client, pod):
        _allowed(lab, report, client, pod)
    ends = talk.accepted(lab, topology.NODE2, topology.SERVER, topology.SERVER_IPV4, PORT + 1)
    with ends as (client, pod):
        _denied(lab, report, client, pod)


def _allowed(lab: Lab, report: CaseReport, client: socket.socket, pod: socket.socket) -> None:
    """Without a policy the line arrives, but the entry is turned round."""
    flow = look.Flow.of(client)
    backwards = look.Flow(flow.destination, flow.source)
    seen = talk.wait_for_entry(lab, flow, look.TCP_MAP)
    report.step("node2 connects to the pod", ok=seen.startswith(f"TCP IN {flow} "), seen=seen)
    talk.resize(lab, report)
    pod.sendall(b"tick\n")
    line = talk.heard(client, talk.PATIENCE)
    seen = talk.wait_for_entry(lab, flow, look.TCP_MAP)
    report.step("without a policy the server's line arrives", ok=line == b"tick\n", seen=repr(line))
    report.step(
        "and makes an entry of the opposite direction",
        ok=seen.startswith(f"TCP OUT {backwards} "),
        seen=seen,
    )


def _denied(lab: Lab, report: CaseReport, client: socket.socket, pod: socket.socket) -> None:
    """With a policy it does not arrive before the client has spoken."""
    flow = look.Flow.of(client)
    wire.request(StateDir(lab.state_dir).socket, "policy-add", rules=[RULE])
    report.step("a policy: the pod may open no connection", ok=True, seen=RULE)
    pod.sendall(b"one\n")
    line = talk.heard(client, talk.PATIENCE)
    report.step("its replies pass while there is an entry", ok=line == b"one\n", seen=repr(line))
    client.sendall(b"seen\n")
    pod.recv(16)
    talk.resize(lab, report)
    before = _denied_packets(lab)
    pod.sendall(b"two\n")
    line = talk.heard(client, SILENCE)
    denied = _denied_packets(lab) - before
    entries = look.text(look.entries(lab, flow))
    report.step(
        "after the restart the server's line is denied",
        ok=line == b"" and denied > 0 and entries == "nothing found",
        seen=f"received {line!r}, {denied} packets dropped with reason {DROP_POLICY} "
        f"(Policy denied), entry: {entries}",
    )
    client.sendall(b"hello\n")
    line = talk.heard(client, talk.PATIENCE)
    entries = look.text(look.entries(lab, flow))
    report.step(
        "when the client speaks, the entry comes back and the line with it",
        ok=line == b"two\n" and entries.startswith(f"TCP IN {flow} "),
        seen=f"received {line!r}\n{entries}",
    )


def _denied_packets(lab: Lab) -> int:
    """What ``cilium_metrics`` counts as denied on the way out of a pod, over all CPUs."""
    name = "cilium_metrics"
    with BpfMap.open(lab.globals / name) as live:
        value = live.lookup(key_of(name, reason=DROP_POLICY, dir=METRIC_EGRESS))
    return int(values_in(name, value)["count"].sum()) if value else 0


CASE = Case(
    name="policy",
    summary="a server that speaks first on an idle connection is denied until its client speaks",
    section="",
    run=run,
    options=MappingProxyType({"bpf-ct-global-tcp-max": "131072"}),
)
