"""The lists that Cilium's tool prints of its other maps: how each is told, and what a row says.

`LISTS` is the table; a new list is one more row. Names of columns are those of our own lists where
they mean the same.

Sources: ``cilium-dbg/cmd/bpf_*_list.go`` and what the tools of 1.7 to 1.20 printed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ctconsole.model.readers.lines import LONGEST_TOLD
from ctconsole.model.records.spec import RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable

    Value: TypeAlias = "str | int | list[str] | None"
    Row: TypeAlias = dict[str, Value]


@dataclass(frozen=True, slots=True)
class PrintedList:
    """How one of the tool's lists is told and read.

    Attributes:
        kind: what it lists.
        title: what it is called.
        head: a line that only this list has.
        columns: names of what a row says.
        row: the row of a line; None where it is none. The second argument is the row before,
            where lines go on with it.
        heading: the line of titles, which is no row.
        section: what stands above some rows and says something of each; its groups are columns.
        starts: a line that can only be of this list, where that is not ``head``.
        last: the column that every whole row ends with, where there is one.
    """

    kind: RecordKind
    title: str
    head: re.Pattern[str]
    columns: tuple[str, ...]
    row: Callable[[str, Row | None], Row | None]
    heading: re.Pattern[str] | None = None
    section: re.Pattern[str] | None = None
    starts: re.Pattern[str] | None = None
    last: str = ""

    def is_cut(self, row: Row) -> bool:
        """Whether a row lacks what all rows of its list end with, so that it may go on."""
        return self.last in row and row[self.last] is None

    def begins(self, text: str) -> bool:
        """Whether a line can only be of this list."""
        above = self.section is not None and self.section.match(text.lstrip())
        return bool(above or (self.starts or self.head).search(text))


def _number(text: str | None) -> int | None:
    return int(text) if text else None


_END: Final = r"\[?([0-9a-fA-F:.]{2,45}?)\]?:(\d{1,5})"
_NAT: Final = re.compile(
    rf"(\w{{1,8}})[ \t]+(IN|OUT)[ \t]+{_END}[ \t]+->[ \t]+{_END}[ \t]+(?:related[ \t]+)?"
    rf"(?:service[ \t]+)?XLATE_(?:SRC|DST)[ \t]+{_END}"
    r"(?:[ \t]+Created=(-?\d{1,20})sec(?: ago)?)?"
    r"(?:[ \t]+(?:HostLocal|NeedsCT)=(\d{1,20}))?[\s\"',;|\\]*(?:\\n[\s\"',;|\\]*)?$"
)


def _nat(text: str, _before: Row | None) -> Row | None:
    found = _NAT.search(text)
    if found is None:
        return None
    return {
        "protocol": found[1],
        "direction": found[2].lower(),
        "source": found[3],
        "source_port": int(found[4]),
        "destination": found[5],
        "destination_port": int(found[6]),
        "to_address": found[7],
        "to_port": int(found[8]),
        "age_seconds": _number(found[9]),
        "needs_ct": _number(found[10]),
    }


_FRONT: Final = (
    r"(?:\[([0-9a-fA-F:.]{2,45})\]|([0-9a-fA-F.]{7,15}|[0-9a-fA-F:]{2,45}?)):(\d{1,5})"
    r"(?:/(TCP|UDP|SCTP|ANY))?(/i)?(@\d{1,5})?"
)
_SERVICE: Final = re.compile(
    rf"^(?:{_FRONT}(?: \((\d{{1,5}})\))?)?[ \t]*"
    rf"(?:{_FRONT}|(?P<said>backend \d{{1,10}} not found))"
    r"[ \t]*(?:\((?P<revnat>\d{1,5})\))?(?:[ \t]+\((?P<slot>\d{1,5})\))?"
    r"(?:[ \t]+\[(?P<flags>[^\]]{0,200})\])?(?P<rest>.{0,80}?)[ \t]*$"
)


def _front(found: re.Match[str], before: Row | None) -> Row:
    """The service of a row; one that names none goes on with that of the row before."""
    if found[3]:
        return {
            "address": found[1] or found[2],
            "port": int(found[3]),
            "protocol": found[4],
            "scope": "internal" if found[5] else "external",
        }
    names = ("address", "port", "protocol", "scope")
    return {name: before[name] for name in names} if before else {}


def _lb(text: str, before: Row | None) -> Row | None:
    found = _SERVICE.match(text)
    if found is None or (not found[3] and before is None):
        return None
    flags = found["flags"]
    return {
        **_front(found, before),
        "slot": _number(found["slot"] or found[7]),
        "backend_address": found[8] or found[9],
        "backend_port": _number(found[10]),
        "rev_nat": _number(found["revnat"]),
        "flags": [one.strip() for one in flags.split(",")] if flags is not None else [],
        "remark": found["said"] or found["rest"].strip() or None,
    }


_V4: Final = r"\d{1,3}(?:\.\d{1,3}){3}"
_V6: Final = r"[0-9a-fA-F]{0,4}:[0-9a-fA-F:.]{1,44}"
_BACKEND: Final = re.compile(
    rf"^\s*(?P<id>\d{{1,10}})[ \t]+(?P<protocol>[A-Za-z]\w{{1,8}}|\d{{1,3}})://"
    rf"(?:\[(?P<six>{_V6})\]|(?P<four>{_V4})|(?P<bare>{_V6}))(?::(?P<port>\d{{1,5}}))?"
    r"(?:@(?P<cluster>\d{1,10}))?(?:\[(?P<zone>[^\]]{0,80})\])?[ \t]*$"
)


def _backend(text: str, _before: Row | None) -> Row | None:
    found = _BACKEND.match(text)
    if found is None:
        return None
    return {
        "id": int(found["id"]),
        "protocol": found["protocol"],
        "address": found["six"] or found["four"] or found["bare"],
        "port": _number(found["port"]),
        "cluster": _number(found["cluster"]),
        "zone": found["zone"] or None,
    }


_REVERSE: Final = re.compile(
    rf"^\s*(?:(?P<id>\d{{1,5}})[ \t]+)?(?:\[(?P<six>{_V6})\]|(?P<four>{_V4})):(?P<port>\d{{1,5}})"
    r"[ \t]*$"
)


def _reverse(text: str, before: Row | None) -> Row | None:
    found = _REVERSE.match(text)
    if found is None or (not found["id"] and before is None):
        return None
    return {
        # The two families of one id stand below each other, which is told once.
        "id": _number(found["id"]) if found["id"] or before is None else before["id"],
        "address": found["six"] or found["four"],
        "port": int(found["port"]),
    }


_FRONTEND: Final = re.compile(
    rf"^(?:{_FRONT}(?:/\w{{1,8}})?(?:/i)?(?: \((?P<slot>\d{{1,5}})\))?[ \t]+|[ \t]*)"
    r"(?P<backend>\d{1,10}) (?P<count>\d{1,5})(?:\[(?P<quarantined>\d{1,5})\])? "
    r"\((?P<revnat>\d{1,5})\) \[(?P<flags>0x[0-9a-f]{1,4} 0x[0-9a-f]{1,4})\][ \t]*$"
)


def _frontend(text: str, before: Row | None) -> Row | None:
    found = _FRONTEND.match(text)
    if found is None or (not found[3] and before is None):
        return None
    return {
        **_front(found, before),
        "slot": _number(found["slot"]),
        "backend_id": int(found["backend"]),
        "backends": int(found["count"]),
        "quarantined": _number(found["quarantined"]),
        "rev_nat": int(found["revnat"]),
        "flags": found["flags"].split(),
    }


_RANGE: Final = re.compile(r"^\s*(\S{1,60}/\d{1,3}) \((\d{1,5})\)[ \t]*$")


def _range(text: str, _before: Row | None) -> Row | None:
    found = _RANGE.match(text)
    return {"prefix": found[1], "rev_nat": int(found[2])} if found else None


_POLICY: Final = re.compile(
    r"^(Allow|Deny)\s+(Ingress|Egress)\s+(\S(?:.*?\S)?)\s+"
    r"(ANY|[\d-]{1,11}/\w{1,8}|<[^>]{1,40}>|[\w-]{1,16})\s+(NONE|\d{1,5})(?:\s+([A-Za-z][\w-]*))?\s+(\d{1,20}|-)\s+(\d{1,20}|-)"
    r"(?:\s+(\d{1,3}))?(?:\s+\S.{0,80}?)?\s*$"
)
_LABELS: Final = re.compile(r"^\s{4,}(\S[^\t]{0,200}?)\s*$")


def _policy(text: str, before: Row | None) -> Row | None:
    found = _POLICY.match(text)
    if found is None:
        more = _LABELS.match(text)
        if more and before is not None and isinstance(before["labels"], list):
            before["labels"].append(more[1])
            return before
        return None
    port, _, protocol = found[4].partition("/")
    return {
        "policy": found[1].lower(),
        "direction": found[2].lower(),
        "labels": [found[3]],
        "port": None if port == "ANY" else port,
        "protocol": protocol or None,
        "proxy_port": None if found[5] == "NONE" else int(found[5]),
        "auth_type": found[6],
        "bytes": _number(found[7].strip("-")),
        "packets": _number(found[8].strip("-")),
        "prefix_bits": _number(found[9]),
    }


_IPCACHE: Final = re.compile(
    r"^(\S+/\d{1,3}(?:@\d{1,5})?|<\w+>)\s+"
    r"(?:identity=(\d{1,10}) encryptkey=(\d{1,3}) tunnelendpoint=(\S+?)"
    r"(?:,? flags=(\S+))?|(\d{1,10}) (\d{1,3}) (\S+))\s*$"
)


def _ipcache(text: str, _before: Row | None) -> Row | None:
    found = _IPCACHE.match(text)
    if found is None:
        return None
    return {
        "prefix": found[1],
        "identity": int(found[2] or found[6]),
        "tunnel_endpoint": (found[4] or found[8]).rstrip(","),
        "encrypt_key": int(found[3] or found[7]),
        "flags": found[5],
    }


_ENDPOINT: Final = re.compile(r"^(\S+?)(?::0)?[ \t]+(\(localhost\)|id=.*)$")
_PAIR: Final = re.compile(r"(\w{1,20})=(\S*)")


def _endpoint(text: str, _before: Row | None) -> Row | None:
    found = _ENDPOINT.match(text)
    if found is None:
        return None
    said = dict(_PAIR.findall(found[2]))
    return {
        "address": found[1],
        "localhost": "yes" if found[2] == "(localhost)" else "no",
        "endpoint": _number(said.get("id")),
        "identity": _number(said.get("sec_id")),
        "ifindex": _number(said.get("ifindex")),
        "mac": said.get("mac"),
        "node_mac": said.get("nodemac"),
        "flags": said.get("flags"),
        "parent_ifindex": _number(said.get("parent_ifindex")),
    }


_METRIC: Final = re.compile(
    r"^(\S(?:.*?\S)?)\s{2,}(INGRESS|EGRESS|SERVICE|UNKNOWN|[A-Z]{3,10}|\d)\s+(-?\d{1,20})\s+(-?\d{1,20})"
    r"(?:\s+(\d{1,10})\s+(\S+))?\s*$"
)


def _metric(text: str, _before: Row | None) -> Row | None:
    found = _METRIC.match(text)
    if found is None:
        return None
    return {
        "reason": found[1],
        "direction": found[2].lower(),
        "packets": int(found[3]),
        "bytes": int(found[4]),
        "line": _number(found[5]),
        "file": found[6],
    }


def _titled(*titles: str) -> re.Pattern[str]:
    """A line of titles, whatever stands before it."""
    return re.compile(r"^(?:.{0,400}[> :\t])?" + r"[ \t]+".join(titles), re.MULTILINE)


_ID_TITLE: Final = re.compile(r"ID\s+BACKEND ADDRESS")
_DROP: Final = re.compile(
    r"^xx drop \((?P<reason>[^,()]{1,80}(?:\([^()]{0,40}\))?)(?:, (?P<error>[^()]{1,80}))?\) "
)
_MEANINGS: Final = {
    "Device or resource busy": "a lock of the table was busy; it need not be full",
    "Argument list too long": "the table is full",
    "Cannot allocate memory": "no memory for an entry; the table need not be full",
    "File exists": "another processor made the same entry first",
}
"""What the kernel's error of an insertion says: ``kernel/bpf/hashtab.c`` gives E2BIG where a table
is full, EBUSY where its bucket is locked, ENOMEM without memory."""


def _drop(text: str, before: Row | None) -> Row | None:
    found = _DROP.match(text)
    if found is None:
        return None
    place = re.search(r"file (\S+?):(\d{1,6})", text)
    error = found["error"]
    del before
    return {
        "reason": found["reason"],
        "error": error,
        "means": _MEANINGS.get(error or ""),
        "line": _number(place[2]) if place else None,
        "file": place[1] if place else None,
        "packet": text.rpartition(": ")[2][:LONGEST_TOLD] or None,
    }


LISTS: Final = (
    PrintedList(
        RecordKind.METRICS,
        "drops that the tool's monitor told",
        re.compile(r"^(?:.{0,400}[> :\t])?xx drop \(", re.MULTILINE),
        ("reason", "error", "means", "line", "file", "packet"),
        _drop,
    ),
    PrintedList(
        RecordKind.NAT,
        "the tool's NAT listing",
        re.compile(r"->[ \t]+\S+[ \t]+(?:related |service )*XLATE_(?:SRC|DST)[ \t]", re.MULTILINE),
        (
            "protocol",
            "direction",
            "source",
            "source_port",
            "destination",
            "destination_port",
            "to_address",
            "to_port",
            "age_seconds",
            "needs_ct",
        ),
        _nat,
        last="needs_ct",
    ),
    PrintedList(
        RecordKind.SERVICE,
        "the tool's list of services",
        _titled("SERVICE ADDRESS", "BACKEND ADDRESS"),
        (
            "address",
            "port",
            "protocol",
            "scope",
            "slot",
            "backend_address",
            "backend_port",
            "rev_nat",
            "flags",
            "remark",
        ),
        _lb,
        re.compile(r"SERVICE ADDRESS"),
    ),
    PrintedList(
        RecordKind.SERVICE,
        "the tool's list of services by slot",
        _titled("SERVICE ADDRESS", "BACKEND ID"),
        (
            "address",
            "port",
            "protocol",
            "scope",
            "slot",
            "backend_id",
            "backends",
            "quarantined",
            "rev_nat",
            "flags",
        ),
        _frontend,
        re.compile(r"SERVICE ADDRESS\s+BACKEND ID"),
    ),
    PrintedList(
        RecordKind.REVERSE_NAT,
        "the tool's list of reverse NAT",
        re.compile(
            r"(?:^|[> :\t])ID[ \t]+BACKEND ADDRESS[^\n]*\n(?:[^\n]{0,400}\n){0,3}?"
            rf"[^\n]{{0,400}}?\b\d{{1,5}}[ \t]+(?:\[{_V6}\]|{_V4}):\d{{1,5}}[ \t\r]*$",
            re.MULTILINE,
        ),
        ("id", "address", "port"),
        _reverse,
        _ID_TITLE,
        starts=re.compile(rf"^\s*\d{{1,5}}[ \t]+(?:\[{_V6}\]|{_V4}):\d{{1,5}}[ \t]*$"),
    ),
    PrintedList(
        RecordKind.BACKEND,
        "the tool's list of backends",
        _titled("ID", "BACKEND ADDRESS"),
        ("id", "protocol", "address", "port", "cluster", "zone"),
        _backend,
        _ID_TITLE,
    ),
    PrintedList(
        RecordKind.SOURCE_RANGE,
        "the tool's list of source ranges",
        _titled("SOURCE RANGE"),
        ("prefix", "rev_nat"),
        _range,
        re.compile("SOURCE RANGE"),
    ),
    PrintedList(
        RecordKind.POLICY,
        "the tool's list of an endpoint's policy",
        _titled("POLICY", "DIRECTION", "(?:LABELS|IDENTITY)"),
        (
            "endpoint",
            "policy",
            "direction",
            "labels",
            "port",
            "protocol",
            "proxy_port",
            "auth_type",
            "bytes",
            "packets",
            "prefix_bits",
        ),
        _policy,
        re.compile(r"POLICY\s+DIRECTION"),
        re.compile(r"Endpoint ID: (?P<endpoint>\d{1,5})\s*$|Path: /\S+\s*$"),
    ),
    PrintedList(
        RecordKind.IPCACHE,
        "the tool's ipcache listing",
        _titled("IP PREFIX/ADDRESS", "IDENTITY"),
        ("prefix", "identity", "tunnel_endpoint", "encrypt_key", "flags"),
        _ipcache,
        re.compile(r"IP PREFIX/ADDRESS"),
    ),
    PrintedList(
        RecordKind.ENDPOINT,
        "the tool's list of endpoints",
        _titled("IP ADDRESS", "LOCAL ENDPOINT INFO"),
        (
            "address",
            "localhost",
            "endpoint",
            "identity",
            "ifindex",
            "mac",
            "node_mac",
            "flags",
            "parent_ifindex",
        ),
        _endpoint,
        re.compile(r"IP ADDRESS\s+LOCAL ENDPOINT INFO"),
    ),
    PrintedList(
        RecordKind.METRICS,
        "the tool's list of packets by reason",
        _titled("REASON", "DIRECTION", "PACKETS", "BYTES"),
        ("reason", "direction", "packets", "bytes", "line", "file"),
        _metric,
        re.compile(r"REASON\s+DIRECTION"),
    ),
)
"""Every list that can be read from its text."""
