"""Connections to the world outside leave under the node's address, and survive the restart.

The translation is in a table of its own, which a restart with other conntrack sizes leaves
alone: with it the connection keeps its port, and the conntrack entry comes back.
"""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look, talk, topology
from ctconsole.lab.tour import Case
from ctconsole.model.plane.encode import keys_in, values_in
from ctconsole.model.text.addresses import address_text

if TYPE_CHECKING:
    import socket

    from ctconsole.lab.lifecycle import Lab
    from ctconsole.lab.tour import CaseReport

NAT_MAP = "cilium_snat_v4_external"
PORT = 7000

BOTH_WAYS = 2
"""Entries of one translated connection."""


def run(lab: Lab, report: CaseReport) -> None:
    """Connect from a pod to the host outside, restart with another size, speak both ways."""
    ends = talk.accepted(lab, topology.CLIENT, topology.OUTSIDE, topology.OUTSIDE_IPV4, PORT)
    with ends as (client, outside):
        flow = look.Flow.of(client)
        peer = outside.getpeername()[:2]
        report.step(
            "outside a pod's connection comes from the node",
            ok=peer[0] == topology.UPLINK_IPV4,
            seen=f"the pod has {flow}, outside it comes from {peer[0]}:{peer[1]}",
        )
        before = _mapping(lab, flow, peer)
        report.step(
            "the NAT table has it both ways",
            ok=len(before) == BOTH_WAYS,
            seen="\n".join(before),
        )
        entry = talk.wait_for_entry(lab, flow, look.TCP_MAP)
        report.step("a CT entry goes with it", ok=entry.startswith(f"TCP OUT {flow} "), seen=entry)
        nat_before = look.map_info(lab, NAT_MAP).id
        talk.resize(lab, report)
        nat_after = look.map_info(lab, NAT_MAP).id
        after = _mapping(lab, flow, peer)
        report.step(
            "the NAT table stays, with the mapping",
            ok=nat_before == nat_after and after == before,
            seen=f"{NAT_MAP}: id {nat_before} -> id {nat_after}\n" + "\n".join(after),
        )
        _both_ways(report, client, outside)
        entry = talk.wait_for_entry(lab, flow, look.TCP_MAP)
        report.step('the CT entry "came back"', ok=entry.startswith(f"TCP OUT {flow} "), seen=entry)


def _both_ways(report: CaseReport, client: socket.socket, outside: socket.socket) -> None:
    there = back = b""
    with suppress(OSError):
        client.sendall(b"there\n")
        there = talk.heard(outside, talk.PATIENCE)
        outside.sendall(b"back\n")
        back = talk.heard(client, talk.PATIENCE)
    report.step(
        "the connection lives on, both ways",
        ok=(there, back) == (b"there\n", b"back\n"),
        seen=f"outside received {there!r}, the pod {back!r}",
    )


def _mapping(lab: Lab, flow: look.Flow, peer: tuple[str, int]) -> list[str]:
    """The lines of the NAT table that are this connection's, in Cilium's words."""
    lines = []
    with BpfMap.open(lab.globals / NAT_MAP) as live:
        dump = live.read()
    keys, values = keys_in(NAT_MAP, dump.keys.tobytes()), values_in(NAT_MAP, dump.values.tobytes())
    for key, value in zip(keys, values, strict=True):
        source = (address_text(key["saddr"].tobytes()), int(key["sport"]))
        destination = (address_text(key["daddr"].tobytes()), int(key["dport"]))
        to = f"{address_text(value['to_addr'].tobytes())}:{int(value['to_port'])}"
        tuple_ = f"{source[0]}:{source[1]} -> {destination[0]}:{destination[1]}"
        if (source, destination) == (flow.source, flow.destination):
            lines.append(f"TCP OUT {tuple_} XLATE_SRC {to}")
        elif (source, destination) == (flow.destination, peer):
            lines.append(f"TCP IN {tuple_} XLATE_DST {to}")
    return sorted(lines, reverse=True)


CASE = Case(
    name="nat",
    summary="a connection to outside, under the node's address, survives the restart",
    section="",
    run=run,
    options=MappingProxyType({"enable-ipv4-masquerade": "true"}),
)
