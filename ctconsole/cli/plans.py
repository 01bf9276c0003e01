"""Plans and reports on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.place import told_place
from ctconsole.cli.printing import print_json
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.model.plan import Plan, Report


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print a plan, and what makes it come true."""
    from ctconsole.model.listing.plans import plan_dict

    if as_json:
        print_json({**plan_dict(plan), **where_dict()})
        message(NOTHING)
    else:
        print_plans([plan], as_json=False)


def print_plans(plans: Sequence[Plan], *, as_json: bool) -> None:
    """Print several plans; as JSON they are a list."""
    from ctconsole.model.listing.plans import plan_dict, plan_lines

    if as_json:
        print_json([{**plan_dict(plan), **where_dict()} for plan in plans])
    else:
        for plan in plans:
            for line in plan_lines(plan):
                click.echo(line)
        if place := told_place():
            click.echo(f"{'node':<12}{cell(place[0].told)} ({place[1]})")
    message(NOTHING)


def where_dict() -> dict[str, object]:
    """The node that is meant, for a program."""
    place = told_place()
    if place is None:
        return {}
    found, agent = place
    return {"bpf_root": str(found.bpf_root), "lab": found.lab or None, "agent": agent}


def print_report(report: Report, *, as_json: bool) -> None:
    """Print what was done; what went wrong is for the caller to raise."""
    from ctconsole.model.listing.plans import report_dict

    if as_json:
        print_json(report_dict(report))
        _tell_more(report)
    else:
        print_reports([report], as_json=False)


def print_reports(reports: Sequence[Report], *, as_json: bool) -> None:
    """Print several reports; as JSON they are a list."""
    from ctconsole.model.listing.plans import report_dict

    if as_json:
        print_json([report_dict(report) for report in reports])
    for report in reports:
        if not as_json and not report.failure:
            click.echo(report.sentence)
        _tell_more(report)


def _tell_more(report: Report) -> None:
    for row in report.rows:
        message(row.text)


NOTHING = "Nothing was changed. Give --yes to do it"
