"""A foreign agent restarts with another table size, and what is told of it is what happened.

The test agent acts in Cilium's order and pace: new pin 1.6 s after its start, programs 4 s later.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ctconsole.agent.state import StateDir
from ctconsole.history import History
from ctconsole.lab import look
from ctconsole.lab.foreign_agent import TCP_MAP, TCP_MAX
from ctconsole.lab.foreign_node import answered, connections, foreign_node
from ctconsole.lab.tour import Case
from ctconsole.model.event import EventKind
from ctconsole.model.readers.logline import parse_line
from ctconsole.observe import discovery, tail
from ctconsole.observe.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.foreign_node import ForeignNode
    from ctconsole.lab.tour import CaseReport
    from ctconsole.model.event import Event

FLOWS, BACK = 200, 150
"""Connections there are, and how many of them send something after the restart."""

OLD, NEW = 32768, 8192
WINDOW = 10.0
"""Seconds for the agent and the entries to come back, at least: a slow node needs longer."""

NEAR = 1.0
"""Seconds by which what is seen from outside may differ from what the agent logs."""


def run(lab: Lab, report: CaseReport) -> None:
    """Watch a restart and compare the story with the facts."""
    with (
        foreign_node(lab) as node,
        connections(lab, FLOWS) as clients,
        History(StateDir(lab.state_dir).history) as history,
    ):
        _is_found(report, node)
        answered(clients)
        look.until(lambda: node.table()[1] >= FLOWS)
        old, lost = node.table()
        report.step(
            "its programs track the connections of node2",
            ok=lost == FLOWS,
            seen=f"{lost} entries in map {old.id}",
        )

        def log(stopped: Callable[[], bool]) -> Iterator[str]:
            return tail.follow_file(node.agent.log, stopped)

        window = max(WINDOW, 2 * node.agent.took)
        with Watcher(node.bpf_root, history.append, window=window, log=log):
            node.agent.configure(TCP_MAX, NEW)
            before = node.agent.pid
            node.agent.restart()
            new, _ = node.table()
            report.step(
                "it is restarted with another size",
                ok=(old.max_entries, new.max_entries) == (OLD, NEW) and old.id != new.id,
                seen=f"process {before} -> {node.agent.pid}, map {old.id} -> {new.id}",
            )
            alive = answered(clients[:BACK])
            report.step(
                "the connections live on", ok=alive == BACK, seen=f"{alive} of {BACK} answered"
            )
            look.until(lambda: bool(history.read(kinds=[EventKind.STORY])), window + 60)
        stories = [event for _, event in history.read(kinds=[EventKind.STORY])]
        moved = _moved_after(node.agent.log.read_text("utf-8"))
        mismatches = [event for _, event in history.read(kinds=[EventKind.MAP_MISMATCH])]
    _log_was_read(report, mismatches)
    _story_is_true(report, stories, f"{old.id} -> {new.id}", moved, window)


def _is_found(report: CaseReport, node: ForeignNode) -> None:
    """Without being told anything but the bpffs."""
    facts = discovery.discover(node.bpf_root)
    pid = facts.agent.process.pid if facts.agent else None
    version = facts.version.value if facts.version else None
    size = facts.options.get(TCP_MAX)
    report.step(
        "a foreign agent is found, its version and options read",
        ok=(pid, version, size) == (node.agent.pid, "1.18.0", str(OLD)),
        seen=f"process {pid}, Cilium {version}, {TCP_MAX}={size}",
    )


def _log_was_read(report: CaseReport, mismatches: list[Event]) -> None:
    """The agent's own line, with the sizes it names."""
    ours = [event for event in mismatches if event.source == "agent-log"]
    ok = [(one.fields.get("old"), one.fields.get("new")) for one in ours] == [(OLD, NEW)]
    report.step(
        "its own log line is understood",
        ok=ok,
        seen="\n".join(
            f"{one.message}: {one.fields.get('property')} {one.fields.get('old')} -> "
            f"{one.fields.get('new')}"
            for one in ours
        )
        or "no line",
    )


def _story_is_true(
    report: CaseReport, stories: list[Event], ids: str, moved: float, window: float
) -> None:
    """One story, whose sentence has the true ids, sizes and numbers."""
    sentence = (
        r"agent restarted \d\d:\d\d:\d\d-\d\d:\d\d:\d\d, "
        rf"{TCP_MAX} {OLD} -> {NEW}, {TCP_MAP} re-created at \d\d:\d\d:\d\d\.\d\d\d \({ids}\), "
        rf"{FLOWS} entries lost, "
        rf"programs moved after \d+\.\d s, {BACK} entries came back within {window:.0f} s"
    )
    told = [story.message for story in stories]
    ok = len(told) == 1 and re.fullmatch(sentence, told[0]) is not None
    report.step("one story tells it right", ok=ok, seen="\n".join(told) or "no story")
    after = stories[0].fields.get(f"{TCP_MAP}.moved_after") if stories else None
    report.step(
        "the programs moved when the agent moved them",
        ok=isinstance(after, float) and abs(after - moved) < NEAR,
        seen=f"{after} s after the new pin; by the agent's log {moved:.3f} s",
    )


def _moved_after(text: str) -> float:
    """Seconds from the table's new pin to the last program's, by the agent's own log."""
    lines = [line for line in map(parse_line, text.splitlines()) if line is not None]
    told = [(line.time or 0.0, line.message) for line in lines]
    pinned = [time for time, message in told if message.startswith("Unpinning map")]
    reloaded = [time for time, message in told if message.endswith("endpoint BPF program")]
    return max(reloaded, default=0.0) - min(pinned, default=0.0)


CASE = Case(
    name="foreign-restart",
    summary="a foreign agent's restart is told as one story, with the true numbers",
    section="",
    run=run,
)
