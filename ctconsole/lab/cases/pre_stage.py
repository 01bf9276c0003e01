"""A foreign agent's table gets another size before the agent restarts: it takes it as it is.

Some connections talk all the time, others are silent; the agent is restarted by a command, in
Cilium's order and pace: maps 1.6 s after its start, programs 4 s later.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look
from ctconsole.lab.foreign_agent import TCP_MAX
from ctconsole.lab.foreign_node import answered, connections, foreign_node
from ctconsole.lab.tour import Case
from ctconsole.manager.resize.plan import MapWish
from ctconsole.manager.users import users
from ctconsole.node.prestage.plan import plan_prestage
from ctconsole.node.resizing import resize_foreign
from ctconsole.observe.discovery import discover
from ctconsole.observe.reading import reading_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport

_TALKING: Final = 40
_SILENT: Final = 160
_NEW: Final = 65536

_BREATH: Final = 0.1
"""Seconds between two rounds of talk."""


@dataclass
class _Talk:
    """What became of the connections that talk: rounds, and answers that did not come."""

    rounds: int = 0
    missing: int = 0


def run(lab: Lab, report: CaseReport) -> None:
    """Resize the agent's table with a command that restarts it, under live traffic."""
    with (
        foreign_node(lab) as node,
        connections(lab, _TALKING) as talking,
        connections(lab, _SILENT) as silent,
        node.agent.restarted_by_command() as command,
    ):
        answered([*talking, *silent])
        look.until(lambda: node.table()[1] >= _TALKING + _SILENT)
        before, old = _keys(node.pin), node.table()[0]
        report.step(
            "a foreign agent tracks connections",
            ok=len(before) == _TALKING + _SILENT,
            seen=f"{len(before)} entries in map {old.id}",
        )
        facts = discover(node.bpf_root)
        plan = plan_prestage(node.pin, MapWish(_NEW), reading_of(facts), facts, command)
        told = "\n".join(f"{row.label}: {row.text}" for row in plan.agent_rows)
        report.step("the plan names setting and command", ok=command in told, seen=told)
        with _talk(talking) as talk:
            done = resize_foreign(Gate.open(), plan)
        new, after = node.table()[0], _keys(node.pin)
        made = done.maps[0].new_id
        report.step(
            "the agent takes over the table that was made for it",
            ok=not done.failure and new.id == made and new.max_entries == _NEW,
            seen=done.failure or f"{done.sentence}; map {new.id}, made as {made}",
        )
        said = node.agent.log.read_text("utf-8")
        option = (node.agent.config_dir / TCP_MAX).read_text("ascii").strip()
        report.step(
            "its setting is written, and it found nothing to re-create",
            ok=option == str(_NEW) and "incompatible" not in said,
            seen=f"{TCP_MAX} is {option}",
        )
        report.step(
            "every entry is in the new table",
            ok=before <= after,
            seen=f"{len(before & after)} of {len(before)}",
        )
        report.step(
            "who talks all the time misses nothing",
            ok=talk.rounds > 0 and not talk.missing,
            seen=f"{talk.rounds * _TALKING} answers, {talk.missing} missing",
        )
        alive = answered(silent)
        report.step("so do the silent ones", ok=alive == _SILENT, seen=f"{alive} answered")
        report.step(
            "every program uses the new table",
            ok=not users(old.id) and bool(users(new.id)),
            seen=f"{len(users(old.id))} the old one, {len(users(new.id))} the new one",
        )
        node.agent.restart()
        kept = node.table()[0]
        report.step("its next start keeps it", ok=kept.id == new.id, seen=f"map {kept.id}")


@contextmanager
def _talk(clients: Sequence[socket.socket]) -> Iterator[_Talk]:
    """Have each of them ask and be answered, again and again, while the block runs."""
    talk, stop = _Talk(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            talk.missing += len(clients) - answered(clients)
            talk.rounds += 1
            time.sleep(_BREATH)

    thread = threading.Thread(target=ask, name="talk", daemon=True)
    thread.start()
    try:
        yield talk
    finally:
        stop.set()
        thread.join()


def _keys(pin: Path) -> set[bytes]:
    with BpfMap.open(pin) as live:
        return {key.tobytes() for key in live.read().keys}


CASE = Case(
    name="pre-stage",
    summary="a foreign agent's table is resized before it restarts, and it takes that as it is",
    section="",
    run=run,
)
