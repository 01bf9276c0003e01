"""The entries that a way of changing a table's size puts at risk, listed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message
from ctconsole.cli.plans import NOTHING, print_plan, where_dict
from ctconsole.cli.printing import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctconsole.manager.resize.plan import MapPlan
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.plan import Plan


def print_with_affected(
    plan: Plan, maps: Sequence[MapPlan], ways: Sequence[str], reading: Reading, *, as_json: bool
) -> None:
    """Print a plan, and the entries that break, may break or are left behind, by reason.

    Args:
        plan: what was planned.
        maps: what becomes of each map.
        ways: whose entries are listed, of `Change`; none lists none.
        reading: how entries are read and judged.
        as_json: for programs.
    """
    if not (ways and as_json):
        print_plan(plan, as_json=as_json)
    if not ways:
        return
    from ctconsole.node.affected import planned_tables

    tables = list(planned_tables(maps, reading))
    if as_json:
        from ctconsole.model.listing.plans import plan_dict

        entries = [one for table, missing in tables for one in _dicts(table, missing, ways)]
        print_json({**plan_dict(plan), **where_dict(), "affected": entries})
        message(NOTHING)
        return
    from ctconsole.model.ct.outcomes import REASONS, Change
    from ctconsole.model.ct.risk import affected
    from ctconsole.model.listing.ct_table import render_listing_table

    for table, missing in tables:
        for way in ways:
            for risk, reason, rows in affected(table, Change(way), missing):
                click.echo(f"{table.info.label}: {way}: {risk.word}: {REASONS[reason]}")
                sys.stdout.flush()
                for chunk in render_listing_table(table.take(rows)):
                    sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()


def _dicts(table: CtTable, missing: int, ways: Sequence[str]) -> Iterator[dict[str, Any]]:
    from ctconsole.model.ct.outcomes import REASONS, Change
    from ctconsole.model.ct.risk import affected
    from ctconsole.model.listing.ct import render_listing_ndjson

    for way in ways:
        for risk, reason, rows in affected(table, Change(way), missing):
            why = {
                "map": table.info.label,
                "way": way,
                "risk": risk.name.lower(),
                "reason": reason.name.lower(),
                "because": REASONS[reason],
            }
            text = b"".join(render_listing_ndjson([table.take(rows)]))
            for line in text.splitlines():
                yield {**why, **json.loads(line)}
