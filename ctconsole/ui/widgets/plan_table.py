"""Any plan and any report, as a dialogue shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ctconsole.model.ct.outcomes import REASONS
from ctconsole.model.units import short_size
from ctconsole.ui.levels import RISK_WORDS
from ctconsole.ui.text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.plan import Plan, Report


def plan_table(
    plan: Plan, colours: Mapping[str, str], *, done: bool = False, now: int | None = None
) -> Table:
    """A line for each thing to know.

    Args:
        plan: the plan.
        colours: the theme's variables.
        done: whether it has been carried out: then only what still holds is warned of.
        now: entries counted since the plan was made; told where they are others by now.
    """
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim", width=11)
    table.add_column(overflow="fold")
    for row in plan.rows:
        table.add_row(
            clean(row.label), Text(clean(row.text), "bold" if row.label == "lost" else "")
        )
    if now is not None and now != plan.data_loss and not done:
        table.add_row("by now", Text(plural(now, "entry", "entries"), "bold"))
    memory = plan.memory
    if memory is not None:
        both = f"{short_size(memory.old)} now + {short_size(memory.new)} new"
        both += f" + {short_size(memory.passes)} passes" if memory.passes else ""
        both += f" = {short_size(memory.most)} of {short_size(memory.free)} free"
        table.add_row("memory", both + clean(memory.within))
    for risk, reason, number in plan.verdicts:
        word, colour = RISK_WORDS[risk]
        style = colours[colour]
        told = Text(f"{number:,}", style).append(f"  {REASONS[reason]}", colours["foreground"])
        table.add_row(Text(word, style), told)
    for warning in plan.lasting if done else plan.warnings:
        table.add_row("▲", Text(clean(warning), colours["fill-warn"]))
    return table


def report_text(report: Report) -> str:
    """What was done, and below it what more is to be known."""
    more = (f"{row.label}: {row.text}" for row in report.rows)
    return clean_lines((f"{report.sentence}.", *more))


def clean_lines(lines: tuple[str, ...]) -> str:
    """Lines with nothing in them that a terminal would act on."""
    return "\n".join(clean(line) for line in lines)
