"""``ctconsole map``: the pinned maps of a node, and changing one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ctconsole.cli.common import message
from ctconsole.cli.ending import carry_out
from ctconsole.cli.filters import map_filter_option, maps_where
from ctconsole.cli.gates import gate_options, open_gate
from ctconsole.cli.loading import loading
from ctconsole.cli.map.facts import describe, programs_by_map, with_full, with_older
from ctconsole.cli.map.naming import MapWord, find_map, is_meant, maps_argument, no_map
from ctconsole.cli.options import (
    bpf_root_option,
    from_dump_option,
    state_dir_option,
    written_root_option,
)
from ctconsole.cli.printing import print_json, show_rows
from ctconsole.cli.shown import (
    OUTPUT_HELP,
    OUTPUTS,
    choosing_options,
    columns_by,
    how,
    json_option,
    output_options,
    terminal_width,
)
from ctconsole.cli.wing import Wing
from ctconsole.errors import UsageError
from ctconsole.model.listing.rows import ColumnForm, RowColumn
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.model.filter.maps import MapFilter


_APART: Final = {
    verb: f"ctconsole.cli.map.{verb}" for verb in ("advise", "calls", "resize", "users")
}


@click.group(name="map", cls=Wing, apart=_APART)
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


@command.command(name="list")
@maps_argument
@from_dump_option
@output_options(
    (*OUTPUTS, "cilium", "cilium-json"),
    f"{OUTPUT_HELP} cilium and cilium-json print what the node's agent says, as its own tool does.",
)
@choosing_options
@map_filter_option
@click.option("--verbose", is_flag=True, help="Add what the agent's caches hold (cilium output).")
@state_dir_option
@bpf_root_option
@columns_by(lambda: [one.name for one in _COLUMNS])
def list_(
    *,
    maps: tuple[str, ...],
    dumps: tuple[Path, ...],
    where: str | None,
    verbose: bool,
    state_dir: Path | None,
    bpf_root: Path,
) -> int:
    """List every pinned map with its fill, exact where the kernel counts.

    Where programs use an older map than the pinned one, that is named: what the pin shows is not
    what they do. The history of a state folder tells best since when.

    \b
    Examples:
      ctconsole map list
      ctconsole map list ct4 any4 --watch
      ctconsole map list --sort memory --limit 5
      ctconsole map list --filter 'group:conntrack fill>80 or memory>10M'
      ctconsole map list --output cilium --verbose      as Cilium's own tool prints it
      ctconsole map list --lab lab -o csv --columns name,entries,fill
    """
    asked = how()
    if verbose and asked.output != "cilium":
        raise UsageError("--verbose belongs to --output cilium")
    if asked.output.startswith("cilium"):
        from ctconsole.cli.map.agent_list import agents_list

        if dumps or where or maps or asked.chooses:
            raise UsageError(
                f"--output {asked.output} is asked of an agent; no dump, no map and no --filter, "
                "--sort, --limit and --columns there"
            )
        text = agents_list(bpf_root, as_json=asked.output == "cilium-json", verbose=verbose)
        click.echo(text, nl=False)
        return 0
    with loading():
        from ctconsole.cli.map import files as map_offline
        from ctconsole.kernel.bpffs import pinned_maps
        from ctconsole.kernel.mounts import is_bpffs

    chosen = maps_where(where)
    sound = True
    if dumps:
        rows, sound = map_offline.describe(dumps)
    else:
        infos = list(pinned_maps(bpf_root, message).values())
        users = programs_by_map()
        rows = with_older(describe(infos, users), users, bpf_root, state_dir)
        rows = with_full(rows, infos, bpf_root, state_dir)
    rows = _meant(rows, maps, "in the files" if dumps else f"is pinned below {bpf_root}")
    if not rows:
        why = "" if is_bpffs(bpf_root) else ", where no bpffs is mounted"
        message(f"No map is pinned below {bpf_root}{why}; --bpf-root names another place")
    rows = _chosen(rows, chosen)
    if dumps and asked.output == "table" and not asked.chooses and terminal_width() is None:
        map_offline.print_rows(rows)
    else:
        show_rows(rows, map_offline.COLUMNS if dumps else _COLUMNS)
    return 0 if sound else 1


def _meant(rows: list[dict[str, Any]], words: Sequence[str], where: str) -> list[dict[str, Any]]:
    """The rows of the maps that are named; all of them where none is.

    Raises:
        UsageError: a word means none of them.
    """
    if not words:
        return rows
    meant = {word: [row for row in rows if is_meant(word, row)] for word in words}
    for word, found in meant.items():
        if not found:
            raise no_map(f"No map {word} {where}", word, [row["name"] for row in rows])
    return [row for row in rows if any(row in found for found in meant.values())]


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
@click.argument("name", metavar="MAP", type=MapWord())
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
    [row] = describe([info])
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
@click.argument("name", metavar="MAP", type=MapWord())
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
    from ctconsole.cli.plans import print_plan, print_report
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


def _fill(row: Mapping[str, Any]) -> str:
    from ctconsole.model.units import share

    if row["fill"] is None:
        return "-"
    # A full LRU table goes up and down a little below its maximum.
    return "FULL" if row["full"] else share(row["entries"], row["max_entries"])


def _fill_tone(row: Mapping[str, Any]) -> str:
    """How a fill stands out: by the thresholds that are settled."""
    from ctconsole.settings.read import read_settings

    known = click.get_current_context().meta
    settled = known.get("thresholds") or known.setdefault("thresholds", read_settings().thresholds)
    warn, crit = settled.of(row["name"])
    fill = row["fill"] or 0.0
    return "crit" if fill >= crit else "warn" if fill >= warn else ""


_COLUMNS: Final[tuple[RowColumn, ...]] = (
    RowColumn("name", "NAME"),
    RowColumn("type", "TYPE", rank=5),
    RowColumn("id", "ID", ColumnForm.NUMBER, rank=4),
    RowColumn("entries", "ENTRIES", ColumnForm.COUNT),
    RowColumn("max_entries", "MAX", ColumnForm.COUNT, rank=1),
    RowColumn("fill", "FILL", ColumnForm.SHARE, text=_fill, tone=_fill_tone),
    RowColumn("memory", "MEMORY", ColumnForm.SIZE, rank=2),
    RowColumn("group", "GROUP", rank=6),
    RowColumn("use", "USE", rank=3),
    RowColumn("path", "PIN", wide=True),
    RowColumn("key_size", "KEY", ColumnForm.NUMBER, wide=True),
    RowColumn("value_size", "VALUE", ColumnForm.NUMBER, wide=True),
    RowColumn("flags", "FLAGS", ColumnForm.NUMBER, wide=True),
    RowColumn("note", "NOTE", wide=True),
)
"""What people see of each map."""
