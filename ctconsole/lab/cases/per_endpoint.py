"""Conntrack tables of each endpoint's own (``conntrack-local``, the article's section 3.3).

They come and go with their endpoint, and have a fixed size: a restart with another size for the
global tables leaves them and every connection in them alone.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.lab import look, pods, talk, topology
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport
    from ctconsole.model.plane.endpoint import Endpoint

LOCAL_MAX = 64000
SERVER_TABLE = "cilium_ct4_00571"
KINDS = ("ct4", "ct_any4", "ct6", "ct_any6")


def run(lab: Lab, report: CaseReport) -> None:
    """Add a pod, connect, restart, remove the pod."""
    endpoint = pods.add(lab, "shop")
    own = _tables(lab, endpoint)
    report.step(
        "a new pod has tables of its own",
        ok=len(own) == len(KINDS) and set(own.values()) == {LOCAL_MAX},
        seen="\n".join(f"{name} with {size}" for name, size in own.items()),
    )
    with talk.connected(lab, "shop", topology.SERVER_IPV4) as client:
        flow = look.Flow.of(client)
        pod_table = f"cilium_ct4_{endpoint.id:05d}"
        outbound = talk.wait_for_entry(lab, flow, pod_table)
        inbound = talk.wait_for_entry(lab, flow, SERVER_TABLE)
        shared = look.text(look.entries(lab, flow))
        report.step(
            "each pod's table has its own side of a connection, the global one nothing",
            ok=outbound.startswith(flow.of_its_own("OUT"))
            and inbound.startswith(flow.of_its_own("IN"))
            and "\n" not in outbound + inbound
            and shared == "nothing found",
            seen=f"{pod_table}: {outbound}\n{SERVER_TABLE}: {inbound}\n{look.TCP_MAP}: {shared}",
        )
        before = look.map_info(lab, pod_table).id
        talk.resize(lab, report)
        after = look.map_info(lab, pod_table).id
        kept = look.text(look.entries(lab, flow, pod_table))
        report.step(
            "the pods' tables stay, with their entries",
            ok=before == after and kept.startswith(flow.of_its_own("OUT")),
            seen=f"{pod_table}: id {before} -> id {after}\n{kept}",
        )
        head = talk.answer_head(client)
        report.step("the connection lives on", ok=head[0] == talk.BAD_REQUEST, seen=head[0])
    pods.delete(lab, "shop")
    left = _tables(lab, endpoint)
    report.step("the tables go with their pod", ok=not left, seen=", ".join(left) or "none is left")


def _tables(lab: Lab, endpoint: Endpoint) -> dict[str, int]:
    """Capacity of each conntrack table that is the endpoint's own, by name."""
    names = [f"cilium_{kind}_{endpoint.id:05d}" for kind in KINDS]
    return {
        name: look.map_info(lab, name).max_entries
        for name in names
        if (lab.globals / name).exists()
    }


CASE = Case(
    name="per-endpoint",
    summary="tables of each endpoint's own come and go with it, and survive the restart",
    section="",
    run=run,
    options=MappingProxyType({"conntrack-local": "true", "bpf-ct-global-tcp-max": "131072"}),
)
