"""``ctconsole map users``: which programs use which generation of each map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message
from ctconsole.cli.map.naming import MapWord, passing
from ctconsole.cli.options import GivenPath, bpf_root_option, state_dir_option
from ctconsole.cli.printing import show_reports
from ctconsole.cli.shown import filtered_rows_options
from ctconsole.errors import UsageError
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ctconsole.observe.usage import MapGeneration, MapUsage


@click.command(name="users")
@click.argument("name", required=False, metavar="[MAP]", type=MapWord())
@bpf_root_option
@state_dir_option
@click.option(
    "--history",
    "file",
    type=GivenPath(),
    metavar="FILE",
    help="A history that tells what the pins held before, instead of a state folder's.",
)
@filtered_rows_options
def users(name: str | None, bpf_root: Path, state_dir: Path | None, file: Path | None) -> int:
    """Show the programs that use each pinned map, and those that use an older one of it.

    Looked for are programs on tc, tcx, netkit and XDP in every network namespace, on cgroups, on
    maps of sockets, in registered struct_ops, behind any bpf link, and those they tail-call.

    The exit code is 1 where nobody uses a pinned map while programs use an older generation of
    it: then the pin does not show what the node does.

    \b
    Examples:
      ctconsole map users
      ctconsole map users cilium_ct4_global --json
      ctconsole map users --filter split:yes --columns path,verdict
      ctconsole ct list --map-id 549    list the generation that is pinned nowhere
    """
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.observe.usage import map_usage

    history = file or StateDir(state_dir or default_state_dir()).history
    found = map_usage(bpf_root, history, message)
    if name is not None:
        is_meant = passing(name)
        found = [usage for usage in found if is_meant(usage.path)]
        if not found:
            raise UsageError(f"No map called {name} is pinned below {bpf_root}")
    show_reports(found, _as_dict, _print)
    return int(any(usage.split for usage in found))


def _print(found: Iterable[MapUsage]) -> None:
    for usage in found:
        for generation in (usage.pinned, *usage.others):
            state = "" if generation.pinned else f"  not pinned: {generation.why}"
            info = generation.map
            click.echo(f"{cell(usage.path.name)}  map {info.id}  maximum {info.max_entries}{state}")
            for user in generation.users:
                where = ", ".join(user.where) or "attached nowhere that can be seen"
                by = " by tail call" if user.how == "tail call" else ""
                click.echo(f"    {user.program.id:>7}  {user.program.called:<15}  {where}{by}")
            if not generation.users:
                click.echo("    used by no program")
    for usage in found:
        if usage.verdict:
            word = "ALARM" if usage.split else "Note"
            message(f"{word}: {usage.verdict}")


def _as_dict(usage: MapUsage) -> dict[str, Any]:
    return {
        "path": str(usage.path),
        "level": usage.level.value,
        "split": usage.split,
        "verdict": usage.verdict,
        "pinned": _generation(usage.pinned),
        "others": [_generation(other) for other in usage.others],
    }


def _generation(generation: MapGeneration) -> dict[str, Any]:
    info = generation.map
    return {
        "id": info.id,
        "name": info.name,
        "type": info.type.name,
        "max_entries": info.max_entries,
        "why": generation.why,
        "users": [
            {
                "id": user.program.id,
                "name": user.program.called,
                "type": user.program.type.name,
                "how": user.how,
                "where": list(user.where),
            }
            for user in generation.users
        ],
    }
