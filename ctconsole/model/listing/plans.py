"""Plans and reports as the shell prints them, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.model.ct.outcomes import REASONS
from ctconsole.model.units import count, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.plan import Plan, Report

_LABEL = 12


def plan_lines(plan: Plan) -> Iterator[str]:
    """A plan for a person: the deed, then a line for each thing to know."""
    first, *rest = plan.rows
    yield f"{plan.title}: {first.text}"
    for row in rest:
        yield _line(row.label, row.text)
    memory = plan.memory
    if memory is not None:
        passes = f", with the passes {size(memory.most)}" if memory.passes else ""
        yield _line(
            "memory",
            f"{size(memory.old)} -> {size(memory.new)}, both together "
            f"{size(memory.old + memory.new)}{passes}, free {size(memory.free)}{memory.within}",
        )
    for risk, reason, number in plan.verdicts:
        yield _line(risk.word, f"{count(number)}: {REASONS[reason]}")
    for warning in plan.warnings:
        yield _line("warning", warning)


def plan_dict(plan: Plan) -> dict[str, object]:
    """A plan for a program."""
    return {
        **plan.facts,
        "verdicts": [
            {"risk": risk.name.lower(), "reason": reason.name.lower(), "entries": number}
            for risk, reason, number in plan.verdicts
        ],
        "warnings": list(plan.warnings),
    }


def report_dict(report: Report) -> dict[str, object]:
    """A report for a program."""
    return {"ok": not report.failure, **report.facts, "failure": report.failure or None}


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"
