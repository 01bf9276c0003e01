"""The forms of lists of maps other than conntrack's: the tool's JSON, and our own JSON and CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctconsole.model.raw import Raw
from ctconsole.model.readers import documents, nat_items, own_lists, policy_items, tool_json
from ctconsole.model.records.spec import RecordKind
from ctconsole.observe.gathered import FileForm
from ctconsole.observe.map_infos import info_of
from ctconsole.observe.sections import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctconsole.model.readers.nat_items import NatItems
    from ctconsole.model.readers.own_lists import OwnLists
    from ctconsole.model.readers.printed import Printed
    from ctconsole.model.readers.tool_json import PairList
    from ctconsole.observe.gathered import FoundFile, Gathered

VERBS: Final[Mapping[RecordKind | None, str]] = {
    RecordKind.NAT: "nat list",
    RecordKind.SERVICE: "lb list",
    RecordKind.BACKEND: "lb list",
    RecordKind.REVERSE_NAT: "lb list",
    RecordKind.SOURCE_RANGE: "lb list",
    RecordKind.AFFINITY: "lb list",
    RecordKind.AFFINITY_MATCH: "lb list",
    RecordKind.POLICY: "policy list",
    RecordKind.IPCACHE: "ipcache list",
    RecordKind.ENDPOINT: "endpoint list",
    RecordKind.METRICS: "metrics list",
}
"""The verb that lists what the tool lists."""


def json_form(
    name: str,
    told: Callable[[str], bool],
    read: Callable[[FoundFile, Gathered], None] | None,
    verb: str = "",
    *,
    every: bytes | None = None,
) -> FileForm:
    """A form of JSON, which may stand before and behind others.

    Args:
        name: what it is.
        told: whether a text begins as such.
        read: takes what it holds.
        verb: the command that shows it.
        every: what every object of it has, each in a line, where it has one.
    """
    return FileForm(
        name,
        lambda source: told(source.head.decode("utf-8", "replace")),
        read,
        verb,
        Kind(told, every, document=True),
    )


def take_printed(source: FoundFile, found: Gathered, lists: list[Printed]) -> None:
    """Take lists of rows, with what is to be said of lines that are none."""
    problem = found.told(source, lists[0].told, lists[0].untold)
    if problem:
        found.problems.append(problem)
    found.printed += lists


def _rows(
    read: Callable[[Iterable[bytes], str], list[Printed]],
) -> Callable[[FoundFile, Gathered], None]:
    return lambda source, found: take_printed(source, found, read(source.blocks, source.name))


def _own(
    read: Callable[[Iterable[bytes], str], OwnLists],
) -> Callable[[FoundFile, Gathered], None]:
    def read_it(source: FoundFile, found: Gathered) -> None:
        own = read(source.blocks, source.name)
        problem = found.told(source, own.told, own.untold)
        if problem:
            found.problems.append(problem)
        found.printed += own.lists

    return read_it


def _own_objects(verb: str) -> FileForm:
    return json_form(
        f"our own {verb} in JSON",
        lambda head: VERBS.get(own_lists.kind_of_objects(head)) == verb,
        _own(own_lists.read_objects),
        verb,
    )


def _own_table(verb: str) -> FileForm:
    def told(line: str) -> bool:
        return VERBS.get(own_lists.kind_of_table(line)) == verb

    return FileForm(
        f"our own {verb} in CSV",
        lambda source: told(source.head.decode("utf-8", "replace").partition("\n")[0]),
        _own(own_lists.read_tables),
        verb,
        Kind(told, heads=b"map"),
    )


def _pairs(pairs: PairList) -> FileForm:
    return json_form(
        f"{pairs.of.title}, as JSON",
        lambda head: tool_json.is_pairs(head, pairs),
        _rows(lambda blocks, name: tool_json.read_pairs(blocks, pairs, name)),
        VERBS[pairs.of.kind],
    )


def _nat(source: FoundFile, found: Gathered) -> None:
    _take_nat(nat_items.read_nat_items(documents.stream(source.blocks)), source, found)


def _nat_yaml(source: FoundFile, found: Gathered) -> None:
    _take_nat(nat_items.read_nat_items(documents.yaml_stream(source.blocks)), source, found)


def _take_nat(read: NatItems, source: FoundFile, found: Gathered) -> None:
    problem = found.told(source, read.told, read.untold)
    if read.bad:
        bad = (
            f"{source.name}: {read.bad} objects are no translations that can be read; the first "
            f"is number {read.first_bad}"
        )
        problem = f"{problem}. {bad}" if problem else bad
    if read.repeated:
        found.notes.append(
            f"{source.name}: {read.repeated} of {read.found} translations stand in it again; up to "
            "1.13 the tool's JSON shows the last one of each map in the place of all"
        )
    if problem and not read.maps:
        found.problems.append(problem)
    for (whose, label), (keys, values) in read.maps.items():
        info = info_of(source.name, label, keys.shape[1], values.shape[1], whose)
        found.maps.append(
            Raw(
                info,
                keys,
                values,
                problem=problem,
                file=source.name,
                from_text=True,
                whose=whose,
            )
        )
        problem = ""


def _yaml_pairs(pairs: PairList) -> FileForm:
    return FileForm(
        f"{pairs.of.title}, as YAML",
        lambda source: tool_json.is_yaml_pairs(source.head.decode("utf-8", "replace"), pairs),
        _rows(lambda blocks, name: tool_json.read_yaml_pairs(blocks, pairs, name)),
        VERBS[pairs.of.kind],
    )


YAML_LISTS: Final = (
    FileForm(
        "the tool's NAT listing, as YAML",
        lambda source: documents.has_yaml_item(source.head, b"Created:"),
        _nat_yaml,
        "nat list",
    ),
    *(_yaml_pairs(one) for one in tool_json.PAIRS),
)
"""What the tool prints as YAML, which stands alone in a file."""

JSON_LISTS: Final = (
    json_form("the tool's NAT listing, as JSON", nat_items.is_nat, _nat, "nat list"),
    json_form(
        "the tool's list of endpoints' policies, as JSON",
        policy_items.is_policies,
        _rows(tool_json.read_policies),
        "policy list",
    ),
    json_form(
        "the tool's list of packets by reason, as JSON",
        tool_json.is_metrics,
        _rows(tool_json.read_metrics),
        "metrics list",
    ),
    *(_pairs(one) for one in tool_json.PAIRS),
    *(_own_objects(verb) for verb in dict.fromkeys(VERBS.values())),
    *(_own_table(verb) for verb in dict.fromkeys(VERBS.values())),
)
"""Every such form."""
