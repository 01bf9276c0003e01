"""``ctconsole map advise``: the size each table should have, and why."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message
from ctconsole.cli.map.naming import MapWord
from ctconsole.cli.options import (
    bpf_root_option,
    check_now,
    from_dump_option,
    memory_option,
    now_option,
    over_option,
    state_dir_option,
)
from ctconsole.cli.printing import show_reports
from ctconsole.cli.shown import filtered_rows_options
from ctconsole.errors import UsageError
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ctconsole.node.advising import Advised


@click.command()
@click.argument("names", nargs=-1, metavar="[MAP]...", type=MapWord())
@from_dump_option
@over_option("Look twice, so long apart, to see how the tables grow and what full ones throw out.")
@memory_option("for Cilium's own rule")
@now_option
@state_dir_option
@bpf_root_option
@filtered_rows_options
def advise(
    *,
    names: tuple[str, ...],
    dumps: tuple[Path, ...],
    seconds: float | None,
    memory: str | None,
    now: int | None,
    state_dir: Path | None,
    bpf_root: Path,
) -> None:
    """Say what size each table should have, and why; changes nothing.

    A table should be 70 % full at its worst: with the most entries it was ever counted with, or
    once as many more have come as came while it was watched. Our agent counts its tables every
    minute, and so does the console on other nodes. Beside it stands what Cilium's own rule gives
    (bpf-map-dynamic-size-ratio of the node's memory), and a warning where that rule re-creates a
    table at the agent's next start. Without NAME: conntrack and NAT, and what is half full.

    \b
    Examples:
      ctconsole map advise
      ctconsole map advise cilium_ct4_global --over 10
      ctconsole map advise --filter verdict:enlarge --columns map,entries,advised
      ctconsole map advise --from-dump cilium-sysdump.zip --memory 32G -o json
    """
    from ctconsole.model.units import parse_size
    from ctconsole.node import advising

    check_now(now, dumps)
    if dumps:
        if seconds:
            raise UsageError("--over is for live maps; a dump is one moment")
        room = parse_size(memory) if memory else 0
        found = advising.advise_files(dumps, names, now=now or 0, memory=room)
    elif memory:
        raise UsageError("--memory is for --from-dump; a live node is asked")
    else:
        found = advising.advise_node(bpf_root, names, state_dir=state_dir, over=seconds or 0.0)
    if not found:
        message("No table whose size somebody chooses is there")
    show_reports(found, _dict, _print)


def _print(found: Sequence[Advised]) -> None:
    for node, tables in groupby(found, key=lambda one: one.node):
        if node:
            click.echo(f"{cell(node)}:")
        for one in tables:
            for line in _lines(one):
                click.echo(line)


def _lines(one: Advised) -> Iterator[str]:
    """One table for people."""
    from ctconsole.model.advice import AdviceVerdict, memory_told
    from ctconsole.model.units import count, duration

    found, info = one.advice, one.advice.watched.info
    most = f" of {count(info.max_entries)}" if info.max_entries else ""
    yield f"{cell(info.label)}: {count(found.watched.entries)}{most} entries, {found.state}"
    if found.verdict is AdviceVerdict.KEEP:
        yield _line("size", f"{count(info.max_entries)} is enough")
    elif found.wanted is not None:
        yield _line("size", f"{count(found.wanted)} ({found.verdict})")
    if found.grown is not None:
        over = duration(round(found.grown.seconds, 1))
        yield _line("growth", f"{found.grown.rate:+,.1f}/s over the last {over}")
    if memory := memory_told(found):
        yield _line("memory", memory)
    for reason in found.reasons:
        yield _line("because", reason)
    if one.sizing is not None:
        yield _line("Cilium's rule", one.sizing.text)
        if one.sizing.warning:
            yield _line("warning", one.sizing.warning)
    for unknown in found.unknown:
        yield _line("not known", unknown)


def _line(label: str, text: str) -> str:
    return f"  {label:<13} {text}"


def _dict(one: Advised) -> dict[str, Any]:
    from ctconsole.model.advice import fits

    found, info = one.advice, one.advice.watched.info
    grown, watched = found.grown, found.watched
    return {
        "map": info.label,
        "node": one.node or None,
        "max_entries": info.max_entries or None,
        "entries": watched.entries,
        "expired": watched.expired,
        "verdict": found.verdict.value,
        "advised": found.wanted,
        "peak": found.peak[1],
        "peak_time": found.peak[0] or None,
        "watched_seconds": watched.trend[-1][0] - watched.trend[0][0],
        "growth_per_second": round(grown.rate, 3) if grown else None,
        "growth_seconds": round(grown.seconds, 3) if grown else None,
        "full": found.full if info.max_entries else None,
        "full_in_seconds": round(found.full_in, 1) if found.full_in is not None else None,
        "new_per_second": watched.came,
        "evicted_per_second": watched.evicted,
        "memory": found.memory_now,
        "memory_advised": found.memory_wanted,
        "memory_free": watched.memory_free,
        "fits": fits(found),
        "reasons": list(found.reasons),
        "unknown": list(found.unknown),
        "cilium": None
        if one.sizing is None
        else {
            "option": one.sizing.option,
            "entries": one.sizing.gives,
            "set": one.sizing.given,
            "because": one.sizing.text,
            "warning": one.sizing.warning or None,
        },
    }
