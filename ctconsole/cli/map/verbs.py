"""``ctconsole map``: the pinned maps of a node, and re-creating one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.agent import state_dir_option
from ctconsole.cli.common import message, print_json
from ctconsole.cli.gates import gate_options, open_gate
from ctconsole.cli.map.calls import calls
from ctconsole.cli.map.users import users
from ctconsole.cli.options import bpf_root_option, from_dump_option, json_option
from ctconsole.errors import AgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.counts import Count
    from ctconsole.manager.recreate import RecreatePlan, RecreateReport
    from ctconsole.model.spec import MapInfo


@click.group(name="map")
def command() -> None:
    """List, show and re-create the pinned maps of a node.

    A map is named by its pin's name, its pin's path or its kernel id.

    \b
    Examples:
      ctconsole map list
      ctconsole map show cilium_ct4_global
      ctconsole map users cilium_ct4_global
      ctconsole map calls                       who calls whom
      ctconsole map recreate cilium_ct4_global --entries 1M --yes
    """


command.add_command(users)
command.add_command(calls)


@command.command(name="list")
@from_dump_option
@click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "cilium", "cilium-json", "json"]),
    default="table",
    show_default=True,
    help="cilium and cilium-json print what the node's agent says, as its own tool does.",
)
@click.option("--verbose", is_flag=True, help="Add what the agent's caches hold (cilium output).")
@bpf_root_option
@json_option
def list_(
    dumps: tuple[Path, ...], output: str, verbose: bool, bpf_root: Path, as_json: bool
) -> None:
    """List every pinned map with its fill, exact where the kernel counts.

    \b
    Examples:
      ctconsole map list
      ctconsole map list --output cilium --verbose      as Cilium's own tool prints it
      ctconsole map list --bpf-root /run/ctconsole/labs/lab/bpf --json
    """
    if verbose and output != "cilium":
        raise UsageError("--verbose belongs to --output cilium")
    if output.startswith("cilium"):
        from ctconsole.cli.map.agent_list import agents_list

        if dumps or as_json:
            raise UsageError(f"--output {output} is asked of an agent; no dump and no --json there")
        text = agents_list(bpf_root, as_json=output == "cilium-json", verbose=verbose)
        click.echo(text, nl=False)
        return
    as_json = as_json or output == "json"
    from ctconsole.cli.map import files as map_offline
    from ctconsole.kernel.bpffs import is_bpffs, pinned_maps

    rows = map_offline.describe(dumps) if dumps else _describe(pinned_maps(bpf_root).values())
    if not rows:
        why = "" if is_bpffs(bpf_root) else ", where no bpffs is mounted"
        message(f"No map is pinned below {bpf_root}{why}; --bpf-root names another place")
    if as_json:
        print_json(rows)
    elif dumps:
        map_offline.print_rows(rows)
    else:
        _print_table(rows)


@command.command()
@click.argument("name")
@bpf_root_option
@json_option
def show(name: str, bpf_root: Path, as_json: bool) -> None:
    """Show one map: what it is, what it holds, which programs use it.

    \b
    Examples:
      ctconsole map show cilium_ct4_global
      ctconsole map show 549 --json
    """
    from ctconsole.kernel.bpffs import pinned_maps
    from ctconsole.kernel.maps import all_programs

    info = _find(name, pinned_maps(bpf_root))
    [row] = _describe([info])
    row["programs"] = [
        {"id": program.id, "name": program.name, "type": program.type.name}
        for program in all_programs()
        if info.id in program.map_ids
    ]
    if as_json:
        print_json(row)
        return
    programs = ", ".join(f"{one['name']} ({one['id']})" for one in row["programs"]) or "none"
    for field, value in {**row, "programs": programs}.items():
        click.echo(f"{field.replace('_', ' '):<14} {'-' if value is None else value}")


@command.command()
@click.argument("name")
@click.option("--entries", "size", required=True, metavar="N", help="Its capacity: 524288, 512k.")
@click.option("--yes", is_flag=True, help="Do it; without this only the plan is printed.")
@gate_options
@state_dir_option
@bpf_root_option
@json_option
def recreate(  # noqa: PLR0917 - click hands every option over
    name: str,
    size: str,
    yes: bool,
    read_only: bool,
    allow_writes: bool,
    state_dir: Path | None,
    bpf_root: Path,
    as_json: bool,
) -> int:
    """Re-create a map with another capacity. EVERY ENTRY IN IT IS LOST.

    Without --yes it prints what it would cost and changes nothing (exit code 1). Programs of our
    own running agent move to the new map at once, and its config folder gets the new size.

    \b
    Examples:
      ctconsole map recreate cilium_ct4_global --entries 1048576
      ctconsole map recreate cilium_ct4_global --entries 1M --yes
    """
    from ctconsole.agent.actions import agent_warnings, record, recreate_map
    from ctconsole.agent.state import AgentSettings, default_state_dir
    from ctconsole.cli.node.reading import reading_of_node
    from ctconsole.kernel.bpffs import pinned_maps
    from ctconsole.manager.recreate import plan_recreate
    from ctconsole.model.units import parse_size

    pin = _find(name, pinned_maps(bpf_root)).pin
    plan = plan_recreate(Path(str(pin)), parse_size(size), reading_of_node(bpf_root))
    settings = _agent(plan.path, state_dir)
    warnings = (*plan.warnings, *agent_warnings(plan, settings))
    if not yes:
        if as_json:
            print_json(_plan_dict(plan, warnings))
        else:
            _print_plan(plan, warnings)
        message("Nothing was changed. Give --yes to do it")
        return 1
    gate = open_gate("Re-creating a map", bpf_root, read_only=read_only, allow_writes=allow_writes)
    for warning in warnings:
        message(f"warning: {warning}")
    report = recreate_map(gate, plan, settings)
    if settings is None:
        record(AgentSettings(state_dir or default_state_dir()), report.events)
    if as_json:
        print_json(_report_dict(report))
    report.check()
    if not as_json:
        click.echo(
            f"{plan.path.name} was re-created with {plan.wish.max_entries} entries: map "
            f"{report.old_id} -> {report.new_id}, {report.lost} entries lost"
        )
    if report.old_users:
        message(
            f"{len(report.old_users)} programs still use map {report.old_id} and do not see the "
            "new one; restart whoever attached them"
        )
    return 0


def _agent(path: Path, state_dir: Path | None) -> AgentSettings | None:
    """The running agent that looks after a map."""
    from ctconsole.agent import control
    from ctconsole.agent.state import AgentSettings

    if state_dir is None:
        return control.agent_of(path)
    found = control.status(AgentSettings(state_dir.absolute()))
    if not found.running or found.settings is None:
        raise AgentError(f"No agent runs on {state_dir}", hint="Start it, or drop --state-dir")
    if not path.absolute().is_relative_to(found.settings.bpf_root):
        raise UsageError(f"The agent on {state_dir} does not look after {path}")
    return found.settings


def _find(name: str, pinned: Mapping[Path, MapInfo]) -> MapInfo:
    """The map that a name, path or id means.

    Raises:
        UsageError: none or several.
    """
    if "/" in name:
        found = [info for path, info in pinned.items() if path == Path(name).absolute()]
    elif name.isdigit():
        found = [info for info in pinned.values() if info.id == int(name)]
    else:
        found = [info for path, info in pinned.items() if path.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        pins = ", ".join(str(info.pin) for info in found)
        raise UsageError(f"{name} is pinned several times: {pins}", hint="Give the path")
    raise UsageError(f"No map {name} is pinned there", hint="See ctconsole map list")


def _describe(maps: Iterable[MapInfo]) -> list[dict[str, Any]]:
    """Facts, fill and group of maps, as JSON shows them, grouped as the article groups them."""
    from collections import Counter

    from ctconsole.kernel.counts import count_maps, open_counter
    from ctconsole.kernel.maps import all_programs
    from ctconsole.manager.catalogue import Group, classify, use_of

    maps = list(maps)
    counter = open_counter()
    try:
        counts = count_maps(maps, counter)
    finally:
        if counter:
            counter.close()
    users = Counter(number for program in all_programs() for number in program.map_ids)
    order = {group: number for number, group in enumerate(Group)}
    rows = []
    for info in maps:
        entry = classify(info.label, info)
        group = entry.group if entry else Group.OTHER
        row = _row(info, counts.get(info.id), group, entry.note if entry else "")
        row |= {"program_count": users[info.id], "use": use_of(users[info.id])}
        rows.append((order[group], row))
    return [row for _, row in sorted(rows, key=lambda pair: (pair[0], pair[1]["name"]))]


def _row(info: MapInfo, count: Count | None, group: str, note: str) -> dict[str, Any]:
    bounded = count is not None and (info.type.is_hash or info.type.name == "LPM_TRIE")
    return {
        "name": info.label,
        "path": str(info.pin) if info.pin else None,
        "id": info.id,
        "type": info.type.name,
        "key_size": info.key_size,
        "value_size": info.value_size,
        "entries": count.entries if count else None,
        "entries_exact": not count.walked if count else None,
        "max_entries": info.max_entries,
        "fill": round(count.entries / info.max_entries, 6) if count and bounded else None,
        "flags": info.flags,
        "memory": info.memlock,
        "group": str(group),
        "note": note,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from ctconsole.model.units import count, share, size

    cells = [("NAME", "TYPE", "ID", "ENTRIES", "MAX", "FILL", "MEMORY", "GROUP", "USE")]
    for row in rows:
        entries = row["entries"]
        cells.append(
            (
                row["name"],
                row["type"],
                str(row["id"]),
                "-" if entries is None else count(entries),
                count(row["max_entries"]),
                "-" if row["fill"] is None else share(entries, row["max_entries"]),
                "-" if row["memory"] is None else size(row["memory"]),
                row["group"],
                row["use"],
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = {0, 1, 7, 8}
    for line in cells:
        padded = (
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        click.echo("  ".join(padded).rstrip())


def _print_plan(plan: RecreatePlan, warnings: tuple[str, ...]) -> None:
    from ctconsole.model.ct.risk import REASONS
    from ctconsole.model.units import count, size

    def line(label: str, text: str) -> None:
        click.echo(f"{label:<12}{text}")

    old, new = count(plan.info.max_entries), count(plan.wish.max_entries)
    click.echo(f"Re-create {plan.path}: {old} -> {new} entries")
    lost = f"{count(plan.entries)} entries"
    if plan.alive is not None and plan.established is not None:
        lost += f", {count(plan.alive)} alive, {count(plan.established)} established"
    line("lost", lost)
    both = size(plan.memory_old + plan.memory_new)
    line(
        "memory",
        f"{size(plan.memory_old)} -> {size(plan.memory_new)}, both together {both}, "
        f"free {size(plan.memory_free)}",
    )
    line("programs", f"{len(plan.users)} use the map")
    for risk, reason, number in plan.verdicts:
        line(risk.word, f"{count(number)}: {REASONS[reason]}")
    for warning in warnings:
        line("warning", warning)


def _plan_dict(plan: RecreatePlan, warnings: tuple[str, ...]) -> dict[str, Any]:
    return {
        "path": str(plan.path),
        "id": plan.info.id,
        "max_entries": plan.info.max_entries,
        "new_max_entries": plan.wish.max_entries,
        "differences": [
            {"property": one.property, "old": one.old, "new": one.new} for one in plan.differences
        ],
        "entries": plan.entries,
        "alive": plan.alive,
        "established": plan.established,
        "memory_old": plan.memory_old,
        "memory_new": plan.memory_new,
        "memory_free": plan.memory_free,
        "programs": list(plan.users),
        "verdicts": [
            {"risk": risk.name.lower(), "reason": reason.name.lower(), "entries": number}
            for risk, reason, number in plan.verdicts
        ],
        "warnings": list(warnings),
    }


def _report_dict(report: RecreateReport) -> dict[str, Any]:
    return {
        "ok": not report.failure,
        "path": str(report.path),
        "old_id": report.old_id,
        "new_id": report.new_id,
        "pinned_id": report.pinned_id,
        "lost": report.lost,
        "old_programs": list(report.old_users),
        "failure": report.failure or None,
        "seconds": round(report.seconds, 6),
    }
