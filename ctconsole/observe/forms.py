"""The forms in which operators have what a node's maps hold: how each is told, and its reader.

A form is one row of `FORMS`. Content decides; a file's name helps where the content tells nothing
(an empty list) and says which map it is. The first row that fits is taken.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from ctconsole.model.catalogue import classify
from ctconsole.model.ct.layout import VALUE_SIZE
from ctconsole.model.raw import Raw
from ctconsole.model.readers import documents, flows, node_text
from ctconsole.model.readers.ct_items import read_ct_items
from ctconsole.model.readers.ct_text import looks_like_ct_text, read_ct_text
from ctconsole.model.readers.dump import read_dump
from ctconsole.model.readers.dump_forms import (
    is_decoded,
    is_missing,
    looks_like_dump,
    map_name_of,
    tool_error,
)
from ctconsole.model.readers.dump_percpu import LARGEST_FILE, is_per_cpu, read_per_cpu
from ctconsole.model.readers.dump_show import looks_like_show
from ctconsole.model.readers.lines import LONGEST_TOLD, Told, lines, sort_of
from ctconsole.model.readers.logline import parse_line
from ctconsole.model.readers.printed import read_printed
from ctconsole.model.readers.printed_lists import LISTS
from ctconsole.model.recording.frame import MAGIC
from ctconsole.model.records import data as record_data
from ctconsole.model.records.table import is_known
from ctconsole.observe.cluster_forms import CLUSTER
from ctconsole.observe.gathered import LARGEST_ANSWER, FileForm, place_of
from ctconsole.observe.json_forms import JSON_LISTS, VERBS, YAML_LISTS, json_form
from ctconsole.observe.map_infos import info_of
from ctconsole.observe.offline_nodes import is_debuginfo, is_show
from ctconsole.observe.sections import Kind, Sections
from ctconsole.observe.unlisted import UNLISTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ctconsole.model.readers.ct_entries import CtListing
    from ctconsole.model.readers.documents import Item
    from ctconsole.model.readers.node_text import NodeText
    from ctconsole.model.readers.printed_lists import PrintedList
    from ctconsole.model.readers.text_clock import TextClock
    from ctconsole.model.whose import Whose
    from ctconsole.observe.gathered import FoundFile, Gathered

_FIRST_LINES: Final = 50
_DUMP_NAME: Final = re.compile(
    r"(?:^|[/-])cilium_[A-Za-z0-9_]+(?:\.bpftool)?(?:\.json|\.md|\.txt|\.dump)?$"
)
_TEXT_NAME: Final = re.compile(r"bpf-ct-list[^/]*$|(?:^|/)ct-list\.txt$")
_CT_JSON: Final = re.compile(
    r'"Key"\s*:\s*\{\s*"DestAddr"[^}]{1,600}\}\s*,\s*"Value"\s*:\s*\{[^}]{0,600}"Lifetime"'
    r'|\{\s*"map"\s*:[^{}]{1,400}"source_port"\s*:[^{}]{1,800}"lifetime"\s*:'
)
_SHOWN: Final = re.compile(r"\s*\d{1,10}: [a-z][a-z_]{2,30}  (?:name \S{1,15}  )?flags 0x[0-9a-f]+")
"""The first line of a map as ``bpftool map show`` prints it."""

_CT_CSV: Final = re.compile(
    rb'"?map"?([,;\t])(?:"?node"?\1"?pod"?\1)?"?protocol"?\1"?direction"?\1"?related"?\1"?source"?\1'
)
LARGEST_TEXT: Final = 1 << 24
"""Bytes of a text about a node: an agent's metrics have some 500 kB."""

_LONGEST_NAME: Final = 80


def is_interesting(name: str) -> bool:
    """Whether a file's path promises a map, so that it is one even without an entry."""
    if _TEXT_NAME.search(name) or is_debuginfo(name) or is_show(name):
        return True
    if not _DUMP_NAME.search(name):
        return False
    label = map_name_of(name.rsplit("/", 1)[-1])
    return classify(label) is not None or is_known(label)


def _debuginfo(source: FoundFile, found: Gathered) -> None:
    found.nodes.debuginfo(source.node, found.whole(source, LARGEST_ANSWER), source.name)


def _shown(source: FoundFile, found: Gathered) -> None:
    text = found.whole(source, LARGEST_ANSWER)
    found.nodes.show(source.node, text)
    before = re.match(rb"(?:(?!\s*[\[{]|\d+: )[^\n]*\n){1,50}", text)
    told = [
        Told(line.number, line.offset, sort_of(line.text), line.text[:LONGEST_TOLD])
        for line in lines([before[0] if before else b""])
        if line.text.strip()
    ]
    found.told(source, told)


def _ct_text(source: FoundFile, found: Gathered) -> None:
    text = read_ct_text(source.blocks, source.name)
    problem = found.told(source, text.told, text.untold)
    if text.repeated:
        found.notes.append(
            f"{source.name}: {text.repeated} entries stand in it twice; the later one of each is "
            "taken"
        )
    _take(source, found, text.listings, text.clocks, problem)


def _take(
    source: FoundFile,
    found: Gathered,
    listings: Sequence[CtListing],
    clocks: Mapping[Whose, TextClock],
    problem: str,
) -> None:
    """Take the entries of some nodes, with what is to be said of the file."""
    if problem and not listings:
        found.problems.append(problem)
    for listing in listings:
        for label, (keys, values) in listing.maps.items():
            info = info_of(source.name, label, keys.shape[1], VALUE_SIZE, listing.whose)
            raw = Raw(
                info,
                keys,
                values,
                problem=problem,
                layout=listing.layout,
                file=source.name,
                from_text=True,
                whose=listing.whose,
            )
            found.maps.append(raw)
            problem = ""
            found.nodes.text(raw.node, raw.layout)
    for whose, clock in clocks.items():
        if clock.pairs:
            node = str(place_of(source.name, whose))
            found.clocks[source.name, node] = clock
            found.nodes.printed(node, clock)


def _ct_items(
    items: Callable[[Iterable[bytes]], Iterator[Item | Told]],
) -> Callable[[FoundFile, Gathered], None]:
    def read_them(source: FoundFile, found: Gathered) -> None:
        read = read_ct_items(items(source.blocks))
        problem = found.told(source, read.told, read.untold)
        if read.bad:
            bad = (
                f"{source.name}: {read.bad} objects are no conntrack entries that can be read; "
                f"the first is number {read.first_bad}"
            )
            problem = f"{problem}. {bad}" if problem else bad
        if read.repeated:
            found.notes.append(
                f"{source.name}: {read.repeated} entries stand in it twice; the later one of each "
                "is taken"
            )
        _take(source, found, read.listings, read.clocks, problem)

    return read_them


def _printed(one: PrintedList) -> Callable[[FoundFile, Gathered], None]:
    def read_list(source: FoundFile, found: Gathered) -> None:
        lists = read_printed(source.blocks, one, source.name)
        if not any(part.rows for part in lists) and not lists[0].told:
            # A title alone; that of backends is that of reverse NAT, too, which follows then.
            return
        problem = found.told(source, lists[0].told, lists[0].untold)
        if problem:
            found.problems.append(problem)
        found.printed += lists

    return read_list


def _node_text(read_text: Callable[[str], NodeText]) -> Callable[[FoundFile, Gathered], None]:
    def read_it(source: FoundFile, found: Gathered) -> None:
        text = found.whole(source, LARGEST_TEXT).decode("utf-8", "replace")
        found.nodes.said(source.node, read_text(text))
        if source.whose:
            found.nodes.named(source.node, source.whose)

    return read_it


def _in_head(told: Callable[[str], bool]) -> Callable[[FoundFile], bool]:
    return lambda source: told(source.head.decode("utf-8", "replace"))


def _tool_error(source: FoundFile, found: Gathered) -> None:
    error = tool_error(source.head) or ""
    if source.named or not is_missing(error):
        found.problems.append(f"{source.name} holds an error instead of entries: {error}")


def _is_log(source: FoundFile) -> bool:
    """Whether it begins as an agent's log; inside archives those that tell of it read on."""
    head = source.head.decode("utf-8", "replace").splitlines()[:_FIRST_LINES]
    return source.named and any(parse_line(line) is not None for line in head)


def _passed(source: FoundFile, found: Gathered) -> None:
    """Read a text to its end in which there is no entry, so that listings behind it are found."""
    del found
    for _ in source.blocks:
        pass


def _never(text: str) -> bool:
    """A line that could be in any text does not tell where another listing ends."""
    del text
    return False


def _decoded(source: FoundFile, found: Gathered) -> None:
    if source.named or is_interesting(source.name):
        found.problems.append(
            f"{source.name} holds fields instead of bytes, as bpftool prints a map with BTF: dump "
            "it with bpftool -j"
        )


def _per_cpu(source: FoundFile, found: Gathered) -> None:
    dump = read_per_cpu(found.whole(source, LARGEST_FILE), source.name)
    info = info_of(source.name, dump.map_name, dump.keys.shape[1], dump.values.shape[-1])
    problem = str(dump.error() or "")
    found.maps.append(Raw(info, dump.keys, dump.values, problem=problem, file=source.name))


def _dump(source: FoundFile, found: Gathered) -> None:
    dump = read_dump(source.blocks, source.name)
    found.told(source, dump.told)
    keys, values = dump.keys, dump.values
    if not len(keys):
        key, value = _sizes(dump.map_name)
        keys, values = keys.reshape(0, key), values.reshape(0, value)
    info = info_of(source.name, dump.map_name, keys.shape[1], values.shape[1])
    raw = Raw(info, keys, values, problem=str(dump.error() or ""), file=source.name)
    if source.named or is_interesting(source.name) or raw.is_conntrack or _fits(raw):
        found.maps.append(raw)


def _fits(raw: Raw) -> bool:
    """Whether the sizes are those of one of Cilium's maps."""
    sizes = raw.keys.shape[1], raw.values.shape[-1]
    return len(raw.keys) > 0 and any(
        (spec.key.itemsize, spec.value.itemsize) == sizes for spec in record_data.RECORDS
    )


def _is_details(source: FoundFile) -> bool:
    """What ``cilium bpf ct list -o json`` of 1.0 printed: the properties of the maps."""
    return re.match(rb'\s*\{\s*"MapType":\s*\d+,\s*"KeySize":', source.head) is not None


def _is_empty(source: FoundFile) -> bool:
    """What the tool prints as JSON of a map without entries."""
    return re.fullmatch(rb"\s*(?:\{\s*\}|null)\s*", source.head) is not None


def _is_dump(source: FoundFile) -> bool:
    """An empty one is told by its name, or by who asked for it."""
    if looks_like_dump(source.head):
        return True
    empty = re.fullmatch(rb"\s*(?:\[\s*\]|Found 0 elements)\s*", source.head) is not None
    return (empty and source.named) or (_DUMP_NAME.search(source.name) is not None and empty)


def _holds(one: PrintedList) -> Callable[[FoundFile], bool]:
    return lambda source: one.is_in(source.head.decode("utf-8", "replace"))


def _is_promised(source: FoundFile) -> bool:
    """A file that its name says to be a dump, or that was asked for under a map's name."""
    return is_interesting(source.name) and not _TEXT_NAME.search(source.name)


FORMS: Final[tuple[FileForm, ...]] = (
    FileForm("a recording", lambda source: source.head.startswith(MAGIC), _passed, "replay"),
    FileForm("what an agent tells of itself", lambda source: is_debuginfo(source.name), _debuginfo),
    FileForm(
        "a list of maps by bpftool",
        lambda source: is_show(source.name) or looks_like_show(source.head),
        _shown,
        "map list",
        Kind(lambda text: _SHOWN.match(text) is not None, by_node=True),
    ),
    FileForm(
        "the tool's conntrack listing",
        lambda source: looks_like_ct_text(source.head),
        _ct_text,
        "ct list",
        Kind(lambda text: looks_like_ct_text(text.encode()), b" expires="),
    ),
    FileForm(
        "the properties of maps without their entries, as the tool of 1.0 printed them",
        _is_details,
        None,
    ),
    json_form(
        "conntrack entries in JSON",
        lambda head: _CT_JSON.search(head) is not None,
        _ct_items(documents.stream),
        "ct list",
        every=b'"lifetime":',
    ),
    *JSON_LISTS,
    FileForm(
        "conntrack entries in YAML",
        lambda source: documents.has_yaml_item(source.head, b"Lifetime:"),
        _ct_items(documents.yaml_stream),
        "ct list",
    ),
    *YAML_LISTS,
    FileForm(
        "our own conntrack listing in CSV",
        lambda source: _CT_CSV.match(source.head) is not None,
        _ct_items(documents.rows),
        "ct list",
    ),
    *(
        FileForm(one.title, _holds(one), _printed(one), VERBS[one.kind], Kind(one.begins))
        for one in LISTS
    ),
    FileForm(
        "an agent's status",
        _in_head(node_text.is_status),
        _node_text(node_text.read_status),
        "map list",
        Kind(node_text.of_status, by_node=True),
    ),
    FileForm(
        "the tool's list of maps",
        _in_head(node_text.is_map_list),
        _node_text(node_text.read_map_list),
        "map list",
        Kind(node_text.is_map_list, by_node=True),
    ),
    FileForm(
        "an agent's metrics",
        _in_head(node_text.is_metrics),
        _node_text(node_text.read_metrics),
        "map list",
        Kind(node_text.is_metrics, by_node=True),
    ),
    *CLUSTER,
    *UNLISTED,
    FileForm("an empty list, which does not say of what", _is_empty, None),
    FileForm("Hubble's flows", _in_head(flows.is_flows), _passed, "explain"),
    FileForm(
        "what the tool's monitor saw, as JSON", _in_head(flows.is_monitor_json), _passed, "explain"
    ),
    FileForm("an error", lambda source: tool_error(source.head) is not None, _tool_error),
    FileForm("an agent's log", _is_log, _passed, "watch --log", Kind(_never, b"level=")),
    FileForm("a map's fields", lambda source: is_decoded(source.head), _decoded),
    FileForm("a per-CPU map's dump", lambda source: is_per_cpu(source.head), _per_cpu),
    FileForm("a map's dump", _is_dump, _dump),
    FileForm("a map's dump that is damaged", _is_promised, _dump),
)
"""Every form, the ones that are told most surely first."""


_TEXTS: Final = tuple(form for form in FORMS if form.kind is not None)
"""Forms that may stand in one file, one behind the other."""


def read(source: FoundFile, found: Gathered) -> None:
    """Take what a file holds; what is of no known form is said where it was asked for."""
    form = next((form for form in FORMS if form.told(source)), None)
    if form is None:
        if source.named:
            found.problems.append(f"{source.name} holds nothing that is known: {_begins(source)}")
        return
    if form.kind is None:
        _read(form, source, found)
        if form.read is None and source.named:
            found.problems.append(f"{source.name} holds {form.name}")
        return
    kinds = [text.kind for text in _TEXTS if text.kind is not None]
    sections = Sections(source.blocks, kinds, _TEXTS.index(form))
    read_ones = [form]
    _read(form, replace(source, blocks=sections.main()), found)
    for number, whose, blocks in sections.others():
        read_ones.append(_TEXTS[number])
        _read(_TEXTS[number], replace(source, blocks=blocks, whose=whose), found)
    # What no verb shows is no failure where something else is shown.
    where = found.notes if any(one.read for one in read_ones) else found.problems
    unread = dict.fromkeys(one.name for one in read_ones if one.read is None)
    where += [f"{source.name} holds {name}" for name in unread if source.named]


def holds_entries(source: FoundFile) -> bool:
    """Whether a file begins as one that has the entries of maps in it."""
    lists = {"map list", "metrics list", "watch --log", "explain", "replay", ""}
    return any(form.verb not in lists and form.told(source) for form in FORMS)


def _read(form: FileForm, source: FoundFile, found: Gathered) -> None:
    """Take what is of one form."""
    if (source.name, form) not in found.others:
        found.others.append((source.name, form))
    if form.read is not None:
        form.read(source, found)


def _begins(source: FoundFile) -> str:
    """How a file begins, for a person who wonders what it is."""
    text = source.head.decode("utf-8", "replace").strip()
    first = text.splitlines()[0][:_LONGEST_NAME] if text else ""
    return f"it begins with {first!r}" if first else "it is empty"


def _sizes(label: str) -> tuple[int, int]:
    """The sizes of a map whose dump has no entries, as far as its name tells."""
    entry = classify(label)
    if entry is not None and entry.key_size and entry.value_size:
        return entry.key_size, entry.value_size
    for spec in record_data.RECORDS:
        if re.fullmatch(spec.names, label):
            return spec.key.itemsize, spec.value.itemsize
    return (38 if "6" in label else 14), VALUE_SIZE


def apart(one: Raw, name: str) -> Raw:
    """A map as of a node of its own, where files of one folder hold the same map."""
    pin = one.info.pin
    assert pin is not None  # noqa: S101 - maps out of files have one
    whose = one.whose or replace(one.whose, node=name)
    return replace(one, info=replace(one.info, pin=pin.parent / name / pin.name), whose=whose)


def stem(one: Raw) -> str:
    """What a file's name says beside the map: what tells files of one folder apart."""
    name = PurePath(one.file).name
    label = map_name_of(name)
    rest = name.replace(label, "") if label.startswith("cilium_") else name
    rest = re.sub(r"(?:\.(?:bpftool|json|md|txt|dump|log|out|gz|zst|xz))+$", "", rest)
    return rest.strip("-_.") or ""
