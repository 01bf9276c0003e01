"""``ctconsole ct risk``: what re-creating or flushing the tables would do to their connections."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message
from ctconsole.cli.filters import entries_where, filter_option
from ctconsole.cli.map.naming import MapsMeant, maps_argument
from ctconsole.cli.options import (
    bpf_root_option,
    check_now,
    from_dump_option,
    layout_option,
    now_option,
)
from ctconsole.cli.printing import print_json
from ctconsole.cli.shown import json_option, watch_option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.outcomes import Change, Forecast, Outcome, Reason, Risk
    from ctconsole.model.ct.table import CtTable


@click.command("risk")
@maps_argument
@from_dump_option
@filter_option
@click.option("--entries", is_flag=True, help="Also list those that break or may break, by reason.")
@now_option
@layout_option
@bpf_root_option
@watch_option
@json_option
def risk(
    *,
    maps: tuple[str, ...],
    dumps: tuple[Path, ...],
    where: str | None,
    entries: bool,
    now: int | None,
    layout: Layout | None,
    bpf_root: Path,
    as_json: bool,
) -> int:
    """Say of every connection whether it survives the loss of its entry; changes nothing.

    Re-creating a table with another size, which is what a restarted agent does, loses every
    entry; a flush also takes the address translations along. Connections come back by their next
    packet, may break, or break: counted here by reason. Services, translations and policy are
    taken from the node's other maps and its agent, or from the dumps beside; what is not known
    counts as a risk. What has expired in files is known where they tell the node's clock, or
    --now does.

    \b
    Examples:
      ctconsole ct risk
      ctconsole ct risk cilium_ct4_global --entries
      ctconsole ct risk --filter 'src:10.0.1.0/24' --json
      ctconsole ct risk --from-dump cilium-sysdump.zip --now 83211
    """
    from ctconsole.model.ct.outcomes import RiskTally
    from ctconsole.model.ct.risk import forecast
    from ctconsole.node.entries import decoded

    check_now(now, dumps)
    query = entries_where(where, bpf_root, dumps)
    told: list[dict[str, Any]] = []
    exit_code = 0
    meant = MapsMeant(maps)
    tally, listed, number = RiskTally(), _Listed(again=as_json), 0
    for table, problem, last in decoded(
        dumps, now or 0, layout, bpf_root, message, translations=True
    ):
        if not meant.takes(table.info):
            continue
        if problem:
            message(f"ctconsole: {problem}")
            exit_code = 1
        part = table.take(query.rows(table)) if query else table
        found = forecast(part)
        tally.add(found)
        number += len(part)
        if entries:
            listed.add(part, found)
        if not last:
            continue
        if as_json:
            told.append(_dict(table, tally.outcomes(), number, listed if entries else None))
        else:
            _print(table, tally.outcomes(), number)
            _print_entries(tally.outcomes(), listed)
        tally, listed, number = RiskTally(), _Listed(again=as_json), 0
    meant.check("in the files" if dumps else f"below {bpf_root}")
    if as_json:
        print_json(told)
    return exit_code


class _Listed:
    """The entries that break or may break, by change and reason, the worst first.

    Args:
        again: also those of a later change that are listed for an earlier one, for the same
            reason.
    """

    def __init__(self, *, again: bool) -> None:
        self._again = again
        self._parts: dict[tuple[Change, Risk, Reason], list[CtTable]] = {}

    def add(self, table: CtTable, found: tuple[Forecast, ...]) -> None:
        """Note those of a part, of which this is forecast."""
        import numpy as np

        told = np.zeros(len(table), np.uint8)
        for one in found:
            for outcome, why, every in one.worst():
                rows = every if self._again else every[told[every] != why]
                if len(rows):
                    parts = self._parts.setdefault((one.change, outcome, why), [])
                    parts.append(table.take(rows))
            told = one.verdicts.reason

    def of(self, outcome: Outcome) -> Iterator[tuple[Risk, Reason, CtTable]]:
        """Those of one change, in the order of its reasons."""
        from ctconsole.model.ct.table import joined

        for risk, why, _ in outcome.reasons:
            if parts := self._parts.get((outcome.change, risk, why)):
                yield risk, why, joined(parts)


def _print(table: CtTable, found: tuple[Outcome, ...], entries: int) -> None:
    """One map for people: a line for each change, then why."""
    from ctconsole.model.ct.outcomes import REASONS, Risk, reasons_to_tell
    from ctconsole.model.units import count
    from ctconsole.model.whose import called

    click.echo(f"{called(table.info.label, table.whose)}: {count(entries)} entries")
    columns = (Risk.COMES_BACK, Risk.AT_RISK, Risk.BREAKS, Risk.DEAD)
    click.echo(" " * 10 + "".join(f"{one.word:>12}" for one in columns))
    for one in found:
        numbers = "".join(f"{count(one.count(column)):>12}" for column in columns)
        click.echo(f"  {one.change:<8}{numbers}")
    if not table.has_clock:
        dead = "no more are known to be than the dead below" if table.at_least else "none is known"
        click.echo(f"  its clock is unknown: which of them are dead cannot be told, {dead}")
    for change, reasons in reasons_to_tell(found):
        click.echo(f"  {change}:")
        for outcome, why, number in reasons:
            click.echo(f"    {count(number):>10} {outcome.word:<8} {REASONS[why]}")


def _print_entries(found: tuple[Outcome, ...], listed: _Listed) -> None:
    """The entries of each reason, as ``ct list`` shows them."""
    from ctconsole.model.ct.outcomes import REASONS
    from ctconsole.model.listing.ct_table import render_listing_table

    for one in found:
        for outcome, why, table in listed.of(one):
            click.echo(f"{one.change}: {outcome.word}: {REASONS[why]}")
            sys.stdout.flush()
            for chunk in render_listing_table(table):
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


def _dict(
    table: CtTable, found: tuple[Outcome, ...], entries: int, listed: _Listed | None
) -> dict[str, Any]:
    return {
        "map": table.info.label,
        **(
            {"node": table.whose.node or None, "pod": table.whose.pod or None}
            if table.whose
            else {}
        ),
        "id": table.info.id or None,
        "entries": entries,
        "clock": table.has_clock,
        "changes": [
            {
                "change": one.change.value,
                "reasons": [
                    {**_reason(outcome, why), "entries": number}
                    for outcome, why, number in one.reasons
                ],
                **({"at_risk": list(_entries(one, listed))} if listed else {}),
            }
            for one in found
        ],
    }


def _reason(outcome: Risk, why: Reason) -> dict[str, str]:
    from ctconsole.model.ct.outcomes import REASONS

    return {
        "risk": outcome.name.lower(),
        "reason": why.name.lower(),
        "because": REASONS[why],
    }


def _entries(one: Outcome, listed: _Listed) -> Iterator[dict[str, Any]]:
    """The entries that break or may break, as ``ct list -o json`` has them, with the reason."""
    import json

    from ctconsole.model.listing.ct import render_listing_ndjson

    for outcome, why, table in listed.of(one):
        text = b"".join(render_listing_ndjson([table]))
        for line in text.splitlines():
            yield {**_reason(outcome, why), **json.loads(line)}
