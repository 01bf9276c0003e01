"""The log of a Cilium agent, line by line, as events.

How a line is read is `model.readers.logline`. What it means is one table, `MEANINGS`, beside what
ends an agent; other lines are left alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.readers.logline import LONGEST_VALUE, LogLine, parse_line, text_of
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctconsole.model.event import Scalar

_PROPERTY = re.compile(r"\b([A-Za-z]{4,10})[ :]\s*([A-Za-z0-9]{1,32})")
_FLAG = re.compile(r"\s*--([a-z0-9-]{1,100})='(.{0,4096})'\s*", re.DOTALL)
_SIZING = re.compile(r"option ([a-z0-9-]{1,100}) set by dynamic sizing to ([0-9]{1,18})\b")
_MEMORY = re.compile(r"Memory available for map entries \(\S{1,20}% of ([0-9]{1,18})B\)")
_VERSION = re.compile(r"\s*Cilium (\d{1,3}\.\d{1,3}\.\S{1,60}) .{0,200}go version")
_ABOUT_MAPS = re.compile(r"\b(?:maps?|tables?|bpffs?|CT|NAT|conntrack)\b", re.IGNORECASE)
"""What an error is about that keeps tables from being there or of the size asked for."""

SIZING: Final = "dynamic sizing"
"""Field ``by`` of an option that Cilium took from the node's memory."""

_TYPES: Final = {
    "Hash": MapType.HASH,
    "Array": MapType.ARRAY,
    "ProgramArray": MapType.PROG_ARRAY,
    "PerfEventArray": MapType.PERF_EVENT_ARRAY,
    "PerCPUHash": MapType.PERCPU_HASH,
    "PerCPUArray": MapType.PERCPU_ARRAY,
    "LRUHash": MapType.LRU_HASH,
    "LRUCPUHash": MapType.LRU_PERCPU_HASH,
    "LPMTrie": MapType.LPM_TRIE,
    "ArrayOfMaps": MapType.ARRAY_OF_MAPS,
    "HashOfMaps": MapType.HASH_OF_MAPS,
}
"""Map types as cilium/ebpf writes them (``types_string.go``)."""

_PROPERTIES: Final = {
    "type": "Map type",
    "keysize": "Key-size",
    "valuesize": "Value-size",
    "maxentries": "Max entries",
    "flags": "Flags",
}
"""The five properties compared, in the words of the older generation's log."""

MEANINGS: Final[tuple[tuple[str, EventKind], ...]] = (
    ("Max entries mismatch for BPF map", EventKind.MAP_MISMATCH),
    ("Map type mismatch for BPF map", EventKind.MAP_MISMATCH),
    ("Key-size mismatch for BPF map", EventKind.MAP_MISMATCH),
    ("Value-size mismatch for BPF map", EventKind.MAP_MISMATCH),
    ("Flags mismatch for BPF map", EventKind.MAP_MISMATCH),
    ("Unpinning map with incompatible properties", EventKind.MAP_MISMATCH),
    ("Property mismatch in ", EventKind.MAP_MISMATCH),
    ("Removing map to allow for property upgrade", EventKind.MAP_REMOVED),
    ("Removed map pin, recreating and re-pinning map", EventKind.MAP_REMOVED),
    ("Removed pending pinned map, did the agent die", EventKind.MAP_REMOVED),
    ("Re-pinning map with ':pending' suffix", EventKind.MAP_PINNED),
    ("Repinning without ':pending' suffix", EventKind.MAP_PINNED),
    ("Unpinning map after successful recreation", EventKind.MAP_UNPINNED),
    ("CT Map upgraded, expect brief disruption", EventKind.WARNING),
    ("Removed new pinned map after failed migration", EventKind.MAP_REMOVED),
    ("Starting initial GC of connection tracking", EventKind.GC_PASS),
    ("Starting GC of connection tracking", EventKind.GC_PASS),
    ("Initial scan of connection tracking completed", EventKind.GC_PASS),
    ("initial gc of ct and nat maps completed", EventKind.GC_PASS),
    ("completed ctmap gc pass", EventKind.GC_PASS),
    ("Conntrack garbage collector interval recalculated", EventKind.GC_PASS),
    ("Deleted orphan SNAT entries from map", EventKind.GC_PASS),
    ("Timeout while waiting for initial conntrack scan", EventKind.AGENT_FAILED),
    ("Conntrack garbage collection statistics", EventKind.GC_PASS),
    ("Removed stale bpf map", EventKind.MAP_REMOVED),
    ("Unlinking migrated node ", EventKind.MAP_UNPINNED),
    ("Re-pinning node ", EventKind.MAP_PINNED),
    ("Garbage collection CT map failed to finish", EventKind.WARNING),
    ("Garbage collection on ", EventKind.WARNING),
    ("Failed to perform initial ctmap gc scan", EventKind.WARNING),
    ("Rewrote endpoint BPF program", EventKind.ENDPOINT_REGENERATED),
    ("Reloaded endpoint BPF program", EventKind.ENDPOINT_REGENERATED),
    ("Regenerated endpoint BPF program", EventKind.ENDPOINT_REGENERATED),
    ("Finished regenerating restored endpoints", EventKind.ENDPOINT_REGENERATED),
    ("Daemon initialization completed", EventKind.AGENT_READY),
)
"""How the messages worth an event begin, of both generations (cilium.md 3.7)."""

_HEAD: Final = 8
"""Characters that each of them has at least."""

_BY_HEAD: Final = {
    head: tuple(one for one in MEANINGS if one[0].startswith(head))
    for head in {start[:_HEAD] for start, _ in MEANINGS}
}

_BETWEEN: Final = rb'[\\" \t:=]{1,16}'
"""What stands between a name and its value in logfmt, in JSON, and in JSON carried in JSON."""

_OTHERS: Final = (
    rb"(?:\s|\\t){0,8}--",
    rb"(?:\s|\\t){0,8}Cilium ",
    rb"Memory available for map",
    rb"option ",
)
"""How messages begin that `LogReader` reads and `MEANINGS` has not."""

MATTERS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        b"msg%b(?:%b)"
        % (_BETWEEN, b"|".join([*(re.escape(start.encode()) for start, _ in MEANINGS), *_OTHERS])),
        rb"level%b(?i:error|fatal|panic)" % _BETWEEN,
        # A line of `cilium-map-migrate` has no attributes.
        rb"migrat(?:ing|ed) node",
        rb"Re-pinning node",
    )
)
"""Every line that means something has one of these in it.

Each begins with letters, which are searched for quickly.
"""


def properties(value: object) -> dict[str, int | str]:
    """A map's properties out of ``old=`` or ``new=`` by `Difference.property` names.

    All forms: ``Type:LRUHash KeySize:14 ...`` (1.14), ``[type LRUHash keySize 14 ...]`` (1.18, and
    in its JSON a list of names and values in turn, the type a number), and JSON objects. Empty
    for anything else, plain numbers of 1.9 among them.
    """
    if isinstance(value, dict):
        pairs = [(str(name), str(item)) for name, item in value.items()]
    elif isinstance(value, list):
        pairs = [
            (str(name), str(item)) for name, item in zip(value[::2], value[1::2], strict=False)
        ]
    elif isinstance(value, str):
        pairs = _PROPERTY.findall(value[:LONGEST_VALUE])
    else:
        return {}
    found: dict[str, int | str] = {}
    for name, text in pairs:
        label = _PROPERTIES.get(name.lower())
        if label == "Map type":
            found[label] = _map_type(text)
        elif label and (number := _integer(text)) is not None:
            found[label] = number
    return found


def _map_type(told: str | int) -> str:
    """A map type by cilium/ebpf's name or the kernel's number; as it is where it is neither."""
    text = str(told)
    kind = _TYPES.get(text)
    number = _integer(text)
    if kind is None and number in set(MapType):
        kind = MapType(number)
    return kind.name if kind is not None else text


def _type_of_number(told: str | int) -> str:
    """The name of a map type the log has as a number; what it has as a word stays as written."""
    return _map_type(told) if isinstance(told, int) else told


@dataclass(slots=True)
class _Told:
    """What one writer of lines has told so far.

    Attributes:
        flags: of the start before, by name.
        listing: of the start that is under way.
        sizes: what dynamic sizing set options to.
        memory: bytes of the node's memory it went by, None where it was not told.
    """

    flags: dict[str, str] = field(default_factory=dict)
    listing: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    memory: int | None = None


class LogReader:
    """Turns lines into events, and remembers of each pod or host what it told at its start.

    An agent writes each of its flags as ``--name='value'`` at every start, so that the second
    start a reader sees tells what was changed. Sizes taken from memory it writes at every start
    too, whether they differ or not.

    Args:
        newest: see `parse_line`.
    """

    def __init__(self, newest: float | None = None) -> None:
        self._newest = newest
        self._told: dict[str, _Told] = {}
        self.no_year = False
        """Whether a time was told without its year."""

    def read(self, line: str, now: float) -> list[Event]:
        """The events in one line, mostly none.

        Args:
            line: as it stands in the log.
            now: seconds since the Unix epoch, for lines that do not say when they were written.
        """
        parsed = parse_line(line, self._newest)
        if parsed is None:
            return []
        self.no_year |= parsed.no_year
        told = self._told.setdefault(parsed.writer, _Told())
        if flag := _FLAG.fullmatch(parsed.message):
            told.listing[flag[1]] = flag[2]
            return []
        if memory := _MEMORY.match(parsed.message):
            told.memory = int(memory[1])
            return []
        events = list(_changed_flags(told, parsed, now)) if told.listing else []
        sizing = _SIZING.match(parsed.message)
        event = _sized(told, parsed, now, sizing[1], int(sizing[2])) if sizing else None
        event = event or event_of(parsed, now)
        return [*events, event] if event else events


def _changed_flags(told: _Told, line: LogLine, now: float) -> Iterator[Event]:
    """What differs between two listings; the first one tells nothing."""
    before, after = told.flags, told.listing
    told.flags, told.listing = after, {}
    if not before:
        return
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            fields: dict[str, Scalar] = {"old": old, "new": new}
            yield _event(
                EventKind.AGENT_OPTION, line, now, name, fields, message=f"--{name} changed"
            )


def _sized(told: _Told, line: LogLine, now: float, option: str, size: int) -> Event:
    """What dynamic sizing set an option to; ``old`` only where that was something else."""
    before = told.sizes.get(option)
    told.sizes[option] = size
    fields: dict[str, Scalar] = {"new": size, "by": SIZING, "memory": told.memory}
    if before is not None and before != size:
        fields["old"] = before
    return _event(EventKind.AGENT_OPTION, line, now, option, fields)


def event_of(line: LogLine, now: float) -> Event | None:
    """What a line means: as `MEANINGS` say, a start, or why an agent does not start."""
    if version := _VERSION.match(line.message):
        start: dict[str, Scalar] = {"version": version[1]}
        return _event(EventKind.AGENT_START, line, now, "cilium-agent", start)
    candidates = _BY_HEAD.get(line.message[:_HEAD], ())
    kind = next((kind for start, kind in candidates if line.message.startswith(start)), None)
    if kind is None:
        kind = _failure(line)
    if kind is None:
        return None
    fields = {name: _scalar(value) for name, value in line.fields.items()}
    if kind is EventKind.MAP_MISMATCH:
        fields |= _mismatch(line)
    return _event(kind, line, now, _subject(line), fields)


def _failure(line: LogLine) -> EventKind | None:
    """Whether a line says why an agent ends, or that something is wrong with a map."""
    if line.fatal:
        return EventKind.AGENT_FAILED
    said = f"{line.message} {text_of(line.fields.get('error'))}"
    wrong = line.level is Level.ERROR and _ABOUT_MAPS.search(said[:LONGEST_VALUE])
    return EventKind.WARNING if wrong else None


def _event(
    kind: EventKind,
    line: LogLine,
    now: float,
    subject: str,
    fields: Mapping[str, Scalar],
    *,
    message: str = "",
) -> Event:
    when = now if line.time is None else line.time
    text = message or line.message
    if line.writer:
        fields = {**fields, "writer": line.writer}
    return Event(when, kind, "agent-log", subject, text, line.level, fields)


def _subject(line: LogLine) -> str:
    """The map's pin or the endpoint a line is about."""
    for name in ("file-path", "filePath", "path", "bpfMapPath", "bpfMapName", "map"):
        found = text_of(line.fields.get(name))
        if found:
            return found
    endpoint = text_of(line.fields.get("endpointID"))
    return f"endpoint {endpoint}" if endpoint else "cilium-agent"


def _mismatch(line: LogLine) -> dict[str, Scalar]:
    """Which property differs and how: ``property``, ``old``, ``new``.

    The newer generation writes all five of both; those that differ are taken, joined by commas
    where there are several.
    """
    old, new = line.fields.get("old"), line.fields.get("new")
    first, second = properties(old), properties(new)
    changed = [name for name in first if name in second and first[name] != second[name]]
    if changed:
        several = len(changed) > 1
        return {
            "property": ", ".join(changed),
            "old": ", ".join(str(first[n]) for n in changed) if several else first[changed[0]],
            "new": ", ".join(str(second[n]) for n in changed) if several else second[changed[0]],
        }
    name, _, rest = line.message.partition(" mismatch for BPF map")
    plain = _type_of_number if name == "Map type" else _as_number
    known = {
        key: plain(value)
        for key, value in (("old", old), ("new", new))
        if isinstance(value, str | int)
    }
    return {"property": name, **known} if not rest and name != line.message else dict(known)


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:LONGEST_VALUE]


def _as_number(value: object) -> Scalar:
    if isinstance(value, str) and (number := _integer(value)) is not None:
        return number
    return _scalar(value)


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004 - 64 bits
