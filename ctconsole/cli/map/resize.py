"""``ctconsole map resize``: another capacity, with everything that is in the map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.ending import carry_out
from ctconsole.cli.gates import gate_options, open_gate
from ctconsole.cli.map.affected import print_with_affected
from ctconsole.cli.map.naming import MapWord, find_map
from ctconsole.cli.map.prestage import (
    Foreigner,
    require_room,
    resize_foreign_map,
    restart_options,
)
from ctconsole.cli.options import layout_option, state_dir_option, written_root_option
from ctconsole.cli.plans import print_report
from ctconsole.cli.progress import each_once
from ctconsole.cli.shown import json_option
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from ctconsole.model.ct.layout import Layout


@click.command()
@click.argument("name", metavar="MAP", type=MapWord())
@click.argument("entries", metavar="[ENTRIES]", required=False)
@click.option(
    "--undo", is_flag=True, help="Restore the size before the last resize, as losslessly."
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what it would change, and stop.")
@click.option("--yes", is_flag=True, help="Do it; without this only the plan is printed.")
@click.option(
    "--drop",
    is_flag=True,
    help="Leave living entries behind that do not fit: the closing first, then those with the "
    "least time left.",
)
@click.option(
    "--lru",
    type=click.Choice(["common", "distributed"]),
    help="Also change how an LRU map hands out its nodes: to all CPUs, or a share to each.",
)
@restart_options
@click.option(
    "--affected",
    "ways",
    type=click.Choice(["resize", "recreate", "flush"]),
    multiple=True,
    help="Also list the entries that this way breaks, may break or has no room for; "
    "may be repeated.",
)
@gate_options
@layout_option
@state_dir_option
@written_root_option
@json_option
def resize(  # noqa: PLR0917 - click hands every option over
    name: str,
    entries: str | None,
    undo: bool,
    only_plan: bool,
    yes: bool,
    drop: bool,
    lru: str | None,
    restart_command: str,
    patience: float,
    ways: tuple[str, ...],
    read_only: bool,
    allow_writes: bool,
    layout: Layout | None,
    state_dir: Path | None,
    bpf_root: Path,
    as_json: bool,
) -> int:
    """Give a map another capacity and lose nothing: no entry, no count, no connection.

    A new map is made beside the old one and gets every entry; then the programs of our running
    agent are moved to it one by one, and when the last one has gone the counts are moved as
    well. Maps that the same option sizes are resized together. Whatever fails, and if you press
    Ctrl-C (exit code 130), the old maps are pinned again with all that has come since; a process
    that is killed is made up for by the next one.

    For an hour the size before can be restored with --undo, in the same way and with all that
    has come since, as long as nobody has changed the map.

    Maps of an agent that is not ours, Cilium's, are made before it restarts, as it would make
    them: its setting is written, or it is said how, it is restarted by --restart-command or by
    you, takes the new maps over as they are, and is carried after until its programs use them.
    As long as it has not restarted everything can be undone.

    Without --yes it prints what it would change, what the other ways would cost, and changes
    nothing (exit code 1; 0 with --plan).

    \b
    Examples:
      ctconsole map resize cilium_ct4_global 1M --plan
      ctconsole map resize cilium_ct4_global 65536 --plan --affected resize --affected flush
      ctconsole map resize cilium_ct4_global 1M --yes
      ctconsole map resize cilium_ct4_global 65536 --yes --drop
      ctconsole map resize cilium_ct4_global --undo --yes
      ctconsole map resize cilium_ct4_global 1M --yes --allow-writes --restart-command \
        "systemctl restart cilium"
    """
    if yes and (only_plan or ways):
        raise UsageError("--plan and --affected only look; they exclude --yes")
    if undo == (entries is not None):
        raise UsageError(
            "Give either the number of entries wished for or --undo",
            hint=f"ctconsole map resize {name} 1M, or ctconsole map resize {name} --undo",
        )
    if undo and lru:
        raise UsageError("--undo restores what the map was; it takes no --lru")
    from ctconsole.agent.state import default_state_dir
    from ctconsole.kernel.bpffs import pinned_maps
    from ctconsole.manager.resize.plan import MapWish
    from ctconsole.model.catalogue import option_of
    from ctconsole.model.units import parse_size
    from ctconsole.node.acts import record
    from ctconsole.node.owner import is_foreign, named_agent
    from ctconsole.node.reading import reading_of_node
    from ctconsole.node.resizing import plan_resizing, plan_undoing, resize_maps

    pin = Path(str(find_map(name, pinned_maps(bpf_root, message), bpf_root).pin))
    settings = named_agent(pin, state_dir)
    if settings is None and option_of(pin.name) and is_foreign(bpf_root):
        gate = (
            open_gate("Resizing a map", bpf_root, read_only=read_only, allow_writes=allow_writes)
            if yes
            else None
        )
        return resize_foreign_map(
            gate,
            pin,
            None if entries is None else MapWish(parse_size(entries), _FLAGS[lru]),
            Foreigner(bpf_root, layout, restart_command, patience, ways),
            drop=drop,
            only_plan=only_plan,
            as_json=as_json,
        )
    reading = reading_of_node(bpf_root, layout)
    if entries is None:
        plan = plan_undoing(pin, reading)
    else:
        wish = MapWish(parse_size(entries), _FLAGS[lru])
        plan = plan_resizing(pin, wish, reading, settings)
    if not yes:
        print_with_affected(plan, plan.maps, ways, reading, as_json=as_json)
        return 0 if only_plan else 1
    require_room(plan, drop=drop, undo=undo)
    gate = open_gate("Resizing a map", bpf_root, read_only=read_only, allow_writes=allow_writes)
    tell = each_once()
    folder = settings.state_dir if settings else default_state_dir()

    def act() -> None:
        report = resize_maps(gate, plan, settings, lambda progress: tell(progress.text))
        report = record(folder, report)
        print_report(report, as_json=as_json)
        report.check()

    return carry_out(act)


_FLAGS = {None: None, "common": 0, "distributed": 2}
