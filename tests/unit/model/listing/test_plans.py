"""Every plan and every report comes out of the same renderers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ctconsole.model.ct.outcomes import Reason, Risk
from ctconsole.model.listing.plans import plan_dict, plan_lines, report_dict
from ctconsole.model.plan import Memory, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePath

    from ctconsole.model.event import Event
    from ctconsole.model.plan import Plan, Report, Verdict


@dataclass
class Move:
    title: str = "Move the table"
    paths: Sequence[PurePath] = ()
    rows: Sequence[Row] = (Row("to", "the garden"), Row("chairs", "4"))
    verdicts: Sequence[Verdict] = ((Risk.BREAKS, Reason.NODE_PORT, 1200),)
    memory: Memory | None = None
    warnings: Sequence[str] = ("It may rain",)
    lasting: Sequence[str] = ()
    data_loss: int = 3
    confirm_name: str = "table"
    facts: Mapping[str, object] = field(default_factory=lambda: {"legs": 4})


@dataclass
class Moved:
    failure: str = ""
    sentence: str = "The table was moved"
    rows: Sequence[Row] = ()
    events: Sequence[Event] = ()
    facts: Mapping[str, object] = field(default_factory=lambda: {"legs": 4})


def test_a_plan_is_a_line_for_the_deed_and_one_for_each_thing_to_know() -> None:
    plan: Plan = Move(memory=Memory(1 << 20, 2 << 20, 1 << 30))
    who = "node port: answers leave with the pod's address until the client speaks"
    assert list(plan_lines(plan)) == [
        "Move the table: the garden",
        "chairs      4",
        "memory      1.0 MiB -> 2.0 MiB, both together 3.0 MiB, free 1.0 GiB",
        f"breaks      1,200: {who}",
        "warning     It may rain",
    ]


def test_memory_is_not_told_of_where_none_is_needed() -> None:
    assert not any(line.startswith("memory") for line in plan_lines(Move()))


def test_a_plan_for_programs_is_its_facts_then_verdicts_and_warnings() -> None:
    assert plan_dict(Move()) == {
        "legs": 4,
        "verdicts": [{"risk": "breaks", "reason": "node_port", "entries": 1200}],
        "warnings": ["It may rain"],
    }


def test_a_report_for_programs_says_first_whether_all_went_well() -> None:
    good: Report = Moved()
    assert list(report_dict(good).items()) == [("ok", True), ("legs", 4), ("failure", None)]
    bad = report_dict(Moved(failure="it is stuck"))
    assert (bad["ok"], bad["failure"]) == (False, "it is stuck")
