"""``ctconsole ct`` and ``ct list``: conntrack tables on the terminal."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import click

from ctconsole.cli.common import detail, message, say_guess
from ctconsole.cli.ct.choice import EntryChoice, column_names
from ctconsole.cli.ct.naming import names_for
from ctconsole.cli.filters import entries_where, filter_option
from ctconsole.cli.map.naming import maps_argument
from ctconsole.cli.options import (
    bpf_root_option,
    check_now,
    from_dump_option,
    layout_option,
    now_option,
)
from ctconsole.cli.shown import (
    OUTPUT_HELP,
    OUTPUTS,
    choosing_options,
    columns_by,
    how,
    output_options,
)
from ctconsole.cli.streams import Terminal
from ctconsole.cli.wing import Wing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ctconsole.cli.shown import How
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names
    from ctconsole.model.raw import Raw
    from ctconsole.node.pinned import PinnedTables
    from ctconsole.observe.discovery import NodeFacts


_APART: Final = {
    "delete": "ctconsole.cli.ct.delete",
    "flush": "ctconsole.cli.ct.delete",
    "risk": "ctconsole.cli.ct.risk",
    "snapshot": "ctconsole.cli.ct.snapshot",
    "stats": "ctconsole.cli.ct.stats",
}


@click.group("ct", cls=Wing, apart=_APART)
def command() -> None:
    """List conntrack tables, count what is in them, forecast a loss, delete entries."""


@command.command("list")
@maps_argument
@layout_option
@output_options(
    (*OUTPUTS, "cilium", "cilium-json"),
    f"{OUTPUT_HELP} cilium and cilium-json print what that release's own tool prints, byte for "
    "byte.",
)
@choosing_options
@from_dump_option
@click.option(
    "--map-id", "ids", type=int, multiple=True, metavar="N", help="Read the map with this id."
)
@click.option("--time-diff", "-d", is_flag=True, help="Add the seconds remaining (cilium output).")
@click.option(
    "--names",
    "with_names",
    is_flag=True,
    help="Add what addresses, services and identities are called, from the agent and the maps.",
)
@filter_option
@now_option
@bpf_root_option
@columns_by(column_names)
def list_entries(
    *,
    maps: tuple[str, ...],
    layout: Layout | None,
    dumps: tuple[Path, ...],
    ids: tuple[int, ...],
    time_diff: bool,
    with_names: bool,
    where: str | None,
    now: int | None,
    bpf_root: Path,
) -> int:
    """List the entries of the node's conntrack maps, of any map by id, or of dump files.

    The exit code is 1 where something could not be read; the rest is still printed.

    \b
    Examples:
      ctconsole ct list                                   for people
      ctconsole ct list --output cilium | grep SYN        as Cilium's own tool prints it
      ctconsole ct list -o ndjson | jq 'select(.alive)'   for programs
      ctconsole ct list ct4 --sort bytes --limit 20       the largest of one map
      ctconsole ct list --names                           with pods, labels and services
      ctconsole ct list --filter 'dport:443 state:syn'    only some of them
      ctconsole ct list --from-dump cilium_ct4_global.bpftool.json -o csv
      ctconsole ct list --from-dump cilium-sysdump.zip    also text that Cilium's tool printed
      ctconsole ct list --map-id 549 --layout 1.18        also a map that lost its pin
    """
    from ctconsole.kernel.heap import keep_freed_memory

    keep_freed_memory()
    asked = how()
    output = asked.output
    if output.startswith("cilium"):
        _check_whole(asked, maps, with_names=with_names)
    _check(output, dumps, ids, now, time_diff=time_diff)
    query = entries_where(where, bpf_root, dumps)
    choice = EntryChoice(asked, maps, for_people=output in {"table", "wide"})
    missing: list[str] = []
    with ExitStack() as opened:
        if dumps:
            from ctconsole.node.entries import files

            raws: Iterable[Raw] = files(dumps, now or 0, message, judged=query.judges)
            if time_diff and any(len(one.keys) and not one.at.stamp for one in raws):
                raise click.UsageError(
                    "The files do not tell the clock they were written at; give it with --now."
                )
        else:
            from ctconsole.node.pinned import PinnedTables

            pins = None if ids else PinnedTables(bpf_root, whole=output == "table" and not query)
            if pins is not None:
                opened.callback(pins.close)
            facts = _known(bpf_root)
            if layout is None and facts.layout is not None:
                layout = facts.layout.value
                detail(f"layout {layout}: {facts.layout.origin}")
            reading = _reading(facts, judges=query.judges or choice.judges)
            if pins is None:
                from ctconsole.node.entries import by_id

                raws = by_id(ids, reading, missing.append)
            else:
                raws = _live(reading, layout, output, pins, facts)
                if layout is None:
                    from ctconsole.model.ct.guess import guess_layout
                    from ctconsole.model.generation import generation
                    from ctconsole.node.records import pinned_infos

                    guess = generation(pinned_infos(bpf_root), guess_layout(*pins.samples()))
                    say_guess(guess)
                    layout = guess.layout
        names = names_for(dumps, bpf_root) if with_names else None
        listing = _Listing(layout, choice, names, query, time_diff=time_diff)
        _write(listing.render(raws))
    choice.meant.check("in the files" if dumps else f"below {bpf_root}")
    for one in missing:
        message(f"ctconsole: {one}")
    return 1 if missing else listing.exit_code


def _write(chunks: Iterable[memoryview | str]) -> None:
    """Write them to standard output; a terminal draws text of our own as it is meant."""
    for chunk in chunks:
        if not isinstance(chunk, str):
            sys.stdout.buffer.write(chunk)
        elif isinstance(sys.stdout, Terminal):
            sys.stdout.styled(chunk)
        else:
            sys.stdout.buffer.write(chunk.encode())
    sys.stdout.buffer.flush()


def _check(
    output: str, dumps: tuple[Path, ...], ids: tuple[int, ...], now: int | None, *, time_diff: bool
) -> None:
    if dumps and ids:
        raise click.UsageError("--from-dump and --map-id exclude each other.")
    if time_diff and output != "cilium":
        raise click.UsageError("--time-diff is for --output cilium; the others always say it.")
    check_now(now, dumps)


def _check_whole(asked: How, maps: Sequence[str], *, with_names: bool) -> None:
    """What Cilium's tool prints is not chosen from.

    Raises:
        UsageError: something was.
    """
    if with_names:
        raise click.UsageError("--names is for our own outputs; Cilium's tool prints none.")
    if maps or asked.chooses or asked.raw:
        raise click.UsageError(
            f"-o {asked.output} prints what Cilium's tool prints, whole; no MAP, --sort, --limit "
            "and --columns there."
        )


def _known(bpf_root: Path) -> NodeFacts:
    """What the node's agent tells; says so where its clock is not the usual one."""
    from ctconsole.node.owner import discover_node

    facts = discover_node(bpf_root)
    if facts.clock.value.uses_jiffies:
        detail(f"clock: jiffies of {facts.clock.value.hertz} Hz, from {facts.clock.origin}")
    return facts


def _reading(facts: NodeFacts, *, judges: bool) -> Reading:
    """How the node's entries are read, and judged where that is asked for."""
    from ctconsole.model.ct.reading import Reading

    if not judges:
        return Reading(facts.clock.value)
    from ctconsole.node.reading import own_policy
    from ctconsole.observe.reading import reading_of

    return reading_of(facts, own_policy(facts.bpf_root))


def _live(
    reading: Reading, layout: Layout | None, output: str, pins: PinnedTables, facts: NodeFacts
) -> Iterable[Raw]:
    """What to list. Lazy where it can be, so that one map at a time is in memory."""
    if output.startswith("cilium") and layout is not None:
        from ctconsole.observe.families import families_of

        whole = output == "cilium-json"
        return pins.maps_as_cilium(reading, layout, families_of(facts), message, at_once=whole)
    return pins.maps(reading, message, also_local=not output.startswith("cilium"))


class _Listing:
    """Renders maps in one of the outputs; says on stderr what is to be said.

    Attributes:
        exit_code: 1 once something could not be read, else 0.
    """

    def __init__(
        self,
        layout: Layout | None,
        choice: EntryChoice,
        names: Names | None,
        query: Query,
        *,
        time_diff: bool,
    ) -> None:
        self.exit_code = 0
        self._choice = choice
        self._query = query
        self._names = names
        self._layout = layout
        self._output = choice.output
        self._time_diff = time_diff

    def render(self, raws: Iterable[Raw]) -> Iterator[memoryview | str]:
        """The whole output, in chunks; as `str` where it is text of our own with its colours."""
        from ctconsole.model.cilium import ct_json as cilium_json
        from ctconsole.model.listing import ct as listing

        names, fields = self._names, self._choice.fields
        tables = self._tables(raws)
        match self._output:
            case "cilium":
                yield from self._as_cilium(raws)
            case "table" | "wide":
                yield from self._for_people(raws)
            case "cilium-json":
                yield from cilium_json.render_json(self._with_warning(self._whole(raws)))
            case "json":
                yield from listing.render_listing_json(tables, names, fields)
            case "ndjson":
                yield from listing.render_listing_ndjson(tables, names, fields)
            case _:
                yield from listing.render_listing_csv(tables, names, fields)

    def _as_cilium(self, raws: Iterable[Raw]) -> Iterator[memoryview]:
        from ctconsole.model.cilium.ct_text import text_jobs
        from ctconsole.model.text.chunks import in_order

        jobs = (
            job
            for raw, table in self._listed(raws)
            for job in text_jobs(table, time_diff=self._time_diff, last=raw.last)
        )
        return (text.data for text in in_order(jobs))

    def _for_people(self, raws: Iterable[Raw]) -> Iterator[memoryview | str]:
        """Tables; where the layout is not known, the bytes."""
        from ctconsole.model.ct.table import joined
        from ctconsole.model.listing.ct_table import render_listing_table
        from ctconsole.model.listing.hex import render_hex

        parts: list[CtTable] = []
        for raw, table in self._decoded(raws):
            if table is None:
                self._say_unknown(raw, "shown as hexadecimal")
                yield from render_hex(raw.info.label, raw.keys, raw.values)
                continue
            parts.append(table)
            if raw.last:
                whole = joined(parts)
                title, shown = self._choice.title(whole), self._choice.rows(whole)
                if self._choice.on_screen:
                    yield from self._choice.lines(shown, self._names, title)
                else:
                    yield from render_listing_table(shown, self._names, title)
                parts = []

    def _tables(self, raws: Iterable[Raw]) -> Iterator[CtTable]:
        """See `_listed`."""
        tables = (table for _, table in self._listed(raws))
        return self._choice.whole(tables) if self._choice.orders else tables

    def _listed(self, raws: Iterable[Raw]) -> Iterator[tuple[Raw, CtTable]]:
        """The maps as tables; what is no conntrack map is said and left out."""
        for raw, table in self._decoded(raws):
            if table is None:
                self._say_unknown(raw, "left out; --output table shows it as hexadecimal")
                # Maps of another sort were not asked for; a conntrack map was.
                if raw.info.label.startswith("cilium_ct"):
                    self.exit_code = 1
            else:
                yield raw, table

    def _decoded(self, raws: Iterable[Raw]) -> Iterator[tuple[Raw, CtTable | None]]:
        for raw in self._settled(raws):
            if raw.problem:
                message(f"ctconsole: {raw.problem}")
                self.exit_code = 1
            table = self._table(raw)
            if not self._choice.meant.takes(raw.info):
                continue
            if table is not None and self._query:
                table = table.take(self._query.rows(table))
            yield raw, table

    def _table(self, raw: Raw) -> CtTable | None:
        """The entries in their layout; None where it is no conntrack map of a known size."""
        from ctconsole.model.ct.layout import LAYOUTS, VALUE_SIZE

        if raw.is_conntrack:
            return raw.table()
        layout = raw.layout
        as_cilium = self._output.startswith("cilium")
        if not (as_cilium and raw.is_missized and layout and LAYOUTS[layout].any_value_size):
            return None
        short = raw.info.value_size < VALUE_SIZE
        message(
            f"{raw.info.label} has values of {raw.info.value_size} bytes; as Cilium {layout}'s "
            f"tool does, {'zeros stand for the missing ones' if short else 'the rest is left out'}"
        )
        return raw.fitted().table()

    def _settled(self, raws: Iterable[Raw]) -> Iterable[Raw]:
        """Each with the layout asked for, or its own, or the one that fits all of them best."""
        from ctconsole.model.raw import settled

        asked = self._layout
        if asked is not None:
            return (one for raw in raws for one in settled([raw], asked))
        raws = list(raws)
        told = {raw.layout for raw in raws if raw.layout}
        if told and all(raw.layout for raw in raws):
            detail(
                f"layout {', '.join(sorted(told))}: told by the text, the agent or the maps in the "
                "files, or by each node's entries"
            )
        return settled(raws, guessed=say_guess)

    def _say_unknown(self, raw: Raw, what: str) -> None:
        info = raw.info
        message(
            f"ctconsole: {info.label} has keys of {info.key_size} and values of "
            f"{info.value_size} bytes: no conntrack map of a known layout, {what}"
        )

    def _whole(self, raws: Iterable[Raw]) -> Iterator[CtTable]:
        """The tables, each whole where the JSON repeats its last key."""
        from ctconsole.model.ct.layout import LAYOUTS
        from ctconsole.model.raw import whole_maps

        if self._layout is None or LAYOUTS[self._layout].json_repeats_key:
            raws = whole_maps(raws)
        return self._tables(raws)

    def _with_warning(self, tables: Iterable[CtTable]) -> Iterator[CtTable]:
        warned = False
        for table in tables:
            if table.spec.json_repeats_key and not warned:
                message(
                    f"Cilium {table.layout}'s JSON shows each map's last key for all of its "
                    "entries, and so does this; --output json shows the right ones"
                )
                warned = True
            yield table
