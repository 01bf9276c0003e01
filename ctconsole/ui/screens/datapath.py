"""View 5: what is attached where, what it costs, and whether it uses the maps that are pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.widgets import Static

from ctconsole.model.event import Level
from ctconsole.observe.sampler import standing
from ctconsole.ui.screens.base import View
from ctconsole.ui.screens.programs import CallDetails, ProgramDetails
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.hook_rows import HookRows
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.usage_rows import UsageRows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from ctconsole.model.runs import RunsSeen
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.usage import MapUsage

CALM = "Every pinned map in use is the one the programs use."


class DatapathScreen(View):
    """Interfaces with their programs, maps with their generations, and an alarm for their split."""

    VIEW = "datapath"

    def compose_body(self) -> Iterable[Widget]:
        """The verdict; the table."""
        yield Static(id="verdict", markup=False)
        yield LineTable(id="usage", empty="Not known yet which programs use which map.")
        yield Static(id="counted", markup=False)
        yield LineTable(id="hooks", empty="Not known yet which programs there are.")

    def on_screen_resume(self) -> None:
        """Have runs counted while this view is on top, which costs the programs a little."""
        self.console.count_runs(wanted=True)
        super().on_screen_resume()

    def on_screen_suspend(self) -> None:
        """Nobody looks: the kernel need not count; under a dialogue somebody still does."""
        if self.app.current_mode != self.VIEW:
            self.console.count_runs(wanted=False)

    def show_sample(self, sample: Sample) -> None:
        """Show who uses what, if that was asked since the last sample."""
        text, level = verdict(standing(sample).values())
        panel = self.query_one("#verdict", Static)
        panel.update(text)
        panel.set_classes(f"-{level}")
        table = self.query_one("#usage", LineTable)
        if sample.usage or table.rows is None:
            table.set_rows(UsageRows(sample.usage))
        self.query_one("#counted", Static).update(clean(sample.runs.why or _spent(sample.runs)))
        self.query_one("#hooks", LineTable).set_rows(HookRows(sample))

    def shown(self) -> str:
        """How many programs and maps."""
        usage = self.console.sample.usage
        programs = {
            user.program.id
            for one in usage
            for generation in (one.pinned, *one.others)
            for user in generation.users
        }
        return f"{plural(len(programs), 'program')}, {plural(len(usage), 'map')}"

    @on(LineTable.Selected, "#usage")
    def _open(self, message: LineTable.Selected) -> None:
        rows = message.table.rows
        if isinstance(rows, UsageRows) and len(rows):
            one, generation = rows.row(message.table.cursor)
            calls = self.console.sample.calls
            array = next((a for a in calls if a.map.id == generation.map.id), None)
            if array is not None:
                self.app.push_screen(CallDetails(array))
            else:
                self.console.open_generation(one.path.name, generation)

    @on(LineTable.Selected, "#hooks")
    def _open_program(self, message: LineTable.Selected) -> None:
        rows = message.table.rows
        if isinstance(rows, HookRows) and len(rows):
            line = rows.line(message.table.cursor)
            self.app.push_screen(ProgramDetails(line.program, self.console.sample))


def _spent(runs: RunsSeen) -> str:
    """What all programs cost together."""
    rate = sum(one.rate for one in runs.programs)
    cpu = sum(one.cpu for one in runs.programs)
    ran = sum(one.rate > 0 for one in runs.programs)
    who = f"{plural(ran, 'program')} of this machine"
    return f"{who} ran {rate:,.0f} times a second and took {cpu:.2%} of a CPU"


def verdict(usage: Iterable[MapUsage]) -> tuple[str, str]:
    """What to say above the table, and how loud: ``crit``, ``warn`` or ``ok``."""
    told = sorted(
        (one for one in usage if one.verdict), key=lambda one: one.level is not Level.ERROR
    )
    if not told:
        return (CALM if usage else ""), "ok"
    lines = [f"▲ {clean(one.verdict)}" for one in told[:2]]
    if len(told) > 2:  # noqa: PLR2004 - as many as there is room for
        lines.append(f"  {len(told) - 2} more maps likewise")
    return "\n".join(lines), "crit" if told[0].split else "warn"
