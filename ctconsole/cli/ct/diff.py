"""``ctconsole diff``: what two dumps, recordings or moments differ in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.filters import filter_option
from ctconsole.cli.shown import how, output_options
from ctconsole.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ctconsole.model.ct.differences import Differences
    from ctconsole.model.ct.table import CtTable

    Render = Callable[[Iterable[CtTable]], Iterator[memoryview]]

_SIGNS = (("new", "+"), ("gone", "-"), ("changed", "~"))


@click.command("diff")
@click.argument("older", metavar="A")
@click.argument("newer", metavar="B")
@output_options()
@click.option("--changed/--no-changed", default=True, help="Also entries whose values differ.")
@filter_option
def command(older: str, newer: str, changed: bool, where: str | None) -> int:
    """Say which connections are new in B, gone since A, or changed.

    A and B are dumps, sysdumps or recordings; of a recording FILE@MOMENT is that moment, and
    @MOMENT for B another one of the same file. Of what has changed the newer values are shown.
    The exit code is 0 where nothing differs, 1 where something does or could not be read.

    \b
    Examples:
      ctconsole diff before.zip after.zip
      ctconsole diff night.ctrec@01:30 @01:40
      ctconsole diff 'night.ctrec@5m ago' night.ctrec --filter 'dport:443' -o ndjson
    """
    from ctconsole.model.ct.differences import differences
    from ctconsole.model.ct.query import Query
    from ctconsole.node.comparing import tables_of

    query = Query.parse(where or "")
    troubles: list[str] = []
    before_name, before = tables_of(older, troubles.append)
    after_name, after = tables_of(newer, troubles.append, older.partition("@")[0])
    for name in before.keys() ^ after.keys():
        side = before_name if name in before else after_name
        troubles.append(f"{name} is in {side} only, and is not compared")
    common = [name for name in before if name in after]
    if not common:
        raise FormatError(f"{before_name} and {after_name} have no conntrack table in common")
    found = [
        differences(*(one.take(query.rows(one)) if query else one for one in pair))
        for pair in ((before[name], after[name]) for name in common)
    ]
    shown = [pair for pair in _SIGNS if changed or pair[0] != "changed"]
    for chunk in _rendered(found, how().output, shown, f"{before_name} -> {after_name}"):
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    for trouble in troubles:
        message(f"ctconsole: {trouble}")
    differ = any(len(getattr(one, name)) for one in found for name, _ in shown)
    return 1 if differ or troubles else 0


def _rendered(
    found: list[Differences], output: str, shown: list[tuple[str, str]], title: str
) -> Iterator[bytes]:
    if output in {"table", "wide"}:
        yield f"{title}\n".encode()
        for one in found:
            yield from _for_people(one, shown)
        return
    from ctconsole.model.listing import ct as listing

    parts = [(name, [getattr(one, name) for one in found]) for name, _ in shown]
    if output == "csv":
        headed = False
        for name, tables in parts:
            heading, *lines = _lines(listing.render_listing_csv, tables) or [b""]
            if heading and not headed:
                headed = True
                yield b"change," + heading
            yield from (f"{name},".encode() + line for line in lines)
        return
    objects = (
        f'{{"change":"{name}",'.encode() + line.lstrip(b"{")
        for name, tables in parts
        for line in _lines(listing.render_listing_ndjson, tables)
    )
    if output == "ndjson":
        yield from objects
    else:
        yield b"[" + b",\n".join(line.rstrip(b"\n") for line in objects) + b"]\n"


def _for_people(one: Differences, shown: list[tuple[str, str]]) -> Iterator[bytes]:
    from ctconsole.model.listing.ct_table import render_listing_table
    from ctconsole.model.units import count
    from ctconsole.model.whose import called

    numbers = ", ".join(f"{count(len(getattr(one, name)))} {name}" for name, _ in shown)
    name = called(one.newer.info.label, one.newer.whose)
    again = ""
    if one.older.info.id != one.newer.info.id and one.older.whose == one.newer.whose:
        again = "; it is another map"
    yield f"{name}: {numbers}, {count(one.same)} the same{again}\n".encode()
    titled = False
    for part, sign in shown:
        table = getattr(one, part)
        if not len(table):
            continue
        _, titles, *lines = b"".join(render_listing_table(table)).splitlines(keepends=True)
        if not titled:
            titled = True
            yield b"  " + titles
        yield from (f"{sign} ".encode() + line for line in lines if line.strip())
    yield b"\n"


def _lines(render: Render, tables: Iterable[CtTable]) -> list[bytes]:
    return b"".join(render(tables)).splitlines(keepends=True)
