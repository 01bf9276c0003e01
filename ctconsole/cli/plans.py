"""Plans and reports on standard output."""

from __future__ import annotations

import sys
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
    from ctconsole.model.listing.plans import plan_dict

    if as_json:
        print_json([{**plan_dict(plan), **where_dict()} for plan in plans])
    else:
        _print_lines(plans)
    message(NOTHING)


def _print_lines(plans: Sequence[Plan]) -> None:
    from ctconsole.model.listing.plans import plan_lines

    for plan in plans:
        for line in plan_lines(plan):
            click.echo(line)
    if place := told_place():
        click.echo(f"{'node':<12}{cell(place[0].told)} ({place[1]})")


def is_confirmed(plan: Plan, *, yes: bool, as_json: bool) -> bool:
    """Whether a plan may be carried out; if it loses anything it is printed before.

    On a terminal its name has to be typed. Elsewhere, and where a program reads the plan, only
    ``yes`` confirms.
    """
    if yes or not plan.data_loss:
        return True
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        print_plan(plan, as_json=as_json)
        return False
    _print_lines([plan])
    question = f"Type {plan.confirm_name} to do it all the same, or nothing to leave it"
    typed = click.prompt(question, default="", show_default=False, err=True)
    if typed.strip() == plan.confirm_name:
        return True
    message("Nothing was changed")
    return False


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
