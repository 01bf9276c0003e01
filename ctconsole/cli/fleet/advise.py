"""``ctconsole fleet advise``: the size each table of a pool of nodes should have, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message
from ctconsole.cli.fleet.asking import prometheus_options
from ctconsole.cli.options import Seconds
from ctconsole.cli.printing import print_json
from ctconsole.cli.shown import json_option
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.fleet.pools import PoolAdvice
    from ctconsole.fleet.prometheus import PrometheusClient

_HOURS_OF_A_WEEK = 168.0


@click.command("advise")
@prometheus_options
@click.option(
    "--by",
    default="capacity",
    show_default=True,
    metavar="LABEL",
    help="Put nodes together that have this label of Prometheus' in common, e.g. nodepool; "
    "capacity: those whose table is of one size.",
)
@click.option(
    "--window",
    "hours",
    type=Seconds(min=1.0, max=8760.0),
    default=_HOURS_OF_A_WEEK,
    show_default=True,
    metavar="HOURS",
    help="How far back their history is looked at.",
)
@click.option(
    "--nodes", default=".*", metavar="REGEX", help="Ask only for nodes whose instance is like this."
)
@json_option
def advise(
    *, prometheus: PrometheusClient, by: str, hours: float, nodes: str, as_json: bool
) -> int:
    """Say what size the conntrack and NAT tables of each pool of nodes should have, and why.

    The rule is that of ``ctconsole map advise``: a table should be 70 % full at its worst. Here
    the worst is the most living entries that any node of the pool had, so that one size does for
    all of them. Changes nothing. The exit code is 1 where Prometheus knows no such table.

    \b
    Examples:
      ctconsole fleet advise --prometheus http://prometheus:9090
      ctconsole fleet advise --by nodepool --window 720 -o json
    """
    from ctconsole.fleet.pools import advise_pools

    found = advise_pools(prometheus, by=by, window=hours * 3600, nodes=nodes)
    for told in found.warnings:
        message(cell(told))
    if found.down:
        message(f"Of {found.down} nodes that do not answer now nothing is known but their history")
    if as_json:
        print_json([_dict(one, by) for one in found.pools])
    elif not found.pools:
        message("Prometheus knows no conntrack or NAT table")
    else:
        for one in found.pools:
            for line in _lines(one, by):
                click.echo(line)
    return 0 if found.pools else 1


def _lines(one: PoolAdvice, by: str) -> Iterator[str]:
    """One table of one pool for people."""
    from ctconsole.model.advice import AdviceVerdict
    from ctconsole.model.units import count, size

    advice = one.advice
    info = advice.watched.info
    where = f"{by}={cell(one.pool)}" if one.pool else f"without {by}"
    what = "living entries" if one.living else "entries"
    yield (
        f"{cell(one.map)} ({where}, {count(one.nodes)} nodes): now at most "
        f"{count(advice.watched.entries)} of {count(info.max_entries)} {what}"
    )
    if one.largest != info.max_entries:
        yield _line("size now", f"{count(info.max_entries)} to {count(one.largest)}")
    if advice.verdict is AdviceVerdict.KEEP:
        yield _line("size", f"{count(info.max_entries)} is enough")
    elif advice.wanted is not None:
        yield _line("size", f"{count(advice.wanted)} ({advice.verdict})")
    if one.memory is not None:
        text = size(one.memory)
        if one.memory_wanted is not None and advice.verdict is not AdviceVerdict.KEEP:
            more = (one.memory_wanted - one.memory) * one.nodes
            text += f" -> about {size(one.memory_wanted)} on each node, {_signed(more)} in all"
        yield _line("memory", text)
    for reason in advice.reasons:
        yield _line("because", reason)
    for unknown in one.unknown:
        yield _line("not known", unknown)


def _signed(number: int) -> str:
    from ctconsole.model.units import size

    return f"{'-' if number < 0 else '+'}{size(abs(number))}"


def _line(label: str, text: str) -> str:
    return f"  {label:<13} {text}"


def _dict(one: PoolAdvice, by: str) -> dict[str, Any]:
    advice = one.advice
    grown, watched = advice.grown, advice.watched
    return {
        "by": by,
        "pool": one.pool or None,
        "map": one.map,
        "nodes": one.nodes,
        "max_entries": watched.info.max_entries,
        "max_entries_largest": one.largest,
        "entries": watched.entries,
        "living_only": one.living,
        "verdict": advice.verdict.value,
        "advised": advice.wanted,
        "peak": advice.peak[1],
        "peak_time": advice.peak[0],
        "watched_seconds": round(one.history),
        "growth_per_second": round(grown.rate, 3) if grown else None,
        "growth_seconds": round(grown.seconds, 3) if grown else None,
        "new_per_second": watched.came,
        "evicted_per_second": watched.evicted,
        "evicted": one.evicted,
        "memory": one.memory,
        "memory_advised": one.memory_wanted,
        "reasons": list(advice.reasons),
        "unknown": list(one.unknown),
    }
