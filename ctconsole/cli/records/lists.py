"""``nat``, ``lb``, ``policy``, ``ipcache``, ``endpoint``, ``metrics``: lists of Cilium's maps."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import (
    bpf_root_option,
    check_now,
    from_dump_option,
    layout_option,
    now_option,
)
from ctconsole.errors import FormatError
from ctconsole.model.cilium.services import ServiceView
from ctconsole.model.ct.layout import Layout
from ctconsole.model.records.spec import RecordKind
from ctconsole.model.records.table import RecordTable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.model.raw import Raw
    from ctconsole.model.readers.printed import Printed
    from ctconsole.node.records import Decoded
    from ctconsole.observe.discovery import Fact

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
      ctconsole policy list --output cilium      as Cilium's own tool prints it
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


def _list_command(one: _List) -> click.Command:
    def run(
        *,
        layout: Layout | None,
        output: str,
        dumps: tuple[Path, ...],
        now: int | None,
        bpf_root: Path,
        view: ServiceView | None = None,
    ) -> int:
        check_now(now, dumps)
        listing = _Listing((view.kind,) if view else one.kinds, layout, output, view, one.verb)
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
        bpf_root_option,
    )
    command: click.Command = click.command("list")(run)
    for option in reversed(options):
        command = option(command)
    return command


class _Listing:
    """Renders maps; says on stderr what is to be said.

    Attributes:
        exit_code: 1 once something could not be read, else 0.
    """

    def __init__(
        self,
        kinds: Collection[RecordKind],
        layout: Layout | None,
        output: str,
        view: ServiceView | None,
        verb: str,
    ) -> None:
        self.exit_code = 0
        self._view = view
        self._kinds = kinds
        self._verb = verb
        self._layout = layout
        self._output = output

    def render(self, dumps: tuple[Path, ...], now: int, root: Path) -> Iterator[memoryview]:
        """The whole output, in chunks."""
        from ctconsole.node import records
        from ctconsole.observe.discovery import Fact, discover

        found: Iterable[Raw]
        told: Fact[Layout] | None = None
        if dumps:
            found, offline = records.from_files(dumps, self._kinds, now)
            maps = [one.info for one in offline.maps]
            if offline.layout is not None:
                told = Fact(offline.layout, offline.layout_origin)
            verb = f"{self._verb} list"
            for note in (*offline.notes, *offline.left_out(verb, dumps)):
                message(f"ctconsole: {note}")
            for problem in offline.problems:
                self._complain(problem)
            printed = records.printed_of(offline, self._kinds)
            if printed:
                yield from self._with_printed(found, printed)
                return
        else:
            facts = discover(root)
            told = facts.layout
            found = records.from_pins(root, self._kinds, facts.clock.value, message)
            maps = records.pinned_infos(root)
        if self._layout is None and self._output.startswith("cilium"):
            self._layout, reason = (told.value, told.origin) if told else records.generation(maps)
            message(f"layout {self._layout}: {reason}")
        yield from self._rendered(found)

    def _with_printed(self, found: Iterable[Raw], lists: list[Printed]) -> Iterator[memoryview]:
        """Maps, and lists that were read from the tool's text.

        Raises:
            FormatError: they are to be printed as the tool prints them, which they are already.
        """
        from ctconsole.model.listing import printed
        from ctconsole.model.listing.records import render_records_ndjson

        texts: Iterable[str]
        match self._output:
            case "table":
                yield from self._for_people(found)
                texts = (text for one in lists for text in printed.render_printed_table(one))
            case "csv":
                yield from self._rendered(found)
                texts = printed.render_printed_csv(lists)
            case "json" | "ndjson":
                lines = b"".join(render_records_ndjson(self._tables(found))).decode().splitlines()
                objects = [*lines, *printed.printed_objects(lists)]
                if self._output == "ndjson":
                    texts = (f"{one}\n" for one in objects)
                else:
                    texts = ("[", ",\n".join(objects), "\n]\n" if objects else "]\n")
            case _:
                raise FormatError(
                    f"{lists[0].source} is what Cilium's tool printed; of a text no other text can "
                    "be made as the tool prints it"
                )
        for text in texts:
            yield memoryview(text.encode())

    def _rendered(self, found: Iterable[Raw]) -> Iterator[memoryview]:
        from ctconsole.model.listing import records as ours

        match self._output:
            case "table":
                yield from self._for_people(found)
            case "json":
                yield from ours.render_records_json(self._tables(found))
            case "ndjson":
                yield from ours.render_records_ndjson(self._tables(found))
            case "csv":
                yield from ours.render_records_csv(self._tables(found))
            case _:
                from ctconsole.cli.records.as_cilium import as_cilium

                tables = list(self._tables(found))
                if not tables:
                    return
                layout = self._layout or Layout.V1_18
                as_json = self._output == "cilium-json"
                yield from as_cilium(tables, layout, as_json=as_json, view=self._view)

    def _for_people(self, found: Iterable[Raw]) -> Iterator[memoryview]:
        from ctconsole.model.listing.hex import render_hex
        from ctconsole.model.listing.records import render_records_table

        for raw, table in self._decoded(found):
            if isinstance(table, RecordTable):
                yield from render_records_table(table)
            else:
                message(f"ctconsole: {table}, shown as hexadecimal")
                width = math.prod(raw.values.shape[1:])
                values = raw.values.reshape(len(raw.keys), width)
                yield from render_hex(raw.info.label, raw.keys, values)

    def _tables(self, found: Iterable[Raw]) -> Iterator[RecordTable]:
        for _, table in self._decoded(found):
            if isinstance(table, RecordTable):
                yield table
            else:
                self._complain(f"{table}, left out; --output table shows it as hexadecimal")

    def _decoded(self, found: Iterable[Raw]) -> Iterable[Decoded]:
        decoded = self._each_decoded(found)
        if RecordKind.POLICY not in self._kinds:
            return decoded
        from ctconsole.cli.records.policies import with_counters

        return with_counters(list(decoded))

    def _each_decoded(self, found: Iterable[Raw]) -> Iterator[Decoded]:
        from ctconsole.node.records import decoded

        for raw in found:
            if raw.problem:
                self._complain(raw.problem)
            yield raw, decoded(raw, self._layout, self._kinds)

    def _complain(self, problem: str) -> None:
        message(f"ctconsole: {problem}")
        self.exit_code = 1
