"""``ctconsole ct stats``: what lives in conntrack tables, what is dead, and who fills them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

from ctconsole.cli.common import message
from ctconsole.cli.ct.naming import names_for
from ctconsole.cli.filters import entries_where, filter_option
from ctconsole.cli.map.naming import MapsMeant, maps_argument
from ctconsole.cli.options import (
    bpf_root_option,
    check_now,
    from_dump_option,
    layout_option,
    now_option,
    over_option,
)
from ctconsole.cli.printing import print_json
from ctconsole.cli.progress import wait
from ctconsole.cli.shown import json_option, watch_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ctconsole.model.ct.changes import KeyedTable
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.stats import Bar, Kinds, Stats
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.ct.tops import Top, Tops
    from ctconsole.model.names import Names
    from ctconsole.node.entries import Part

    Look: TypeAlias = Callable[[], Iterable[Part]]


@click.command("stats")
@maps_argument
@from_dump_option
@filter_option
@now_option
@over_option("Look twice, so long apart, and say what came, went and was evicted in between.")
@click.option(
    "--top", type=click.IntRange(0, 1000), default=5, show_default=True, help="How many to name."
)
@click.option(
    "--names",
    "with_names",
    is_flag=True,
    help="Add what they are called: pods, nodes and services, from the agent and the maps.",
)
@layout_option
@bpf_root_option
@watch_option
@json_option
def stats(
    *,
    maps: tuple[str, ...],
    dumps: tuple[Path, ...],
    where: str | None,
    now: int | None,
    seconds: float | None,
    top: int,
    with_names: bool,
    layout: Layout | None,
    bpf_root: Path,
    as_json: bool,
) -> int:
    """Count entries that live and that are dead, by protocol and direction, and the largest users.

    Expired entries stay in a table until the garbage collector has run: they fill it as much as
    living ones. Of files it is known where they tell the node's clock, or --now does.

    \b
    Examples:
      ctconsole ct stats
      ctconsole ct stats --filter 'src:10.0.1.0/24' --json
      ctconsole ct stats ct4 --over 10
      ctconsole ct stats --names --top 10
      ctconsole ct stats --from-dump cilium-sysdump.zip --now 83211
    """
    from ctconsole.model.ct.stats import StatsTally
    from ctconsole.model.ct.tops import TopTally
    from ctconsole.node.entries import decoded

    check_now(now, dumps)
    if seconds and dumps:
        raise click.UsageError("--over is for live maps; a dump is one moment.")
    query = entries_where(where, bpf_root, dumps)
    # Two looks are told apart entry by entry, so that each has to be whole.
    whole = seconds is not None
    look = partial(decoded, dumps, now or 0, layout, bpf_root, message, whole=whole)
    before = _keyed(look, query, seconds, MapsMeant(maps)) if seconds else {}
    meant = MapsMeant(maps)
    found = []
    exit_code = 0
    names = names_for(dumps, bpf_root) if with_names else None
    kinds, tops, counted = StatsTally(), TopTally(), False
    for table, problem, last in look():
        if not meant.takes(table.info):
            continue
        if problem:
            message(f"ctconsole: {problem}")
            exit_code = 1
        part = table.take(query.rows(table)) if query else table
        kinds.add(part)
        tops.add(part)
        counted |= part.counted
        if last:
            rates = _rates(before.get(table.info.id), part) if seconds else {}
            told = _describe(table, kinds.stats(), tops.tops(top), names, counted=counted)
            full = None if query else _full(table, told["entries"], rates, live=not dumps)
            found.append({**told, **rates, "full": full})
            counted = False
            kinds, tops = StatsTally(), TopTally()
    meant.check("in the files" if dumps else f"below {bpf_root}")
    if as_json:
        print_json(found)
    else:
        for number, one in enumerate(found):
            if number:
                click.echo()
            _print(one)
    return exit_code


def _keyed(look: Look, query: Query, seconds: float, meant: MapsMeant) -> dict[int, KeyedTable]:
    """The first look, by map id; ``seconds`` ago when it returns."""
    from ctconsole.model.ct.changes import KeyedTable

    found = {
        table.info.id: KeyedTable(table.take(query.rows(table)) if query else table)
        for table, _, _ in look()
        if meant.takes(table.info)
    }
    wait(seconds, "Looked once; the second look is in")
    return found


def _rates(before: KeyedTable | None, table: CtTable) -> dict[str, Any]:
    """What happened since the first look; nothing is known of a map that was not there then."""
    from ctconsole.model.ct.changes import KeyedTable, changes_between

    changes = changes_between(before, KeyedTable(table)) if before else None
    if changes is None:
        return {"rates": None}
    return {
        "rates": {
            "seconds": round(changes.seconds, 3),
            "new_per_second": round(changes.new_rate, 2),
            "gone_per_second": round(changes.gone_rate, 2),
            "evicted": changes.evicted,
        }
    }


def _full(
    table: CtTable, entries: int, rates: dict[str, Any], *, live: bool
) -> str | Literal[False]:
    """What a full table does to what comes, in words; False where it is not full."""
    from ctconsole.kernel.cpus import possible_cpus
    from ctconsole.model.fullness import fullness

    looked = rates.get("rates")
    lost = (
        looked["evicted"] / looked["seconds"] if looked and looked["evicted"] is not None else None
    )
    trend = ((table.taken_at, entries),)
    found = fullness(table.info, trend, possible_cpus() if live else 0, lost)
    return found.text if found is not None else False


def _describe(
    table: CtTable, found: Stats, tops: Tops, names: Names | None, *, counted: bool
) -> dict[str, Any]:
    """One map in numbers; what is not known is None."""
    info = table.info
    node = {"node": table.whose.node or None, "pod": table.whose.pod or None} if table.whose else {}
    least = {"expired_at_least": found.kinds.expired} if table.at_least else {}
    own = names.of(table.whose) if names is not None else None
    top = partial(_top, names=own, clock=found.clock, counted=counted)
    return {
        "map": info.label,
        **node,
        "id": info.id or None,
        "max_entries": info.max_entries or None,
        "clock": found.clock,
        **_kinds(found.kinds, clock=found.clock),
        **least,
        "related": found.related,
        "shares": [
            {
                "protocol": _protocol(share.protocol),
                "direction": share.direction.name.lower(),
                **_kinds(share.kinds, clock=found.clock),
            }
            for share in found.shares
        ],
        "left": _bars(found.left),
        "idle": _bars(found.idle),
        "sources": [top(one) for one in tops.sources],
        "destinations": [{**top(one), **_end(one)} for one in tops.destinations],
        "services": [{**top(one, service=True), **_end(one)} for one in tops.services],
        **({"most_missed": tops.missed} if tops.missed else {}),
    }


def _kinds(kinds: Kinds, *, clock: bool) -> dict[str, Any]:
    """The numbers; without a clock nobody knows which entries live."""
    from dataclasses import asdict

    return asdict(kinds) if clock else {**asdict(kinds), "alive": None, "expired": None}


def _protocol(number: int) -> str:
    from ctconsole.model.ct.layout import IpProtocol

    return IpProtocol(number).name if number in set(IpProtocol) else str(number)


def _bars(bars: Sequence[Bar]) -> list[dict[str, int | None]]:
    return [{"from": bar.low, "to": bar.high, "entries": bar.entries} for bar in bars]


def _top(
    top: Top, *, names: Names | None, clock: bool, counted: bool, service: bool = False
) -> dict[str, Any]:
    from ctconsole.model.text.addresses import address_text

    named = {"name": names.top(top, service=service) or None} if names is not None else {}
    return {
        "address": address_text(top.address),
        **named,
        "entries": top.entries,
        "alive": top.alive if clock else None,
        "unanswered": top.unanswered,
        "bytes": top.bytes if counted else None,
    }


def _end(top: Top) -> dict[str, Any]:
    return {"port": top.port, "protocol": _protocol(top.protocol)}


def _print(one: dict[str, Any]) -> None:
    """One map for people."""
    from ctconsole.model.text.safe import cell
    from ctconsole.model.units import count, share
    from ctconsole.model.whose import Whose, called

    entries = one["entries"]
    fill = (
        f" of {count(one['max_entries'])} ({share(entries, one['max_entries'])})"
        if one["max_entries"]
        else ""
    )
    whose = Whose(one.get("node") or "", one.get("pod") or "")
    click.echo(f"{called(one['map'], whose)}: {count(entries)} entries{fill}")
    if full := one.get("full"):
        click.echo(f"  {full}")
    if one["clock"]:
        click.echo(f"  alive {count(one['alive'])}, expired {count(one['expired'])}")
    elif "expired_at_least" in one:
        least = count(one["expired_at_least"])
        click.echo(f"  expired at least {least}, by its newest report; of the rest it is not known")
    else:
        click.echo("  its clock is unknown: what has expired cannot be told")
    kinds = ("established", "half_closed", "closing", "opening", "one_way")
    click.echo("  " + ", ".join(f"{name.replace('_', '-')} {count(one[name])}" for name in kinds))
    if rates := one.get("rates"):
        evicted = "not known" if rates["evicted"] is None else f"about {count(rates['evicted'])}"
        click.echo(
            f"  in {rates['seconds']:.1f} s: {rates['new_per_second']:,.1f} new and "
            f"{rates['gone_per_second']:,.1f} gone a second, evicted {evicted}"
        )
    for part in one["shares"]:
        label = f"{part['protocol']} {part['direction']}"
        dead = f", expired {count(part['expired'])}" if one["clock"] else ""
        click.echo(f"  {label:<14} {count(part['entries']):>10}{dead}")
    _print_bars("life left", one["left"])
    _print_bars("idle", one["idle"])
    for title in ("sources", "destinations", "services"):
        if one[title]:
            click.echo(f"  most entries by {title[:-1]}{_missed(one)}")
        for top in one[title]:
            named = f"  {cell(top['name'])}" if top.get("name") else ""
            click.echo(f"    {_place(top):<48} {count(top['entries']):>10}{named}")


def _missed(one: dict[str, Any]) -> str:
    """What others may have, where there are too many different ones to count each."""
    from ctconsole.model.units import count

    missed = one.get("most_missed")
    return f" (others, too many to count each, have at most {count(missed)})" if missed else ""


def _print_bars(title: str, bars: list[dict[str, Any]]) -> None:
    from ctconsole.model.units import count

    words = [f"{_range(bar)} {count(bar['entries'])}" for bar in bars if bar["entries"]]
    if words:
        click.echo(f"  {title}: " + ", ".join(words))


def _range(bar: dict[str, Any]) -> str:
    from ctconsole.model.units import duration

    if bar["from"] is None:
        return "none"
    if bar["to"] is None:
        return f"over {duration(bar['from'])}"
    return f"{duration(bar['from'])} to {duration(bar['to'])}"


def _place(top: dict[str, Any]) -> str:
    if "port" not in top:
        return str(top["address"])
    address = f"[{top['address']}]" if ":" in top["address"] else top["address"]
    return f"{top['protocol']} {address}:{top['port']}"
