"""A foreign agent drops its table as Cilium does, beneath a guard: nothing is lost.

The test agent acts in Cilium's order and pace: new pin 1.6 s after its start, programs 4 s later.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import kinds, look
from ctconsole.lab.foreign_agent import TCP_MAX
from ctconsole.lab.foreign_node import foreign_node
from ctconsole.lab.talkers import NODE2_V4, Talkers
from ctconsole.lab.tour import Case
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.reading import Reading
from ctconsole.node.guard import PACE, Guard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.talkers import Talker
    from ctconsole.lab.tour import CaseReport
    from ctconsole.model.event import Event

FLOWS = 200
NEW = 65536

_PATIENCE = 30.0
"""Seconds until each connection has got an answer."""


class _Watch:
    """A guard that looks all the time, in a thread of its own."""

    def __init__(self, guard: Guard) -> None:
        self.told: list[Event] = []
        self._guard = guard
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="guard", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.is_set():
            self.told += self._guard.look()
            time.sleep(PACE)

    def end(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()


def run(lab: Lab, report: CaseReport) -> None:
    """Restart the agent with another size while the guard holds the table, and all talk on."""
    gate = Gate.open()
    with foreign_node(lab) as node, Talkers(lab, {NODE2_V4: FLOWS}) as talkers:
        look.until(lambda: node.table()[1] >= FLOWS and talkers.answers > FLOWS, _PATIENCE)
        before, old = _keys(node.pin), node.table()[0]
        report.step(
            "a foreign agent tracks connections that talk, and counts what comes back",
            ok=len(before) == FLOWS and not talkers.broken,
            seen=f"{len(before)} entries in map {old.id}, {talkers.answers} answers",
        )
        with Guard(gate, node.pin.parent, Reading(layout=Layout.V1_18)) as guard:
            watch = _Watch(guard)
            try:
                node.agent.configure(TCP_MAX, NEW)
                node.agent.restart()
                look.until(lambda: bool(watch.told), 20)
            finally:
                watch.end()
        new, after = node.table()[0], _keys(node.pin)
        report.step(
            "it is restarted with another size and drops its table",
            ok=new.id != old.id and new.max_entries == NEW,
            seen=f"map {old.id} with {old.max_entries} -> map {new.id} with {new.max_entries}",
        )
        report.step(
            "every entry is in the new one",
            ok=before <= after,
            seen="\n".join(event.message for event in watch.told) or "the guard told nothing",
        )
        answers = talkers.answers
        look.until(lambda: bool(talkers.broken) or talkers.answers > answers + FLOWS, _PATIENCE)
        report.step(
            "the connections go on",
            ok=not talkers.broken,
            seen="\n".join(f"{one.flow}: {one.broke}" for one in talkers.broken)
            or f"{talkers.answers} answers, {answers} of them until the programs had moved",
        )
        talkers.pause()
        wrong = _miscounted(node.pin, talkers.all)
        report.step(
            "each entry counts exactly what its socket got",
            ok=not wrong,
            seen="\n".join(wrong) or f"packets and bytes of {FLOWS} connections",
        )


def _miscounted(pin: Path, talkers: Sequence[Talker]) -> list[str]:
    """Connections whose entry counts other than what came back; waits for the last packets."""
    wrong: list[str] = []

    def all_right() -> bool:
        with BpfMap.open(pin) as live:
            whole = live.read_conntrack(Reading(layout=Layout.V1_18)).table()
        wrong.clear()
        for one in talkers:
            found = look.entries_of(whole, one.flow.source).values
            counted = [(int(value["packets"]), int(value["bytes"])) for value in found]
            if counted != [kinds.Sent.of(one).back]:
                wrong.append(f"{one.flow}: got {kinds.Sent.of(one).back}, counted {counted}")
        return not wrong

    look.until(all_right)
    return wrong


def _keys(pin: Path) -> set[bytes]:
    with BpfMap.open(pin) as live:
        return {key.tobytes() for key in live.read().keys}


CASE = Case(
    name="guard",
    summary="a foreign agent re-creates its table, and a guard carries every entry and count over",
    section="",
    run=run,
)
