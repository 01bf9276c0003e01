"""The article's two cases once more, over IPv6: an inbound connection and one to a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.agent import wire
from ctconsole.agent.state import StateDir
from ctconsole.lab import look, talk, topology
from ctconsole.lab.server import PORT
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    import socket

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport

SERVICE_IP = "fd96::10"


def run(lab: Lab, report: CaseReport) -> None:
    """Open both connections, restart with another size, speak on."""
    wish = {
        "name": "web6",
        "frontend": f"[{SERVICE_IP}]:{PORT}",
        "backends": [f"[{topology.SERVER_IPV6}]:{PORT}"],
    }
    wire.request(StateDir(lab.state_dir).socket, "service-add", service=wish)
    with (
        talk.connected(lab, topology.NODE2, topology.SERVER_IPV6) as inbound,
        talk.connected(lab, topology.CLIENT, SERVICE_IP) as outbound,
    ):
        flows = look.Flow.of(inbound), look.Flow.of(outbound)
        _entries_are_there(lab, report, flows, "the CT entries are created")
        before = look.map_info(lab, look.TCP6_MAP)
        talk.resize(lab, report)
        now = look.map_info(lab, look.TCP6_MAP)
        report.step(
            "so is the IPv6 table",
            ok=before.id != now.id and now.max_entries == 2 * before.max_entries,
            seen=f"{look.TCP6_MAP}: id {before.id} with {before.max_entries} -> "
            f"id {now.id} with {now.max_entries}",
        )
        left = [look.text(look.entries(lab, flow, look.TCP6_MAP)) for flow in flows]
        report.step(
            "the CT entries disappeared",
            ok=set(left) == {"nothing found"},
            seen="\n".join(dict.fromkeys(left)),
        )
        _answers(report, "the inbound connection lives on", inbound)
        _answers(report, "the connection to the service lives on", outbound)
        _entries_are_there(lab, report, flows, 'the CT entries "came back"')


def _entries_are_there(
    lab: Lab, report: CaseReport, flows: tuple[look.Flow, look.Flow], step: str
) -> None:
    inbound, service = (talk.wait_for_entry(lab, flow, look.TCP6_MAP) for flow in flows)
    ok = inbound.startswith(f"TCP IN {flows[0]} ") and " service " in service
    report.step(step, ok=ok, seen=f"{inbound}\n{service}")


def _answers(report: CaseReport, step: str, client: socket.socket) -> None:
    head = talk.answer_head(client)
    report.step(step, ok=head[0] == talk.BAD_REQUEST, seen="\n".join(["> aaaaa", head[0]]))


CASE = Case(
    name="ipv6",
    summary="both of the article's cases over IPv6",
    section="",
    run=run,
)
