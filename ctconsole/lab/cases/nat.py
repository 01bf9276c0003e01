"""Connections to the world outside leave under the node's address, and survive the restart.

The translation is in a table of its own, which a restart with other conntrack sizes leaves
alone: with it the connection keeps its port, and the conntrack entry comes back. A flush takes
the translation along. Then it matters who speaks next, and whether the port was the pod's own.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look, talk, topology
from ctconsole.lab.tour import Case
from ctconsole.model.ct.outcomes import REASONS, Reason, Risk
from ctconsole.model.plane.encode import keys_in, values_in
from ctconsole.model.text.addresses import address_text
from ctconsole.node.flushing import flush, plan_flush

if TYPE_CHECKING:
    import socket

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport

NAT_MAP = "cilium_snat_v4_external"
PORT = 7000

SILENCE = 1.0
"""Seconds in which what is said would have arrived many times."""

BOTH_WAYS = 2
"""Entries of one translated connection."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """A connection whose entry is flushed, and what becomes of it.

    Attributes:
        own_port: where the pod sends from.
        pod_speaks: whether the pod says something next, or the outside.
        forecast: what is said before.
        goes_on: whether what is said next arrives.
    """

    own_port: int
    pod_speaks: bool
    forecast: tuple[Risk, Reason]
    goes_on: bool


FLUSHES: Final = {
    "a pod that speaks first gets its port again": Flushed(
        40001, pod_speaks=True, forecast=(Risk.AT_RISK, Reason.SNAT_KEPT), goes_on=True
    ),
    "an outside that speaks first is reset": Flushed(
        40002, pod_speaks=False, forecast=(Risk.AT_RISK, Reason.SNAT_KEPT), goes_on=False
    ),
    "a port below 32768 was not the pod's own, and the next is another": Flushed(
        20000, pod_speaks=True, forecast=(Risk.BREAKS, Reason.SNAT), goes_on=False
    ),
}
"""By what is shown."""


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
    for number, (name, one) in enumerate(FLUSHES.items(), PORT + 1):
        _flush(lab, report, name, one, number)


def _flush(lab: Lab, report: CaseReport, name: str, one: Flushed, port: int) -> None:
    """Connect, delete the entry as a flush does, and let one side speak."""
    gate = Gate.open()
    ends = talk.accepted(
        lab,
        topology.CLIENT,
        topology.OUTSIDE,
        topology.OUTSIDE_IPV4,
        port,
        own_port=one.own_port,
    )
    with ends as (client, outside):
        flow = look.Flow.of(client)
        talk.wait_for_entry(lab, flow, look.TCP_MAP)
        [key] = look.entries(lab, flow, look.TCP_MAP).key_rows
        plan = plan_flush(lab.globals / look.TCP_MAP, key=key.tobytes())
        [(risk, reason, _)] = plan.verdicts
        done = flush(gate, plan)
        speaker, listener = (client, outside) if one.pod_speaks else (outside, client)
        speaker.sendall(b"still there?\n")
        arrived = talk.heard(listener, SILENCE) == b"still there?\n"
        report.step(
            f"after a flush {name}",
            ok=(risk, reason) == one.forecast
            and arrived == one.goes_on
            and done.mappings == BOTH_WAYS,
            seen=f"{flow}, {done.mappings} NAT entries deleted\n"
            f"forecast: {risk.word}, {REASONS[reason]}\n"
            f"what was said {'arrived' if arrived else 'did not arrive'}",
        )


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
    summary="a connection to outside, under the node's address, through a restart and a flush",
    section="",
    run=run,
    options=MappingProxyType({"enable-ipv4-masquerade": "true"}),
)
