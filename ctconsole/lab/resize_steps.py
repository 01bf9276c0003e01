"""What the cases about a resize have in common: connections that talk through it, and the proof."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.agent import control, wire
from ctconsole.agent.state import StateDir
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.gate import Gate
from ctconsole.lab import kinds, look, topology
from ctconsole.lab.server import PORT
from ctconsole.lab.talkers import NODE2_V4, NODE2_V6, Talkers, serve_in_more_pods
from ctconsole.manager.resize.plan import MapWish
from ctconsole.manager.users import users
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.reading import Reading
from ctconsole.node.resizing import plan_resizing, resize_maps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.talkers import Talker
    from ctconsole.lab.tour import CaseReport

SERVICE: Final = "10.96.0.30"

_CONNECTIONS: Final = {
    NODE2_V4: 40,
    NODE2_V6: 10,
    (topology.CLIENT, topology.SERVER_IPV4): 10,
    (topology.CLIENT, SERVICE): 24,
}
"""From another node, over IPv6, from pod to pod, and through a service with three backends."""

_PATIENCE: Final = 30.0
"""Seconds until each has got its first answer."""

_RULE: Final = "server egress none"
"""The server pod may open no connection: without its entry nothing it says first would pass."""

EVERY_KIND: Final = MappingProxyType(
    {
        "bpf-ct-global-tcp-max": "65536",
        "bpf-ct-global-any-max": "16384",
        "enable-ipv4-masquerade": "true",
    }
)
"""Options of a lab for `talking` with ``every_kind``."""


@contextmanager
def talking(lab: Lab, report: CaseReport, *, every_kind: bool = False) -> Iterator[Talkers]:
    """Connections that talk all the time: TCP, over IPv6 and through a service.

    Args:
        lab: where.
        report: gets the step.
        every_kind: datagrams, translated connections and servers that speak first beneath a
            policy as well.
    """

    def more(stack: ExitStack) -> list[Talker]:
        if not every_kind:
            return []
        opened = [
            *kinds.datagrams(lab, stack, *NODE2_V4, 30),
            *kinds.datagrams(lab, stack, *NODE2_V6, 15),
            *kinds.datagrams(lab, stack, topology.CLIENT, topology.SERVER_IPV4, 15),
            *kinds.translated(lab, stack, 30),
            *kinds.speaking_first(lab, stack, 30),
        ]
        wire.request(StateDir(lab.state_dir).socket, "policy-add", rules=[_RULE])
        return opened

    backends = [f"{topology.SERVER_IPV4}:{PORT}", *serve_in_more_pods(lab, ("web2", "web3"))]
    wish = {"name": "web", "frontend": f"{SERVICE}:{PORT}", "backends": backends, "affinity": 0}
    wire.request(StateDir(lab.state_dir).socket, "service-add", service=wish)
    with Talkers(lab, _CONNECTIONS, more) as talkers:
        look.until(lambda: all(one.answers or one.broke for one in talkers.all), _PATIENCE)
        report.step(
            "connections of every kind are opened and talk",
            ok=talkers.answers >= len(talkers.all) and not talkers.broken,
            seen=f"{len(talkers.all)} connections, IPv6 and a service with {len(backends)} "
            "backends picked at random among them"
            + (", UDP, translated ones and servers that speak first" if every_kind else ""),
        )
        yield talkers


def resized(lab: Lab, report: CaseReport, entries: int, name: str = look.TCP_MAP) -> None:
    """Resize a table and what one option sizes with it, as one step."""
    reading = Reading(layout=Layout.V1_9)
    plan = plan_resizing(lab.globals / name, MapWish(entries), reading, lab.settings)
    done = resize_maps(Gate.open(), plan, lab.settings)
    dropped = sum(one.dropped for one in done.maps)
    anew = sum(one.recreated for one in done.maps)
    what = "the tables are" if name == look.TCP_MAP else "those of datagrams are"
    report.step(
        f"{what} resized to {entries}",
        ok=not done.failure and not dropped,
        seen=done.failure
        or done.sentence
        + (f"; {anew} made anew meanwhile, whose counts cannot be proved" * bool(anew)),
    )


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
    wrong = kinds.miscounted(lab, talkers.all)
    report.step(
        "each entry counts exactly what its socket sent and got",
        ok=not wrong,
        seen="\n".join(wrong) or f"packets and bytes of {len(talkers.all)} connections",
    )
    lost = look.dropped(lab) - talkers.dropped
    report.step("no packet was dropped", ok=not lost, seen=f"{lost} packets")
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
