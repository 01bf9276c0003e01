"""Test case 2 of the article (section 2.3): an outbound connection to a ServiceIP.

A pod's connection to a service has two entries: one that remembers the backend, one for the
translated flow. A restart deletes both; the next packet chooses the backend again, which with
one backend is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.agent import wire
from ctconsole.agent.state import StateDir
from ctconsole.lab import look, talk, topology
from ctconsole.lab.server import PORT
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport

SERVICE_IP = "10.96.0.10"

BOTH_PODS = 2
"""Entries of a flow between two pods of one node."""


def run(lab: Lab, report: CaseReport) -> None:
    """Connect through the service, restart with another size, speak on."""
    backend = f"{topology.SERVER_IPV4}:{PORT}"
    wish = {"name": "web", "frontend": f"{SERVICE_IP}:{PORT}", "backends": [backend]}
    made = wire.request(StateDir(lab.state_dir).socket, "service-add", service=wish)["service"]
    report.step("a service is added", ok=made["id"] > 0, seen=f"{made['frontend']} -> {backend}")
    with talk.connected(lab, topology.CLIENT, SERVICE_IP) as client:
        to_service = look.Flow.of(client)
        to_backend = look.Flow(to_service.source, (topology.SERVER_IPV4, PORT))
        report.step("the client pod connects and is left idle", ok=True, seen=str(to_service))
        _entries_are_there(lab, report, to_service, to_backend, "the CT entries are created")
        talk.resize(lab, report)
        _entries_are_gone(lab, report, to_service, to_backend)
        head = talk.answer_head(client)
        report.step(
            "the server answers what is typed with 400",
            ok=head[0] == talk.BAD_REQUEST,
            seen="\n".join(["> aaaaa", head[0]]),
        )
        _entries_are_there(lab, report, to_service, to_backend, 'the CT entries "came back"')


def _entries_are_there(
    lab: Lab, report: CaseReport, to_service: look.Flow, to_backend: look.Flow, step: str
) -> None:
    """One entry remembers the backend; the flow has one at either pod, the client's with RevNAT."""
    look.until(lambda: len(look.entries(lab, to_backend)) == BOTH_PODS)
    service = look.text(look.entries(lab, to_service)).splitlines()
    flows = look.text(look.entries(lab, to_backend)).splitlines()
    outbound = [line for line in flows if line.startswith(f"TCP OUT {to_backend} ")]
    inbound = [line for line in flows if line.startswith(f"TCP IN {to_backend} ")]
    ok = (
        len(service) == len(outbound) == len(inbound) == 1
        and " service " in service[0]
        and "RevNAT=1 " in f"{service[0]} "
        and "RevNAT=1 " in f"{outbound[0]} "
        and "RevNAT=0 " in f"{inbound[0]} "
    )
    report.step(step, ok=ok, seen="\n".join([*service, *flows]))


def _entries_are_gone(
    lab: Lab, report: CaseReport, to_service: look.Flow, to_backend: look.Flow
) -> None:
    left = look.text(look.entries(lab, to_service)), look.text(look.entries(lab, to_backend))
    gone = left == ("nothing found", "nothing found")
    report.step("the CT entries disappeared", ok=gone, seen="\n".join(dict.fromkeys(left)))


CASE = Case(
    name="service",
    summary="an outbound connection to a ServiceIP survives the same restart",
    section="2.3",
    run=run,
)
