"""``ctconsole map``: the pinned maps of a node, and changing one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message, print_columns, print_json
from ctconsole.cli.ending import carry_out
from ctconsole.cli.filters import map_filter_option, maps_where
from ctconsole.cli.gates import gate_options, open_gate
from ctconsole.cli.map.advise import advise
from ctconsole.cli.map.calls import calls
from ctconsole.cli.map.naming import find_map
from ctconsole.cli.map.resize import resize
from ctconsole.cli.map.users import users
from ctconsole.cli.options import (
    bpf_root_option,
    from_dump_option,
    json_option,
    state_dir_option,
    written_root_option,
)
from ctconsole.cli.plans import print_plan, print_report
from ctconsole.errors import UsageError
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.kernel.counts import Count
    from ctconsole.model.filter.maps import MapFilter
    from ctconsole.model.spec import MapInfo


@click.group(name="map")
def command() -> None:
    """List, show, resize and re-create the pinned maps of a node.

    A map is named by its pin's name, its pin's path or its kernel id.

    \b
    Examples:
      ctconsole map list
      ctconsole map show cilium_ct4_global
      ctconsole map users cilium_ct4_global
      ctconsole map calls                       who calls whom
      ctconsole map advise                      what size each table should have
      ctconsole map resize cilium_ct4_global 1M --yes     without losing an entry
      ctconsole map recreate cilium_ct4_global --entries 1M --yes
    """


command.add_command(users)
command.add_command(calls)
command.add_command(resize)
command.add_command(advise)


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
@map_filter_option
@click.option("--verbose", is_flag=True, help="Add what the agent's caches hold (cilium output).")
@state_dir_option
@bpf_root_option
@json_option
def list_(
    *,
    dumps: tuple[Path, ...],
    output: str,
    where: str | None,
    verbose: bool,
    state_dir: Path | None,
    bpf_root: Path,
    as_json: bool,
) -> int:
    """List every pinned map with its fill, exact where the kernel counts.

    Where programs use an older map than the pinned one, that is named: what the pin shows is not
    what they do. The history of a state folder tells best since when.

    \b
    Examples:
      ctconsole map list
      ctconsole map list --filter 'group:conntrack fill>80 or memory>10M'
      ctconsole map list --output cilium --verbose      as Cilium's own tool prints it
      ctconsole map list --bpf-root /run/ctconsole/labs/lab/bpf --json
    """
    if verbose and output != "cilium":
        raise UsageError("--verbose belongs to --output cilium")
    if output.startswith("cilium"):
        from ctconsole.cli.map.agent_list import agents_list

        if dumps or as_json or where:
            raise UsageError(
                f"--output {output} is asked of an agent; no dump, --json and --filter there"
            )
        text = agents_list(bpf_root, as_json=output == "cilium-json", verbose=verbose)
        click.echo(text, nl=False)
        return 0
    as_json = as_json or output == "json"
    from ctconsole.cli.map import files as map_offline
    from ctconsole.kernel.bpffs import pinned_maps
    from ctconsole.kernel.mounts import is_bpffs

    chosen = maps_where(where)
    sound = True
    if dumps:
        rows, sound = map_offline.describe(dumps)
    else:
        maps = list(pinned_maps(bpf_root, message).values())
        rows = _with_older(_describe(maps), bpf_root, state_dir)
        rows = _with_full(rows, maps, bpf_root, state_dir)
    if not rows:
        why = "" if is_bpffs(bpf_root) else ", where no bpffs is mounted"
        message(f"No map is pinned below {bpf_root}{why}; --bpf-root names another place")
    rows = _chosen(rows, chosen)
    if as_json:
        print_json(rows)
    elif dumps:
        map_offline.print_rows(rows)
    else:
        _print_table(rows)
    return 0 if sound else 1


def _chosen(rows: list[dict[str, Any]], chosen: MapFilter | None) -> list[dict[str, Any]]:
    """The rows that pass; says how many would or not, were more known of them."""
    if chosen is None:
        return rows
    from ctconsole.model.filter.maps import Maps

    maps = Maps(rows)
    if undecided := int(chosen.undecided(maps).sum()):
        message(f"{undecided} maps are left out: what the filter asks is not known of them")
    return [row for row, passes in zip(rows, chosen.rows(maps), strict=True) if passes]


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

    info = find_map(name, pinned_maps(bpf_root, message), bpf_root)
    [row] = _describe([info])
    row["programs"] = [
        {"id": program.id, "name": program.called, "type": program.type.name}
        for program in all_programs()
        if info.id in program.map_ids
    ]
    if as_json:
        print_json(row)
        return
    programs = ", ".join(f"{one['name']} ({one['id']})" for one in row["programs"]) or "none"
    for field, value in {**row, "programs": programs}.items():
        text = "-" if value is None else cell(str(value))
        click.echo(f"{field.replace('_', ' '):<14} {text}")


@command.command()
@click.argument("name")
@click.option("--entries", "size", required=True, metavar="N", help="Its capacity: 524288, 512k.")
@click.option("--yes", is_flag=True, help="Do it; without this only the plan is printed.")
@gate_options
@state_dir_option
@written_root_option
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
    from ctconsole.agent.state import default_state_dir
    from ctconsole.kernel.bpffs import pinned_maps
    from ctconsole.model.units import parse_size
    from ctconsole.node.acts import plan_recreation, recreate_map
    from ctconsole.node.owner import named_agent
    from ctconsole.node.reading import reading_of_node

    pin = Path(str(find_map(name, pinned_maps(bpf_root, message), bpf_root).pin))
    settings = named_agent(pin, state_dir)
    plan = plan_recreation(pin, parse_size(size), reading_of_node(bpf_root), settings)
    if not yes:
        print_plan(plan, as_json=as_json)
        return 1
    gate = open_gate("Re-creating a map", bpf_root, read_only=read_only, allow_writes=allow_writes)
    for warning in plan.lasting:
        message(f"warning: {warning}")

    def act() -> None:
        report = recreate_map(gate, plan, settings, state_dir or default_state_dir())
        print_report(report, as_json=as_json)
        report.check()

    return carry_out(act)


def _describe(maps: Iterable[MapInfo]) -> list[dict[str, Any]]:
    """Facts, fill and group of maps, as JSON shows them, grouped as the article groups them."""
    from collections import Counter

    from ctconsole.kernel.counts import count_maps, open_counter
    from ctconsole.kernel.maps import all_programs
    from ctconsole.model.catalogue import Group, classify, use_of

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


def _with_older(
    rows: list[dict[str, Any]], bpf_root: Path, state_dir: Path | None
) -> list[dict[str, Any]]:
    """The same, with the older generation of a map where programs use one."""
    from ctconsole.observe.usage import in_use, older_in_use

    if not rows:
        return rows
    for usage in older_in_use(bpf_root, _history(bpf_root, state_dir)):
        row = next((row for row in rows if row["path"] == str(usage.path)), None)
        older = usage.older
        # Another map may have taken the pin since it was listed.
        if row is None or older is None or row["id"] != usage.pinned.map.id:
            continue
        row["use"] = in_use(usage)
        row["older"] = {
            "id": older.map.id,
            "max_entries": older.map.max_entries,
            "since": usage.since,
            "programs": [
                {"id": user.program.id, "name": user.program.called} for user in older.live_users
            ],
        }
    return rows


def _history(bpf_root: Path, state_dir: Path | None) -> Path:
    """The history of the agent that looks after the maps, else the one that consoles write."""
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.node.owner import agent_of
    from ctconsole.paths import GLOBALS

    own = agent_of(bpf_root / GLOBALS / "any", state_dir)
    return StateDir(state_dir or (own.state_dir if own else default_state_dir())).history


def _with_full(
    rows: list[dict[str, Any]], maps: list[MapInfo], bpf_root: Path, state_dir: Path | None
) -> list[dict[str, Any]]:
    """The same, with what a full table does to what comes, and since when as far as was counted."""
    import time

    from ctconsole.kernel.cpus import possible_cpus
    from ctconsole.model.fullness import fullness, is_full
    from ctconsole.node.advising import fills_of

    infos, cpus, now = {info.id: info for info in maps}, possible_cpus(), time.time()
    past = None
    for row in rows:
        info, entries = infos[row["id"]], row["entries"]
        row["full"] = row["full_since"] = None
        if entries is None or not info.type.is_hash:
            continue
        row["full"] = is_full(info, entries, cpus)
        if row["full"]:
            past = past if past is not None else fills_of(_history(bpf_root, state_dir))
            trend = (*past.get(str(info.pin), ()), (now, entries))
            found = fullness(info, trend, cpus)
            assert found is not None  # noqa: S101 - it is full
            row["full_since"] = found.since if found.since_text else None
            row["use"] = f"{row['use']}; {found.text}"
    return rows


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


def _fill(row: dict[str, Any]) -> str:
    from ctconsole.model.units import share

    if row["fill"] is None:
        return "-"
    # A full LRU table goes up and down a little below its maximum.
    return "FULL" if row["full"] else share(row["entries"], row["max_entries"])


def _print_table(rows: list[dict[str, Any]]) -> None:
    from ctconsole.model.units import count, size

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
                _fill(row),
                "-" if row["memory"] is None else size(row["memory"]),
                row["group"],
                row["use"],
            )
        )
    print_columns(cells, right=range(2, 7))
