"""What a loss of the table would do to each connection, said before, and what it then did."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.kernel.gate import Gate
from ctconsole.lab import look, resize_steps
from ctconsole.lab.tour import Case
from ctconsole.manager.recreate import plan_recreate
from ctconsole.model.ct.outcomes import Change, Risk
from ctconsole.model.ct.risk import judge
from ctconsole.node.acts import recreate_map
from ctconsole.node.reading import reading_of_node

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.talkers import Talker
    from ctconsole.lab.tour import CaseReport
    from ctconsole.model.ct.reading import Reading


def run(lab: Lab, report: CaseReport) -> None:
    """Forecast, re-create the table, let every connection speak, compare."""
    gate = Gate.open()
    with resize_steps.talking(lab, report) as talkers:
        talkers.pause()
        reading = reading_of_node(lab.bpf_root)
        said = [(one, _risk(lab, reading, one)) for one in talkers.all]
        safe = [one for one, risk in said if risk is Risk.COMES_BACK]
        breaks = [one for one, risk in said if risk is Risk.BREAKS]
        report.step(
            "each connection has a forecast",
            ok=bool(safe) and bool(breaks),
            seen=", ".join(
                f"{sum(one is risk for _, one in said)} {risk.name.lower().replace('_', ' ')}"
                for risk in Risk
            ),
        )
        plan = plan_recreate(lab.globals / look.TCP_MAP, 131072, reading)
        done = recreate_map(gate, plan, lab.settings, lab.state_dir)
        report.step(
            "the table is re-created, Cilium's way", ok=not done.failure, seen=done.sentence
        )
        told = [f"{row.label}: {row.text}" for row in done.rows]
        report.step(
            "the report sets the forecast beside what has come of it",
            ok=any(text.startswith("forecast: ") for text in told),
            seen="\n".join(told),
        )
        for one in talkers.all:
            one.ask()
        lost = [str(one.flow) for one in safe if one.broke]
        report.step(
            "no connection forecast to come back broke",
            ok=not lost,
            seen="\n".join(lost) or f"{len(safe)} of {len(safe)} got their page",
        )
        gone = [one for one in breaks if one.broke]
        report.step(
            "of those forecast to break, some did",
            ok=bool(gone),
            seen=f"{len(gone)} of {len(breaks)}: a backend is picked at random again",
        )


def _risk(lab: Lab, reading: Reading, one: Talker) -> Risk:
    """The worst that is said of a connection's entries."""
    table = replace(look.table(lab), knowledge=reading.knowledge)
    rows = look.entries_in(table, one.flow)
    found = judge(rows, Change.RECREATE).risk
    return Risk(int(found.max())) if len(found) else Risk.UNTOUCHED


CASE = Case(
    name="recreate-forecast",
    summary="what the loss of the table does to each connection is as it was forecast",
    section="",
    run=run,
    options=MappingProxyType({"bpf-ct-global-tcp-max": "65536"}),
)
