"""One line of an agent's log, whatever wrote it and whatever carried it.

Read are logrus' logfmt (1.9 to 1.17), slog's (1.18), JSON lines of either, and lines wrapped by a
container runtime, kubectl, stern, syslog or the journal: each of these may tell the time and who
wrote the line.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.event import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_LINE: Final = 1 << 16
"""Characters of a line that are looked at."""

LONGEST_VALUE: Final = 4096
"""Characters of a message or a field that are kept."""

DAY: Final = 86400.0

_LEAP: Final = 9
"""In so many years at least one has a 29th of February."""

_MOST_FIELDS = 64
_JOURNAL_DIGITS: Final = 16

_PAIR = re.compile(r'([^\s="]{1,100})=(?:"([^"\\]*)"|("[^"\\]*(?:\\.[^"\\]*)*"|\S*))')
"""A name and what it has: in quotes without what has to be undone in them, or anything else."""

_POD = re.compile(
    r"\[pod/(?P<pod>[^\s/\]]{1,253})(?:/[^\s\]]{1,253})?\] ?"
    r"|(?P<stern>[a-z0-9][a-z0-9.-]{0,251}-[a-z0-9]{5}) [a-z0-9-]{1,63} (?:\u203a |\| )?"
    r"(?=time=|level=|\{|\d{4}-)"
    r"|(?P<compose>[\w.-]{1,253}) +\| "
)
"""``kubectl logs --prefix``, stern's, and docker compose's."""

_STAMP = re.compile(
    r"(?:[A-Z][a-z]{2} )?(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)"
    r" ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d)? "
    r"|(?P<syslog>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?) "
)
"""A container runtime's or ``kubectl logs --timestamps``, journalctl's long forms, syslog's."""

_CARRIER = re.compile(
    r"(?:stdout|stderr) [FP] |(?P<host>[\w.:-]{1,255}) (?P<unit>[\w.@-]{1,64})(?:\[\d{1,10}\])?: "
)
"""What follows a stamp: a container runtime's stream, or syslog's host and program."""

_MIGRATION: Final = (
    re.compile(r"(Property mismatch in (\S{1,4096}), migrating node to \S{1,4096}!)\s*$"),
    re.compile(r"(Unlinking migrated node (\S{1,4096}?)(?::pending)? due to \w{3,8} exit\.)\s*$"),
    re.compile(r"(Re-pinning node (\S{1,4096}?)(?::pending)? .{1,200})\s*$"),
)
"""What ``cilium-map-migrate`` (1.4 to 1.9) says without attributes: it moves a pin away."""

_FRACTION = re.compile(r"[.,](\d{1,6})\d*")
_MONTHS: Final = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
]

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
_FATAL: Final = frozenset({"fatal", "panic"})
_HEAD: Final = frozenset({"time", "ts", "level", "msg", "source"})


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, whatever its form was.

    Attributes:
        time: seconds since the Unix epoch, None where neither the line nor what carried it says.
        level: how loud.
        message: ``msg``.
        fields: everything else, as text or as JSON had it.
        writer: the pod or host that wrote it, where what carried it says; else empty.
        fatal: whether the process ends with it.
        no_year: whether the time was told without a year.
    """

    time: float | None
    level: Level
    message: str
    fields: Mapping[str, Any]
    writer: str = ""
    fatal: bool = False
    no_year: bool = False


@dataclass(slots=True)
class _Carried:
    """A line without what carried it, and what that told."""

    text: str
    moment: str = ""
    syslog: str = ""
    writer: str = ""


def parse_line(line: str, newest: float | None = None) -> LogLine | None:
    """A line of the agent's log; None for anything else. Never raises.

    Args:
        line: as it stands in the log.
        newest: seconds since the Unix epoch before which the line was written: syslog tells no
            year, and the last one before is taken; None for now.
    """
    text = line[:LONGEST_LINE].lstrip("\ufeff").strip()
    # Nearly every line begins with an attribute: nothing carries it.
    bare = text.startswith(("time=", "level="))
    carried = _Carried(text) if bare else _unwrapped(text)
    text = carried.text
    found = _json_object(text) if text.startswith("{") else None
    for inner, when in _WRAPPERS:
        if found is not None and isinstance(found.get(inner), str):
            carried.moment = carried.moment or text_of(found.get(when))
            carried.writer = carried.writer or text_of(found.get("_HOSTNAME"))
            text = found[inner].strip()
            found = _json_object(text) if text.startswith("{") else None
    if found is None:
        found = (not bare and _migration(text)) or _logfmt(text)
    message = found.get("msg")
    if not isinstance(message, str) or not message:
        return None
    # slog writes a level above its own four as ERROR+8.
    level, _, above = text_of(found.get("level")).lower().partition("+")
    kept = [(name, value) for name, value in found.items() if name not in _HEAD]
    time = _moment(text_of(found.get("time") or found.get("ts")) or carried.moment)
    no_year = time is None and bool(carried.syslog)
    return LogLine(
        time=_without_year(carried.syslog, newest) if no_year else time,
        level=_LEVELS.get(level, Level.INFO),
        message=message[:LONGEST_VALUE],
        fields=MappingProxyType(dict(kept[:_MOST_FIELDS])),
        writer=carried.writer,
        fatal=level in _FATAL or (level == "error" and above.isdecimal()),
        no_year=no_year,
    )


def _unwrapped(text: str) -> _Carried:
    """The line itself, and what is in front of it: who wrote it, and when."""
    found = _Carried(text)
    if pod := _POD.match(text):
        found.writer = pod["pod"] or pod["stern"] or pod["compose"]
        found.text = text[pod.end() :]
    if stamp := _STAMP.match(found.text):
        found.moment = f"{stamp['iso']}{stamp['zone'] or ''}" if stamp["iso"] else ""
        found.syslog = stamp["syslog"] or ""
        rest = found.text[stamp.end() :]
        carrier = _CARRIER.match(rest)
        found.text = rest[carrier.end() :] if carrier else rest
        found.writer = found.writer or (carrier["host"] or "" if carrier else "")
    return found


def _migration(text: str) -> dict[str, str]:
    for pattern in _MIGRATION:
        if found := pattern.match(text):
            return {"level": "warning", "msg": found[1], "file-path": found[2]}
    return {}


def _logfmt(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, quoted, other in _PAIR.findall(text):
        if len(found) > _MOST_FIELDS + len(_HEAD):
            break
        found.setdefault(name, _unquoted(other) if other else quoted)
    return found


def _unquoted(text: str) -> str:
    """Undo Go's ``strconv.Quote``, which is JSON's but for rare escapes."""
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):  # noqa: PLR2004 - two quotes
        return text
    if "\\" not in text:
        return text[1:-1]
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
        if not text.endswith("Z") or "." in text or "," in text:
            text = _FRACTION.sub(r".\1", text.replace("UTC", "Z"), count=1)
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _without_year(text: str, newest: float | None) -> float | None:
    """Syslog's ``Mar  3 04:07:22``, in the local zone and the last year that it may be of."""
    month, day, clock = text[:3], text[4:6], text[7:]
    now = datetime.now(UTC).timestamp() if newest is None else newest
    if month not in _MONTHS:
        return None
    number, exact = _MONTHS.index(month) + 1, _FRACTION.sub(r".\1", clock)
    this = datetime.fromtimestamp(now, UTC).year
    for year in range(this + 1, this - _LEAP, -1):
        with suppress(ValueError, OverflowError, OSError):
            stamp = f"{year}-{number:02}-{int(day):02} {exact}"
            seconds = datetime.fromisoformat(stamp).timestamp()
            # Clocks and zones differ by hours.
            if seconds <= now + DAY:
                return seconds
    return None


def text_of(value: object) -> str:
    """A field of a line as text; empty for one that is neither text nor a number."""
    return str(value) if isinstance(value, str | int) else ""
