"""``nat``, ``lb``, ``policy``, ``ipcache``, ``endpoint``, ``metrics``: lists of Cilium's maps."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click

from ctconsole.cli.options import (
    bpf_root_option,
    check_now,
    from_dump_option,
    layout_option,
    now_option,
)
from ctconsole.model.cilium.services import ServiceView
from ctconsole.model.records.spec import RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout

_OUTPUTS = ("table", "cilium", "cilium-json", "json", "ndjson", "csv")


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


_numeric_option = click.option(
    "--numeric",
    "-n",
    is_flag=True,
    help="Print identities as numbers (cilium output); else labels where they are known.",
)


def _list_command(one: _List) -> click.Command:
    def run(
        *,
        layout: Layout | None,
        output: str,
        dumps: tuple[Path, ...],
        now: int | None,
        bpf_root: Path,
        view: ServiceView | None = None,
        numeric: bool = False,
    ) -> int:
        check_now(now, dumps)
        kinds = (view.kind,) if view else one.kinds
        from ctconsole.cli.records.listing import Listing

        listing = Listing(kinds, layout, output, view, one.verb, numeric=numeric)
        for chunk in listing.render(dumps, now or 0, bpf_root):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return listing.exit_code

    run.__doc__ = one.doc
    options = (
        layout_option,
        click.option(
            "--output",
            "-o",
            type=click.Choice(_OUTPUTS),
            default="table",
            show_default=True,
            help="cilium and cilium-json print what that release's own tool prints.",
        ),
        from_dump_option,
        now_option,
        *(
            click.option(f"--{view}", "view", flag_value=view, type=ServiceView, help=text)
            for view, text in one.views.items()
        ),
        *((_numeric_option,) if RecordKind.POLICY in one.kinds else ()),
        bpf_root_option,
    )
    function: Callable[..., int] = run
    for option in reversed(options):
        function = option(function)
    return click.command("list")(function)
