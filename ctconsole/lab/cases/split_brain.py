"""Between an agent's new map and its new programs the pin shows what nobody uses.

The alarm says so while it lasts, names both generations, and ends with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look
from ctconsole.lab.foreign_agent import TCP_MAP, TCP_MAX
from ctconsole.lab.foreign_node import answered, connections, foreign_node
from ctconsole.lab.tour import Case
from ctconsole.observe.usage import map_usage

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.foreign_node import ForeignNode
    from ctconsole.lab.tour import CaseReport
    from ctconsole.observe.usage import MapUsage

FLOWS = 50
PROGRAMS = 2


def run(lab: Lab, report: CaseReport) -> None:
    """Restart with another size and look in between and afterwards."""
    with foreign_node(lab) as node, connections(lab, FLOWS) as clients:
        answered(clients)
        look.until(lambda: node.table()[1] >= FLOWS)
        old, _ = node.table()
        usage = _usage(node)
        report.step(
            "at first every program uses the pinned map",
            ok=not usage.verdict and len(usage.pinned.live_users) == PROGRAMS,
            seen=f"{len(usage.pinned.live_users)} programs use map {usage.pinned.map.id}",
        )
        node.agent.configure(TCP_MAX, 8192)
        begun = node.agent.log.stat().st_size
        node.agent.stop()
        node.agent.start(wait=False)
        look.until(lambda: node.pin.exists() and node.table()[0].id != old.id)
        # However long the looks take, this is the moment they look at.
        with node.agent.held():
            usage = _usage(node)
            others = [generation.map.id for generation in usage.others]
            report.step(
                "the pin is new, the programs are not: an alarm",
                ok=usage.split and others == [old.id] and not usage.pinned.users,
                seen=usage.verdict or "no alarm",
            )
            answered(clients)
            _both_are_listed(report, usage)
        node.agent.wait_ready(begun)
        # The last filter's old program goes a moment after it was replaced.
        look.until(lambda: not _usage(node).others)
        usage = _usage(node)
        report.step(
            "when the programs have followed, the alarm is over",
            ok=not usage.verdict and len(usage.pinned.live_users) == PROGRAMS,
            seen=usage.verdict
            or f"{len(usage.pinned.live_users)} programs use map {usage.pinned.map.id}",
        )


def _both_are_listed(report: CaseReport, usage: MapUsage) -> None:
    """The traffic is in the map that has no pin, and the pinned one stays empty."""
    sizes = []
    for generation in (usage.pinned, *usage.others):
        with BpfMap.from_id(generation.map.id) as live:
            sizes.append(len(live.read().keys))
    report.step(
        "both generations can be listed, and only the old one has the traffic",
        ok=sizes == [0, FLOWS],
        seen=f"entries of the pinned map and of the other: {sizes}",
    )


def _usage(node: ForeignNode) -> MapUsage:
    found = [usage for usage in map_usage(node.bpf_root) if usage.path.name == TCP_MAP]
    return found[0]


CASE = Case(
    name="split-brain",
    summary="a pinned map nobody uses, while programs use the one before, is an alarm",
    section="",
    run=run,
)
