"""``ctconsole guard``: hold the conntrack tables, and carry them over when an agent drops them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from ctconsole.cli.common import message
from ctconsole.cli.gates import gate_options, open_gate
from ctconsole.cli.node.events import EVENT_COLUMNS, print_event
from ctconsole.cli.options import for_option, layout_option, written_root_option
from ctconsole.cli.shown import columns_by, lines_option
from ctconsole.cli.told import LineTeller
from ctconsole.errors import GoneError

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout

_ENDING: Final = 10.0
"""Seconds given to a resize that was cut off to be ended before the tables are guarded."""


@click.command(name="guard")
@written_root_option
@layout_option
@gate_options
@for_option
@lines_option
@columns_by(lambda: EVENT_COLUMNS)
def command(
    bpf_root: Path,
    layout: Layout | None,
    read_only: bool,
    allow_writes: bool,
    seconds: float | None,
) -> None:
    """Keep the entries of conntrack tables that an agent re-creates.

    Holds the tables pinned now. When the node's agent, Cilium's or ours, puts a new and empty
    table in the place of one, every entry is carried over within a fraction of a second, what
    the programs add to the old table until they are replaced follows, and counts are added up
    at the end. Which fields are counts the layout says, which is told. A table whose keys or
    values have another size is told and left alone, and one that is resized or re-created on
    purpose is left to whoever does that until it is over. The console has it as ctrl+g.

    \b
    Examples:
      ctconsole guard --allow-writes
      ctconsole guard --allow-writes --for 300 --json
    """
    from ctconsole.manager.interrupts import Interrupts
    from ctconsole.node.guard import PACE, Guard
    from ctconsole.node.reading import reading_of_node
    from ctconsole.node.resizing import end_cut_off
    from ctconsole.observe.agents import find_globals

    lines = LineTeller(EVENT_COLUMNS)
    gate = open_gate("Guarding", bpf_root, read_only=read_only, allow_writes=allow_writes)
    folder = find_globals(bpf_root)
    told = end_cut_off(gate, folder, message, _ENDING)
    if told:
        message(told)
    reading = reading_of_node(bpf_root, layout)
    end = None if seconds is None else time.monotonic() + seconds
    with Guard(gate, folder, reading) as guard, Interrupts() as heard:
        if not guard.held:
            raise GoneError(
                2, "BPF_OBJ_GET", f"of a conntrack table in {folder}", hint="Name the --bpf-root"
            )
        message(
            f"Guarding {len(guard.held)} tables in {folder}, layout "
            f"{reading.layout or 'by their entries'}; Ctrl-C ends"
        )
        while not heard.noted and (end is None or time.monotonic() < end):
            for event in guard.look():
                print_event(event, lines)
            time.sleep(PACE)
        for event in guard.close():
            print_event(event, lines)
