"""The log of a Cilium agent, line by line, as events.

Read are logrus' logfmt (1.9 to 1.17), slog's (1.18), JSON lines of either, and lines wrapped by a
container runtime, kubectl or the journal. What the lines mean is one table, `MEANINGS`; other
lines are left alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctconsole.model.event import Scalar

LONGEST_LINE: Final = 1 << 16
"""Characters of a line that are looked at."""

_MOST_FIELDS = 64
_JOURNAL_DIGITS: Final = 16
_LONGEST_VALUE = 4096

_PAIR = re.compile(r'([^\s="]{1,100})=("(?:[^"\\]|\\.)*"|\S*)')
_POD = r"(?:\[pod/[^\s\]]{1,300}\] )"
_LOGGER = r"\S{1,255} [\w.-]{1,64}\[\d{1,10}\]: "
_STAMPED = re.compile(
    rf"{_POD}?(?P<time>\d{{4}}-\d\d-\d\dT[\d:.,]{{5,20}}(?:Z|[+-]\d\d:?\d\d)) "
    rf"(?:(?:stdout|stderr) [FP] |{_LOGGER})?"
)
_PREFIXED = re.compile(rf"{_POD}|[A-Z][a-z]{{2}} [ \d]\d [\d:]{{8}} {_LOGGER}")
_PROPERTY = re.compile(r"\b([A-Za-z]{4,10})[ :]\s*([A-Za-z0-9]{1,32})")
_FLAG = re.compile(r"\s*--([a-z0-9-]{1,100})='(.{0,4096})'\s*", re.DOTALL)
_SIZING = re.compile(r"option ([a-z0-9-]{1,100}) set by dynamic sizing to ([0-9]{1,20})")
_MIGRATION = re.compile(r"(Property mismatch in (\S{1,4096}), migrating node to \S{1,4096}!)\s*$")
"""The one line of syslog's: ``cilium-map-migrate`` moves a pin away (1.9)."""

_FRACTION = re.compile(r"(\.\d{6})\d+")

_WRAPPERS: Final = (("log", "time"), ("MESSAGE", "__REALTIME_TIMESTAMP"))
"""Where JSON that carries a line has it, and when: Docker's json-file driver, the journal."""

_LEVELS: Final = {
    "trace": Level.DEBUG,
    "debug": Level.DEBUG,
    "info": Level.INFO,
    "notice": Level.INFO,
    "warn": Level.WARNING,
    "warning": Level.WARNING,
    "error": Level.ERROR,
    "fatal": Level.ERROR,
    "panic": Level.ERROR,
}

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


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, whatever its form was.

    Attributes:
        time: seconds since the Unix epoch, None where the line does not say.
        level: how loud.
        message: ``msg``.
        fields: everything else, as text or as JSON had it.
    """

    time: float | None
    level: Level
    message: str
    fields: Mapping[str, Any]


def parse_line(line: str) -> LogLine | None:
    """A line of the agent's log; None for anything else. Never raises."""
    moment, text = _unwrapped(line[:LONGEST_LINE].strip())
    found = _json_object(text) if text.startswith("{") else None
    for inner, when in _WRAPPERS:
        if found is not None and isinstance(found.get(inner), str):
            moment = moment or _str(found.get(when))
            text = found[inner].strip()
            found = _json_object(text) if text.startswith("{") else None
    if found is None:
        found = _migration(text) or _logfmt(text)
    message = found.get("msg")
    if not isinstance(message, str) or not message:
        return None
    # slog writes a level above its own four as ERROR+8.
    level = _LEVELS.get(_str(found.get("level")).lower().partition("+")[0], Level.INFO)
    kept = [(name, value) for name, value in found.items() if name not in _HEAD]
    return LogLine(
        time=_moment(_str(found.get("time") or found.get("ts")) or moment),
        level=level,
        message=message[:_LONGEST_VALUE],
        fields=MappingProxyType(dict(kept[:_MOST_FIELDS])),
    )


_HEAD = frozenset({"time", "ts", "level", "msg", "source"})


def _unwrapped(text: str) -> tuple[str, str]:
    """When a line was written as far as what carried it tells, and the line itself."""
    for pattern in (_STAMPED, _PREFIXED):
        found = pattern.match(text)
        if found:
            return found.groupdict().get("time") or "", text[found.end() :]
    return "", text


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
        pairs = _PROPERTY.findall(value[:_LONGEST_VALUE])
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


class LogReader:
    """Turns lines into events, and remembers the flags an agent listed when it started.

    An agent writes each of its flags as ``--name='value'`` at every start, so that the second
    start a reader sees tells what was changed.
    """

    def __init__(self) -> None:
        self._flags: dict[str, str] = {}
        self._listing: dict[str, str] = {}

    def read(self, line: str, now: float) -> list[Event]:
        """The events in one line, mostly none.

        Args:
            line: as it stands in the log.
            now: seconds since the Unix epoch, for lines that do not say when they were written.
        """
        parsed = parse_line(line)
        if parsed is None:
            return []
        flag = _FLAG.fullmatch(parsed.message)
        if flag:
            self._listing[flag[1]] = flag[2]
            return []
        events = list(self._changed_flags(parsed, now)) if self._listing else []
        event = event_of(parsed, now)
        return [*events, event] if event else events

    def _changed_flags(self, line: LogLine, now: float) -> Iterator[Event]:
        """What differs between two listings; the first one tells nothing."""
        before, after = self._flags, self._listing
        self._flags, self._listing = after, {}
        if not before:
            return
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name, ""), after.get(name, "")
            if old != new:
                fields: dict[str, Scalar] = {"old": old, "new": new}
                yield _event(
                    EventKind.AGENT_OPTION, line, now, name, fields, message=f"--{name} changed"
                )


def event_of(line: LogLine, now: float) -> Event | None:
    """What a line means, None where it is not one of `MEANINGS`."""
    sizing = _SIZING.match(line.message)
    if sizing:
        told: dict[str, Scalar] = {"new": sizing[2]}
        return _event(EventKind.AGENT_OPTION, line, now, sizing[1], told)
    kind = next((kind for start, kind in MEANINGS if line.message.startswith(start)), None)
    if kind is None:
        return None
    fields = {name: _scalar(value) for name, value in line.fields.items()}
    if kind is EventKind.MAP_MISMATCH:
        fields |= _mismatch(line)
    return _event(kind, line, now, _subject(line), fields)


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
    return Event(when, kind, "agent-log", subject, text, line.level, fields)


def _subject(line: LogLine) -> str:
    """The map's pin or the endpoint a line is about."""
    for name in ("file-path", "filePath", "path", "bpfMapPath", "bpfMapName", "map"):
        found = _str(line.fields.get(name))
        if found:
            return found
    endpoint = _str(line.fields.get("endpointID"))
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
    plain = _map_type if name == "Map type" else _as_number
    known = {
        key: plain(value)
        for key, value in (("old", old), ("new", new))
        if isinstance(value, str | int)
    }
    return {"property": name, **known} if not rest and name != line.message else dict(known)


def _migration(text: str) -> dict[str, str]:
    found = _MIGRATION.match(text)
    return {"level": "warning", "msg": found[1], "file-path": found[2]} if found else {}


def _logfmt(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _PAIR.finditer(text):
        if len(found) > _MOST_FIELDS + len(_HEAD):
            break
        found.setdefault(match[1], _unquoted(match[2]))
    return found


def _unquoted(text: str) -> str:
    """Undo Go's ``strconv.Quote``, which is JSON's but for rare escapes."""
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):  # noqa: PLR2004 - two quotes
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text[1:-1]
    return str(found)


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _moment(text: str) -> float | None:
    """RFC 3339, or the journal's microseconds, as seconds since the epoch.

    Go writes up to nine digits of a second.
    """
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) == _JOURNAL_DIGITS:
        return int(text) / 1e6
    try:
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:_LONGEST_VALUE]


def _as_number(value: object) -> Scalar:
    if isinstance(value, str) and (number := _integer(value)) is not None:
        return number
    return _scalar(value)


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004 - 64 bits


def _str(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
