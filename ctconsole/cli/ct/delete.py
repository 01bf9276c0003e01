"""``ctconsole ct delete`` and ``ct flush``: entries away, with what that breaks said before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.filters import entries_where, filter_option
from ctconsole.cli.gates import gate_options
from ctconsole.cli.map.naming import find_pin, maps_argument
from ctconsole.cli.options import layout_option, state_dir_option, written_root_option
from ctconsole.cli.plans import print_plans, print_reports
from ctconsole.cli.progress import ProgressLine
from ctconsole.cli.shown import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.ct.layout import Layout
    from ctconsole.node.flush_plan import FlushPlan

_yes = click.option("--yes", is_flag=True, help="Do it; without this only the plan is printed.")


@click.command("delete")
@maps_argument
@filter_option
@click.option("--key", metavar="HEX", help="Only the entry with this raw key, as in a dump.")
@_yes
@gate_options
@state_dir_option
@layout_option
@written_root_option
@json_option
def delete(
    *,
    maps: tuple[str, ...],
    where: str | None,
    key: str | None,
    yes: bool,
    read_only: bool,
    allow_writes: bool,
    state_dir: Path | None,
    layout: Layout | None,
    bpf_root: Path,
    as_json: bool,
) -> int:
    """Delete one entry, or all that match a filter, from conntrack maps (all if none is named).

    Each entry is looked at again before it goes: one that traffic has changed so that it no
    longer matches is kept. Address translations go with their connection, as in Cilium. Ctrl-C
    ends it where it is and says what stays (exit code 130). Without --yes it prints what would
    break and changes nothing (exit code 1).

    \b
    Examples:
      ctconsole ct delete --filter 'src:10.0.1.7 state:syn'
      ctconsole ct delete cilium_ct4_global --filter state:dead --yes
      ctconsole ct delete cilium_ct4_global --key 0af401280af401461f90857c0600 --yes
    """
    if bool(where and where.strip()) == bool(key):
        raise click.UsageError("Give either --filter or --key; ct flush empties a whole map.")
    if key and len(maps) != 1:
        raise click.UsageError("--key means an entry of one map; name that map.")
    plans = _plans(bpf_root, layout, maps, where or "", key)
    if not yes:
        return _show(plans, as_json=as_json)
    gate = _open(bpf_root, read_only=read_only, allow_writes=allow_writes)
    return _run(gate, plans, state_dir, as_json=as_json)


@click.command("flush")
@maps_argument
@_yes
@gate_options
@state_dir_option
@layout_option
@written_root_option
@json_option
def flush(
    *,
    maps: tuple[str, ...],
    yes: bool,
    read_only: bool,
    allow_writes: bool,
    state_dir: Path | None,
    layout: Layout | None,
    bpf_root: Path,
    as_json: bool,
) -> int:
    """Delete EVERY ENTRY of conntrack maps (of all, if none is named).

    Unlike re-creating a map this takes address translations along, and with them connections to
    the outside. Ctrl-C ends it where it is and says what stays (exit code 130). Without --yes it
    prints what would break and changes nothing (exit code 1).

    \b
    Examples:
      ctconsole ct flush cilium_ct4_global
      ctconsole ct flush --yes
    """
    plans = _plans(bpf_root, layout, maps, "", None)
    if not yes:
        return _show(plans, as_json=as_json)
    gate = _open(bpf_root, read_only=read_only, allow_writes=allow_writes)
    return _run(gate, plans, state_dir, as_json=as_json)


def _open(bpf_root: Path, *, read_only: bool, allow_writes: bool) -> Gate:
    from ctconsole.cli.gates import open_gate

    return open_gate("Deleting entries", bpf_root, read_only=read_only, allow_writes=allow_writes)


def _plans(
    root: Path, layout: Layout | None, maps: Sequence[str], where: str, key: str | None
) -> list[FlushPlan]:
    """A plan for each map."""
    from ctconsole.errors import UsageError
    from ctconsole.node.flushing import plan_flush
    from ctconsole.node.reading import reading_of_node
    from ctconsole.observe.agents import find_globals

    query = entries_where(where, root)
    try:
        raw = None if key is None else bytes.fromhex(key)
    except ValueError as error:
        raise UsageError(f"{key} is no key", hint="Write its bytes as hexadecimal") from error
    paths = _paths(find_globals(root), maps)
    reading = reading_of_node(root, layout)
    return [plan_flush(path, query, raw, reading=reading) for path in paths]


def _paths(folder: Path, maps: Sequence[str]) -> list[Path]:
    """The pins meant; Cilium's global conntrack maps where none is named."""
    from ctconsole.errors import GoneError
    from ctconsole.model.catalogue import GLOBAL_MAPS

    if maps:
        return [find_pin(folder, name) for name in maps]
    found = [folder / name for name in GLOBAL_MAPS if (folder / name).exists()]
    if not found:
        raise GoneError(2, "BPF_OBJ_GET", str(folder / GLOBAL_MAPS[0]))
    return found


def _run(gate: Gate, plans: Sequence[FlushPlan], state_dir: Path | None, *, as_json: bool) -> int:
    from ctconsole.errors import CtconsoleError
    from ctconsole.manager.interrupts import Interrupts
    from ctconsole.node.acts import flush_map

    reports = []
    untouched: list[FlushPlan] = []
    exit_code = 0
    # Whoever asks this process to end is told what is deleted and what stays.
    with Interrupts() as heard, ProgressLine() as line:
        for plan in plans:
            if heard.noted:
                untouched.append(plan)
                continue
            for warning in plan.lasting:
                message(f"warning: {plan.path.name}: {warning}")
            folder = _history_of(plan, state_dir)
            try:
                report = flush_map(
                    gate,
                    plan,
                    folder,
                    lambda progress: line.show(progress.text),
                    lambda: bool(heard.noted),
                )
            except CtconsoleError as error:
                line.close()
                message(f"ctconsole: {error}")
                exit_code = exit_code or error.exit_code
            else:
                line.close()
                reports.append(report)
        print_reports(reports, as_json=as_json)
        failures = [report.failure for report in reports if report.failure]
        failures += [f"{plan.path.name} was not begun: it was cancelled" for plan in untouched]
        for failure in failures:
            message(f"ctconsole: {failure}")
    if failures and heard.noted:
        return 128 + heard.noted
    return exit_code or bool(failures)


def _history_of(plan: FlushPlan, state_dir: Path | None) -> Path:
    """The state folder whose history gets the events."""
    from ctconsole.agent.state import default_state_dir
    from ctconsole.node.owner import agent_of

    settings = agent_of(plan.path) if state_dir is None else None
    return settings.state_dir if settings else state_dir or default_state_dir()


def _show(plans: Sequence[FlushPlan], *, as_json: bool) -> int:
    print_plans(plans, as_json=as_json)
    return 1
