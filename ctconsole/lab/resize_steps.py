"""What the cases about a resize have in common: connections that talk through it, and the proof."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ctconsole.agent import control, wire
from ctconsole.agent.state import StateDir
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.gate import Gate
from ctconsole.lab import look, topology
from ctconsole.lab.server import PORT
from ctconsole.lab.talkers import NODE2_V4, NODE2_V6, Talkers, miscounted, serve_in_more_pods
from ctconsole.manager.resize.plan import MapWish
from ctconsole.manager.users import users
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.reading import Reading
from ctconsole.node.resizing import plan_resizing, resize_maps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport
    from ctconsole.manager.resize.plan import ResizePlan
    from ctconsole.manager.resize.report import ResizeReport

SERVICE: Final = "10.96.0.30"

_CONNECTIONS: Final = {
    NODE2_V4: 40,
    NODE2_V6: 10,
    (topology.CLIENT, topology.SERVER_IPV4): 10,
    (topology.CLIENT, SERVICE): 24,
}
"""From another node, over IPv6, from pod to pod, and through a service with four backends."""


@contextmanager
def talking(lab: Lab, report: CaseReport) -> Iterator[Talkers]:
    """Connections of every kind, each of which asks for pages all the time."""
    backends = [f"{topology.SERVER_IPV4}:{PORT}", *serve_in_more_pods(lab, ("web2", "web3"))]
    wish = {"name": "web", "frontend": f"{SERVICE}:{PORT}", "backends": backends, "affinity": 0}
    wire.request(StateDir(lab.state_dir).socket, "service-add", service=wish)
    with Talkers(lab, _CONNECTIONS) as talkers:
        look.until(lambda: talkers.answers >= len(talkers.all))
        report.step(
            "connections of every kind are opened and talk",
            ok=talkers.answers >= len(talkers.all) and not talkers.broken,
            seen=f"{len(talkers.all)} connections, IPv6 and a service with {len(backends)} "
            "backends picked at random among them",
        )
        yield talkers


def planned(lab: Lab, entries: int) -> ResizePlan:
    """The plan for the TCP tables."""
    reading = Reading(layout=Layout.V1_9)
    return plan_resizing(lab.globals / look.TCP_MAP, MapWish(entries), reading, lab.settings)


def resized(lab: Lab, report: CaseReport, entries: int) -> ResizeReport:
    """Resize the TCP tables, as one step."""
    gate = Gate.open()
    done = resize_maps(gate, planned(lab, entries), lab.settings)
    dropped = sum(one.dropped for one in done.maps)
    report.step(
        f"the tables are resized to {entries}",
        ok=not done.failure and not dropped,
        seen=done.failure or done.sentence,
    )
    return done


def proved(lab: Lab, report: CaseReport, talkers: Talkers, entries: int) -> None:
    """No connection broke, every packet is counted once, and one map is left."""
    before = talkers.answers
    look.until(lambda: bool(talkers.broken) or talkers.answers > before + len(talkers.all))
    broken = [f"{one.flow}: {one.broke}" for one in talkers.broken]
    report.step(
        "every connection goes on",
        ok=not broken and talkers.answers > before,
        seen="\n".join(broken) or f"{talkers.answers} pages, none missing",
    )
    talkers.pause()
    for what, (_, address), name in (
        ("each entry counts exactly what its socket sent", NODE2_V4, look.TCP_MAP),
        ("so does each of IPv6", NODE2_V6, look.TCP6_MAP),
    ):
        some = [one for one in talkers.all if one.flow.destination[0] == address]
        own = [one for one in some if one.flow.source[0] in _NODE2]
        wrong = miscounted(lab, own, name)
        report.step(what, ok=not wrong, seen="\n".join(wrong) or f"{len(own)} of {len(own)}")
    info = look.map_info(lab, look.TCP_MAP)
    beside = [path.name for path in pinned_maps(lab.globals) if ":" in path.name]
    report.step(
        "one map is left, and every program uses it",
        ok=info.max_entries == entries and not beside and len(users(info.id)) > 0,
        seen=f"map {info.id} with {info.max_entries}, used by {len(users(info.id))} programs",
    )
    after = control.restart(lab.settings)
    kept = look.map_info(lab, look.TCP_MAP)
    report.step(
        "the agent's next start keeps it",
        ok=after.ready and kept.id == info.id,
        seen=f"map {kept.id} with {kept.max_entries}",
    )


_NODE2: Final = frozenset({topology.NODE2_IPV4, topology.NODE2_IPV6})
