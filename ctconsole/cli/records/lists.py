"""``nat``, ``lb``, ``policy``, ``ipcache``, ``endpoint``, ``metrics``: lists of Cilium's maps."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from ctconsole.cli.map.naming import maps_argument, no_map
from ctconsole.cli.options import (
    bpf_root_option,
    check_now,
    from_dump_option,
    layout_option,
    now_option,
)
from ctconsole.cli.printing import show_parts
from ctconsole.cli.shown import (
    OUTPUT_HELP,
    OUTPUTS,
    choosing_options,
    columns_by,
    how,
    keep_filter,
    output_options,
    rows_filter_option,
    terminal_width,
)
from ctconsole.model.catalogue import is_called
from ctconsole.model.cilium.services import ServiceView
from ctconsole.model.records.spec import RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout


@dataclass(frozen=True, slots=True)
class _List:
    """One of the verbs that list maps.

    Attributes:
        verb: its name.
        about: what it is, in a line.
        kinds: the maps it lists.
        doc: the help of its ``list``, with examples.
        views: flags that list one kind of map only, and their help.
    """

    verb: str
    about: str
    kinds: tuple[RecordKind, ...]
    doc: str
    views: Mapping[ServiceView, str] = field(default_factory=dict)


_LISTS: Final = (
    _List(
        "nat",
        "List address translations.",
        (RecordKind.NAT,),
        """List the translations of the node's NAT maps: who leaves with which address and port.

    \b
    Examples:
      ctconsole nat list
      ctconsole nat list --output cilium      as Cilium's own tool prints it
      ctconsole nat list --from-dump cilium-sysdump.zip -o json
    """,
    ),
    _List(
        "lb",
        "List services and their backends.",
        (
            RecordKind.SERVICE,
            RecordKind.BACKEND,
            RecordKind.REVERSE_NAT,
            RecordKind.SOURCE_RANGE,
            RecordKind.AFFINITY,
            RecordKind.AFFINITY_MATCH,
        ),
        """List services, backends, reverse NAT, source ranges and session affinity.

    \b
    Examples:
      ctconsole lb list
      ctconsole lb list --output cilium      as Cilium's own tool prints it
      ctconsole lb list --revnat             which service each id in an entry stands for
      ctconsole lb list --from-dump cilium-sysdump.zip -o json
    """,
        {
            ServiceView.FRONTENDS: "Only services, a line for each slot.",
            ServiceView.BACKENDS: "Only backends.",
            ServiceView.REVNAT: "Only reverse NAT.",
            ServiceView.SOURCE_RANGES: "Only the source ranges of services.",
        },
    ),
    _List(
        "policy",
        "List what endpoints allow.",
        (RecordKind.POLICY, RecordKind.POLICY_STATS),
        """List the policy map of every endpoint: identity, port, protocol, verdict.

    \b
    Examples:
      ctconsole policy list
      ctconsole policy list --output cilium      as Cilium's own tool prints it, with labels
      ctconsole policy list -n --output cilium   the same with the numbers of identities
      ctconsole policy list --from-dump cilium-sysdump.zip -o json
    """,
    ),
    _List(
        "ipcache",
        "List the identities of addresses.",
        (RecordKind.IPCACHE,),
        """List prefixes and the security identity behind each.

    \b
    Examples:
      ctconsole ipcache list
      ctconsole ipcache list --output cilium      as Cilium's own tool prints it
      ctconsole ipcache list --from-dump cilium-sysdump.zip -o json
    """,
    ),
    _List(
        "endpoint",
        "List the node's endpoints.",
        (RecordKind.ENDPOINT,),
        """List the local endpoints by address: id, interface, identity, link addresses.

    \b
    Examples:
      ctconsole endpoint list
      ctconsole endpoint list --output cilium      as Cilium's own tool prints it
      ctconsole endpoint list --from-dump cilium-sysdump.zip -o json
    """,
    ),
    _List(
        "metrics",
        "List packets and bytes by reason.",
        (RecordKind.METRICS,),
        """List packets and bytes forwarded and dropped, by reason, summed over all processors.

    \b
    Examples:
      ctconsole metrics list
      ctconsole metrics list --output cilium      as Cilium's own tool prints it
      ctconsole metrics list --from-dump cilium-sysdump.zip -o json
    """,
    ),
)


def commands() -> dict[str, click.Command]:
    """The verbs, each a group with ``list`` in it."""
    return {
        one.verb: click.Group(one.verb, commands=[_list_command(one)], help=one.about)
        for one in _LISTS
    }


def _column_names(kinds: tuple[RecordKind, ...]) -> list[str]:
    """What columns the lists of such maps have, for whoever completes them."""
    from ctconsole.model.records.data import RECORDS

    cells = (cell for spec in RECORDS if spec.kind in kinds for cell in spec.cells)
    return list(dict.fromkeys(cell.name for cell in cells))


def _of_maps(
    parts: list[tuple[str, list[dict[str, Any]]]], words: tuple[str, ...], where: str
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The parts of the maps that are named; all of them where none is.

    Raises:
        UsageError: a word means none of them.
    """
    names = [title.partition(":")[0] for title, _ in parts]
    for word in words:
        if not any(is_called(name, word) for name in names):
            raise no_map(f"There is no such map {word} in {where}", word, names)
    for name, part in zip(names, parts, strict=True):
        if not words or any(is_called(name, word) for word in words):
            yield part


_numeric_option = click.option(
    "--numeric",
    "-n",
    is_flag=True,
    help="Print identities as numbers (cilium output); else labels where they are known.",
)


def _list_command(one: _List) -> click.Command:
    def run(
        *,
        maps: tuple[str, ...],
        where: str | None,
        layout: Layout | None,
        dumps: tuple[Path, ...],
        now: int | None,
        bpf_root: Path,
        view: ServiceView | None = None,
        numeric: bool = False,
    ) -> int:
        check_now(now, dumps)
        kinds = (view.kind,) if view else one.kinds
        from ctconsole.cli.records.listing import Listing

        asked = how()
        chooses = bool(maps or where) or asked.chooses or asked.raw or asked.output == "wide"
        if chooses and asked.output.startswith("cilium"):
            raise click.UsageError(
                f"-o {asked.output} prints what Cilium's tool prints, whole; no MAP, --filter, "
                "--sort, --limit and --columns there."
            )
        if chooses or (asked.output == "table" and terminal_width() is not None):
            listing = Listing(kinds, layout, "rows", view, one.verb, numeric=numeric)
            for _ in listing.render(dumps, now or 0, bpf_root):
                pass
            keep_filter(where)
            show_parts(_of_maps(listing.parts, maps, "in the files" if dumps else str(bpf_root)))
            return listing.exit_code
        listing = Listing(kinds, layout, asked.output, view, one.verb, numeric=numeric)
        for chunk in listing.render(dumps, now or 0, bpf_root):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return listing.exit_code

    run.__doc__ = one.doc
    options = (
        maps_argument,
        layout_option,
        output_options(
            (*OUTPUTS, "cilium", "cilium-json"),
            f"{OUTPUT_HELP} cilium and cilium-json print what that release's own tool prints.",
        ),
        choosing_options,
        rows_filter_option,
        from_dump_option,
        now_option,
        *(
            click.option(f"--{view}", "view", flag_value=view, type=ServiceView, help=text)
            for view, text in one.views.items()
        ),
        *((_numeric_option,) if RecordKind.POLICY in one.kinds else ()),
        bpf_root_option,
    )
    function: Callable[..., int] = columns_by(partial(_column_names, one.kinds))(run)
    for option in reversed(options):
        function = option(function)
    return click.command("list")(function)
