"""``ctconsole record``: keep what a node was like, moment by moment, in one file."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.hiding import anonymize_option, hiding_by
from ctconsole.cli.options import (
    GivenPath,
    bpf_root_option,
    for_option,
    interval_option,
    layout_option,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.model.ct.hiding import Hiding
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.names import Names
    from ctconsole.node.recording import NodeRecorder

_TOLD_EVERY = 10.0
"""Seconds between two lines about how far it is, on a terminal."""


class _Size(click.ParamType[int]):
    """A number of bytes as people write it, handed over as an int."""

    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """See click."""
        from ctconsole.errors import UsageError
        from ctconsole.model.units import parse_size

        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


@click.command(name="record")
@click.argument("file", type=GivenPath())
@interval_option("moments")
@for_option
@click.option(
    "--max-size",
    "most_bytes",
    type=_Size(),
    default="256M",
    show_default=True,
    metavar="SIZE",
    help="End where the file would grow larger.",
)
@click.option("--no-names", is_flag=True, help="Keep no names of addresses and services.")
@anonymize_option
@bpf_root_option
@layout_option
def command(
    *,
    file: Path,
    interval: float,
    seconds: float | None,
    most_bytes: int,
    no_names: bool,
    key_file: Path | None,
    bpf_root: Path,
    layout: Layout | None,
) -> int:
    """Record this node into FILE: its maps, every conntrack entry, its programs and events.

    Each moment is kept by what has changed since the one before, so that an hour of a busy node
    takes some 20 MB. FILE is made for your eyes alone and may be attached to a ticket as it is;
    it holds the addresses of connections, unless --anonymize replaces them. What is on the disk
    when this program or the machine goes down can still be opened.

    \b
    Examples:
      ctconsole record before-the-restart.ctrec
      ctconsole record night.ctrec --interval 10 --for 28800
      ctconsole replay night.ctrec
    """
    hiding = hiding_by(key_file)
    recorder = _begin(
        file, interval, most_bytes, bpf_root, layout, names=not no_names, hiding=hiding
    )
    message(f"Recording {recorder.title} to {file}; Ctrl-C ends")
    end = None if seconds is None else time.monotonic() + seconds
    with suppress(KeyboardInterrupt):
        _follow(recorder, end)
    progress = recorder.stop()
    if progress.error:
        message(f"ctconsole: {progress.error}")
    click.echo(f"{file}: {progress}; {progress.over}")
    return 1 if progress.failed or progress.error else 0


def _begin(
    file: Path,
    interval: float,
    most_bytes: int,
    bpf_root: Path,
    layout: Layout | None,
    *,
    names: bool,
    hiding: Hiding | None,
) -> NodeRecorder:
    from ctconsole.node.names import names_of_node
    from ctconsole.node.recording import NodeRecorder, source_of_node

    def read() -> Names:
        return names_of_node(bpf_root)[0]

    return NodeRecorder(
        file,
        source_of_node(bpf_root, layout),
        interval=interval,
        most_bytes=most_bytes,
        names=read if names else None,
        hiding=hiding,
    )


def _follow(recorder: NodeRecorder, end: float | None) -> None:
    """Until the end, or until the recording ends by itself."""
    on_terminal = sys.stderr.isatty()
    while not recorder.ended.is_set():
        rest = _TOLD_EVERY if end is None else min(_TOLD_EVERY, end - time.monotonic())
        if rest <= 0 or recorder.ended.wait(rest):
            return
        if on_terminal:
            message(str(recorder.progress))
