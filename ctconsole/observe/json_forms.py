"""The forms in which Cilium's tool prints lists of maps other than conntrack's as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctconsole.model.raw import Raw
from ctconsole.model.readers import documents, nat_items, policy_items, tool_json
from ctconsole.model.records.spec import RecordKind
from ctconsole.observe.gathered import FileForm
from ctconsole.observe.map_infos import info_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctconsole.model.readers.printed import Printed
    from ctconsole.model.readers.tool_json import PairList
    from ctconsole.observe.gathered import FoundFile, Gathered

VERBS: Final = {
    RecordKind.NAT: "nat list",
    RecordKind.SERVICE: "lb list",
    RecordKind.BACKEND: "lb list",
    RecordKind.REVERSE_NAT: "lb list",
    RecordKind.SOURCE_RANGE: "lb list",
    RecordKind.POLICY: "policy list",
    RecordKind.IPCACHE: "ipcache list",
    RecordKind.ENDPOINT: "endpoint list",
    RecordKind.METRICS: "metrics list",
}
"""The verb that lists what the tool lists."""


def _in_head(told: Callable[[str], bool]) -> Callable[[FoundFile], bool]:
    return lambda source: told(source.head.decode("utf-8", "replace"))


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


def _pairs(pairs: PairList) -> FileForm:
    return FileForm(
        f"{pairs.of.title}, as JSON",
        _in_head(lambda head: tool_json.is_pairs(head, pairs)),
        _rows(lambda blocks, name: tool_json.read_pairs(blocks, pairs, name)),
        VERBS[pairs.of.kind],
    )


def _nat(source: FoundFile, found: Gathered) -> None:
    read = nat_items.read_nat_items(documents.stream(source.blocks))
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


JSON_LISTS: Final = (
    FileForm("the tool's NAT listing, as JSON", _in_head(nat_items.is_nat), _nat, "nat list"),
    FileForm(
        "the tool's list of endpoints' policies, as JSON",
        _in_head(policy_items.is_policies),
        _rows(tool_json.read_policies),
        "policy list",
    ),
    FileForm(
        "the tool's list of packets by reason, as JSON",
        _in_head(tool_json.is_metrics),
        _rows(tool_json.read_metrics),
        "metrics list",
    ),
    FileForm("the tool's list of tunnels, as JSON", _in_head(tool_json.is_tunnels), None),
    *(_pairs(one) for one in tool_json.PAIRS),
)
"""Every such form."""
