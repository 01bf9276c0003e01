"""What ``list`` of the maps prints, of pins and of files, in every output."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ctconsole.cli.common import detail, message
from ctconsole.errors import FormatError
from ctconsole.model.ct.layout import Layout
from ctconsole.model.records.spec import RecordKind
from ctconsole.model.records.table import RecordTable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ctconsole.model.cilium.services import ServiceView
    from ctconsole.model.ct.guess import Guess
    from ctconsole.model.raw import Raw
    from ctconsole.model.readers.printed import Printed
    from ctconsole.model.spec import MapInfo
    from ctconsole.node.records import Decoded
    from ctconsole.observe.discovery import Fact, NodeFacts


class Listing:
    """Renders maps; says on stderr what is to be said.

    Attributes:
        exit_code: 1 once something could not be read, else 0.
        parts: with the output ``rows``, what was rendered: a heading and rows of each map.
    """

    def __init__(
        self,
        kinds: Collection[RecordKind],
        layout: Layout | None,
        output: str,
        view: ServiceView | None,
        verb: str,
        *,
        numeric: bool,
    ) -> None:
        self.exit_code = 0
        self.parts: list[tuple[str, list[dict[str, Any]]]] = []
        self._numeric = numeric
        self._release: Layout | None = None
        self._view = view
        self._kinds = kinds
        self._verb = verb
        self._layout = layout
        self._output = output

    def render(self, dumps: tuple[Path, ...], now: int, root: Path) -> Iterator[memoryview]:
        """The whole output, in chunks."""
        from ctconsole.node import records
        from ctconsole.node.owner import discover_node
        from ctconsole.observe.discovery import Fact

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
            facts = discover_node(root)
            self._layout = self._layout or _own_layout(facts)
            if self._output.startswith("cilium"):
                pins = records.pinned_infos(root)
                self._settle_layout(facts.layout, pins, lambda: records.guess_of_pins(root))
                yield from self._as_the_tool(root, facts)
                return
            if RecordKind.METRICS in self._kinds:
                self._settle_names(
                    facts.layout, records.pinned_infos(root), lambda: records.guess_of_pins(root)
                )
            found = records.from_pins(root, self._kinds, facts.clock.value, message)
            yield from self._rendered(found)
            return
        if self._output.startswith("cilium"):
            self._settle_layout(told, maps, lambda: records.guess_of_files(offline))
            labels = self._labels_of_files(dumps) if self._shows_labels else None
            yield from self._as_cilium(found, labels)
            return
        if RecordKind.METRICS in self._kinds:
            self._settle_names(told, maps, lambda: records.guess_of_files(offline))
        yield from self._rendered(found)

    def _settle_names(
        self,
        told: Fact[Layout] | None,
        maps: Iterable[MapInfo],
        entries: Callable[[], Guess],
    ) -> None:
        """Find whose names are used for source files, which got other numbers in some releases."""
        asked = self._layout
        self._settle_layout(told, maps, entries)
        self._release, self._layout = self._layout, asked

    def _settle_layout(
        self,
        told: Fact[Layout] | None,
        maps: Iterable[MapInfo],
        entries: Callable[[], Guess],
    ) -> None:
        """Take the release that was asked for, else what the node tells, else what its maps do.

        Args:
            told: what the node's agent or the files say.
            maps: its maps.
            entries: what its conntrack entries say; asked only where it is needed.
        """
        if self._layout is None:
            if told is None:
                from ctconsole.cli.common import say_guess
                from ctconsole.model.generation import generation

                found = generation(maps, entries())
                self._layout = found.layout
                say_guess(found)
            else:
                self._layout = told.value
                detail(f"layout {self._layout}: {told.origin}")

    def _as_the_tool(self, root: Path, facts: NodeFacts) -> Iterator[memoryview]:
        """What the tool prints of pinned maps; where it ends, what it printed until then.

        Raises:
            GoneError: a map is missing at which it ends.
        """
        from ctconsole.node.pinned import pinned
        from ctconsole.node.tool_maps import tool_maps
        from ctconsole.observe.families import families_of

        layout = self._layout or Layout.V1_18
        listed = tool_maps(root, self._kinds, layout, families_of(facts))
        if listed.ended_by is not None and (self._as_json or not listed.names):
            raise listed.ended_by
        for sentence in listed.skipped:
            message(sentence)
        found: Iterable[Raw] = ()
        if listed.names:
            found = pinned(root, listed.names, facts.clock.value, message)
        labels = self._labels_of_node(facts) if self._shows_labels else None
        yield from self._as_cilium(found, labels)
        if listed.ended_by is not None:
            raise listed.ended_by

    @property
    def _as_json(self) -> bool:
        return self._output == "cilium-json"

    @property
    def _shows_labels(self) -> bool:
        return RecordKind.POLICY in self._kinds and not self._numeric and not self._as_json

    def _labels_of_node(self, facts: NodeFacts) -> Mapping[int, Sequence[str]]:
        from ctconsole.node.names import labels_of_node

        return self._labels(*labels_of_node(facts))

    def _labels_of_files(self, dumps: Sequence[Path]) -> Mapping[int, Sequence[str]]:
        from ctconsole.node.names import labels_of_files

        return self._labels(*labels_of_files(dumps))

    def _labels(
        self, labels: Mapping[int, Sequence[str]], warnings: Sequence[str]
    ) -> Mapping[int, Sequence[str]]:
        """Labels, and a word where there are none: the tool then prints numbers, too."""
        for warning in warnings:
            message(f"ctconsole: {warning}")
        if not labels:
            message("The labels of identities are not known here, so they are numbers")
        return labels

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
            case "rows":
                yield from self._rendered(found)
                objects = [json.loads(one) for one in printed.printed_objects(lists)]
                self.parts.append(("", objects))
                return
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
            case "rows":
                for table in self._tables(found):
                    lines = b"".join(ours.render_records_ndjson([table])).splitlines()
                    self.parts.append((ours.heading(table), [json.loads(one) for one in lines]))
            case "json":
                yield from ours.render_records_json(self._tables(found))
            case "ndjson":
                yield from ours.render_records_ndjson(self._tables(found))
            case _:
                yield from ours.render_records_csv(self._tables(found))

    def _as_cilium(
        self, found: Iterable[Raw], labels: Mapping[int, Sequence[str]] | None
    ) -> Iterator[memoryview]:
        """As Cilium's tool prints it; nothing where there are maps and none can be read."""
        from ctconsole.cli.records.as_cilium import Rendering, as_cilium

        maps = list(found)
        tables = list(self._tables(maps))
        if maps and not tables:
            return
        layout = self._layout or Layout.V1_18
        yield from as_cilium(
            tables,
            Rendering(self._kinds, layout, as_json=self._as_json, view=self._view, labels=labels),
        )

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
            table = decoded(raw, self._layout, self._kinds)
            if isinstance(table, RecordTable):
                table = replace(table, release=self._release)
            yield raw, table

    def _complain(self, problem: str) -> None:
        message(f"ctconsole: {problem}")
        self.exit_code = 1


def _own_layout(facts: NodeFacts) -> Layout | None:
    """What an agent of ours writes; what Cilium's does is known by the release alone."""
    return facts.layout.value if facts.own is not None and facts.layout is not None else None
