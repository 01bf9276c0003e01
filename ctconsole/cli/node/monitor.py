"""``ctconsole monitor``: what the datapath tells of packets, as it happens."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import (
    bpf_root_option,
    state_dir_option,
)
from ctconsole.cli.shown import columns_by, lines_option, rows_filter_option
from ctconsole.cli.told import LineTeller
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctconsole.model.packets.monitor import Notice
    from ctconsole.model.packets.samples import Samples


@click.command(name="monitor")
@click.option(
    "--type",
    "types",
    multiple=True,
    type=click.Choice(["drop", "trace", "ct"]),
    help="Only drops, only packets that pass, or only what concerns the conntrack tables: new "
    "connections and failed insertions; may be repeated.",
)
@click.option("--limit", "-n", type=click.IntRange(1), metavar="N", help="End after N records.")
@rows_filter_option
@lines_option
@columns_by(lambda: _columns())  # noqa: PLW0108 - defined below
@state_dir_option
@bpf_root_option
def command(
    types: tuple[str, ...],
    limit: int | None,
    where: str | None,
    state_dir: Path | None,
    bpf_root: Path,
) -> None:
    """Follow drops, new connections and packets, in the words of Cilium's monitor.

    Where an agent of ours runs, it hands its records over; else they are read from the pinned
    cilium_events, which has one reader only: that of a foreign agent is never taken away.

    Nothing is lost up to 100,000 records a second read by the agent and some 20,000 a second
    printed here. What is lost beyond that is counted and said in between, and on stderr at the
    end. With the default monitor-aggregation=medium a connection is told of when it begins and
    when its entry reports new flags, not with each packet; set it to none to see them all.

    \b
    Examples:
      ctconsole monitor --type drop
      ctconsole monitor --type ct --json | jq .summary.text
      ctconsole monitor --filter 'type:drop dport:443' --columns src,dst,dport,reason
      ctconsole monitor --state-dir /run/ctconsole/labs/lab/state
    """
    from ctconsole.model.packets.monitor import MonitorKind, notices

    wanted = frozenset(MonitorKind(name) for name in types)
    told, passes = LineTeller(_columns()), _passing(where)
    shown = lost = 0
    try:
        with _source(state_dir, bpf_root) as reads:
            for samples in reads:
                if samples.lost:
                    lost += samples.lost
                    _print_lost(samples.lost, told)
                for notice in notices(samples):
                    if notice.is_of(wanted) and passes(notice):
                        _print(notice, told)
                        shown += 1
                    if limit and shown >= limit:
                        return
                _flush()
    except KeyboardInterrupt:
        pass
    finally:
        if lost:
            message(f"{lost} records were lost")


def _columns() -> tuple[str, ...]:
    from ctconsole.model.packets.monitor_text import EXAMPLE

    return tuple(EXAMPLE)


def _passing(where: str | None) -> Callable[[Notice], bool]:
    """Whether a record passes a filter by the names of `EXAMPLE`.

    Raises:
        FilterError: it cannot be meant.
    """
    if not where:
        return lambda _: True
    from ctconsole.cli.filters import saved_filters
    from ctconsole.model.filter.rows import Listed, parse_rows
    from ctconsole.model.packets.monitor_text import EXAMPLE, as_row

    chosen = parse_rows(where, [EXAMPLE], saved_filters(where))
    return lambda notice: bool(chosen.rows(Listed([as_row(notice)]))[0])


def _print(notice: Notice, told: LineTeller) -> None:
    from ctconsole.model.packets.monitor_text import as_dict, as_row, line

    told.tell(lambda: line(notice), lambda: as_dict(notice), lambda: as_row(notice), at_once=False)


def _print_lost(count: int, told: LineTeller) -> None:
    told.tell(
        lambda: f"!! {count} records lost",
        lambda: {"type": "lost", "count": count},
        lambda: {"type": "lost"},
        at_once=False,
    )


def _flush() -> None:
    # Once for each read: who follows through a pipe wants it now, not one by one.
    import sys

    sys.stdout.flush()


@contextmanager
def _source(state_dir: Path | None, bpf_root: Path) -> Iterator[Iterator[Samples]]:
    """Reads from the agent, or, where none runs, from the array itself."""
    from ctconsole.agent.control import agent_of
    from ctconsole.agent.state import StateDir
    from ctconsole.paths import GLOBALS

    path = bpf_root / GLOBALS / "cilium_events"
    settings = agent_of(path) if state_dir is None else None
    if settings is not None:
        state_dir = settings.state_dir
    if state_dir is not None and StateDir(state_dir).running_pid() is not None:
        yield _from_agent(StateDir(state_dir).socket)
        return
    _refuse_foreign(path)
    with _direct(path) as reads:
        yield reads


def _from_agent(socket: Path) -> Iterator[Samples]:
    from ctconsole.agent import wire
    from ctconsole.model.packets.samples import from_wire

    return (from_wire(answer) for answer in wire.stream(socket, "monitor"))


@contextmanager
def _direct(path: Path) -> Iterator[Iterator[Samples]]:
    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.perf import PerfReader

    gate = Gate.open()
    with PerfReader(gate, path) as reader:
        yield (reader.read(0.1) for _ in count())


def _refuse_foreign(path: Path) -> None:
    """A foreign agent's records are its own: reading them would take them away from it.

    Raises:
        UsageError: a program that is not ours writes to the array.
        GoneError: nothing is pinned there.
    """
    from ctconsole.datapath import loader, netdev, parts
    from ctconsole.kernel.maps import BpfMap, all_programs

    functions = {*loader.FUNCTIONS.values(), *netdev.FUNCTIONS.values()}
    functions |= {parts.kernel_name(name) for name in (*parts.CALLS, parts.POLICY_FUNCTION)}
    ours = {name[:15] for name in functions}
    with BpfMap.open(path) as live:
        number = live.info.id
    foreign = sorted(
        program.name
        for program in all_programs()
        if number in program.map_ids and program.name not in ours
    )
    if foreign:
        raise UsageError(
            f"{path} belongs to another agent: its program {foreign[0]} writes to it",
            hint="Use that agent's own monitor",
        )
