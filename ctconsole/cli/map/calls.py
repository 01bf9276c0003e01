"""``ctconsole map calls``: which programs call which others through the program arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message
from ctconsole.cli.map.naming import MapWord, passing
from ctconsole.cli.options import bpf_root_option
from ctconsole.cli.printing import show_reports
from ctconsole.cli.shown import filtered_rows_options
from ctconsole.errors import UsageError
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.observe.calls import CallArray


@click.command(name="calls")
@click.argument("name", required=False, metavar="[MAP]", type=MapWord())
@bpf_root_option
@filtered_rows_options
def calls(name: str | None, bpf_root: Path) -> None:
    """Show who calls whom: the callers and the callees of each pinned program array.

    \b
    Examples:
      ctconsole map calls
      ctconsole map calls cilium_call_policy --json
    """
    from ctconsole.observe.calls import tail_calls

    found = tail_calls(bpf_root, message)
    if name is not None:
        is_meant = passing(name)
        found = [one for one in found if is_meant(one.path)]
        if not found:
            raise UsageError(f"No program array called {name} is pinned below {bpf_root}")
    if not found:
        message(f"No program array is pinned below {bpf_root}")
    show_reports(found, _as_dict, _print)


def _print(found: Sequence[CallArray]) -> None:
    for one in found:
        _print_array(one)


def _print_array(found: CallArray) -> None:
    click.echo(f"{cell(found.path.name)}  map {found.map.id}")
    for user in found.callers:
        where = ", ".join(user.where) or "attached nowhere that can be seen"
        by = " by tail call" if user.how == "tail call" else ""
        click.echo(f"    from      {user.program.id:>7}  {user.program.called:<15}  {where}{by}")
    for callee in found.callees:
        name = callee.prog_name or "a program that is gone"
        click.echo(f"    to {callee.index:>6} {callee.prog_id:>7}  {name}")
    if not found.callers:
        click.echo("    called through by no program")
    if not found.callees:
        click.echo("    empty")


def _as_dict(found: CallArray) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "id": found.map.id,
        "callers": [
            {
                "id": user.program.id,
                "name": user.program.called,
                "how": user.how,
                "where": list(user.where),
            }
            for user in found.callers
        ],
        "calls": [
            {"index": one.index, "id": one.prog_id, "name": one.prog_name} for one in found.callees
        ],
    }
