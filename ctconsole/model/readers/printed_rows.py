"""What a line says in the lists that Cilium's tool prints; of services see `printed_services`.

Each function answers with the row of a line, None where it is none; the second argument is the row
before, with which some lines go on. Names of columns are those of our own lists where they mean the
same.

Sources: ``cilium-dbg/cmd/bpf_*_list.go`` and what the tools of 1.7 to 1.20 printed.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

from ctconsole.model.readers.lines import LONGEST_TOLD

if TYPE_CHECKING:
    Value: TypeAlias = "str | int | list[str] | None"
    Row: TypeAlias = dict[str, Value]


def number(text: str | None) -> int | None:
    """A number that may be missing."""
    return int(text) if text else None


def is_address(text: str) -> bool:
    """Whether it is one, and not the beginning of one that was cut."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_END: Final = r"\[?([0-9a-fA-F:.]{2,45}?)\]?:(\d{1,5})"
_NAT: Final = re.compile(
    rf"(\w{{1,8}})[ \t]+(IN|OUT)[ \t]+{_END}[ \t]+->[ \t]+{_END}[ \t]+(?:related[ \t]+)?"
    rf"(?:service[ \t]+)?XLATE_(?:SRC|DST)[ \t]+{_END}"
    r"(?:[ \t]+Created=(-?\d{1,20})sec(?: ago)?)?"
    r"(?:[ \t]+(?:HostLocal|NeedsCT)=(\d{1,20}))?[\s\"',;|\\]*(?:\\n[\s\"',;|\\]*)?$"
)


def nat_row(text: str, _before: Row | None) -> Row | None:
    """A translation."""
    found = _NAT.search(text)
    if found is None or not all(is_address(found[place]) for place in (3, 5, 7)):
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
        "age_seconds": number(found[9]),
        "needs_ct": number(found[10]),
    }


_POLICY: Final = re.compile(
    r"^(Allow|Deny)\s+(Ingress|Egress|Unknown)\s+(\S(?:.*?\S)??)\s+"
    r"(ANY|[\d-]{1,11}/\w{1,8}|<[^>]{1,40}>|[\w-]{1,16})\s+(NONE|\d{1,5})(?:\s+([A-Za-z][\w-]*))?\s+(\d{1,20}|-)\s+(\d{1,20}|-)"
    r"(?:\s+(\d{1,3}))?(?:\s+\S.{0,80}?)?\s*$"
)
_LABELS: Final = re.compile(r"^\s{4,}(\S[^\t]{0,200}?)\s*$")


def policy_row(text: str, before: Row | None) -> Row | None:
    """A rule; a line of labels goes on with that of the row before."""
    found = _POLICY.match(text)
    if found is None:
        more = _LABELS.match(text)
        if more and before is not None and isinstance(before["labels"], list):
            before["labels"].append(more[1])
            return before
        return None
    # Where a rule is for a protocol as a whole, that stands alone.
    port, _, protocol = found[4].rpartition("/")
    return {
        "policy": found[1].lower(),
        "direction": found[2].lower(),
        "labels": [found[3]],
        "port": port or None,
        "protocol": None if found[4].startswith(("ANY", "<")) else protocol,
        "proxy_port": None if found[5] == "NONE" else int(found[5]),
        "auth_type": found[6],
        "bytes": number(found[7].strip("-")),
        "packets": number(found[8].strip("-")),
        "prefix_bits": number(found[9]),
    }


_IPCACHE: Final = re.compile(
    r"^(\S+/\d{1,3}(?:@\d{1,5})?|<\w+>)\s+"
    r"(?:identity=(\d{1,10}) encryptkey=(\d{1,3}) tunnelendpoint=(\S+?)"
    r"(?: nodeid=(?:0x[0-9a-f]{1,4}|\d{1,5}))?(?:,? flags=(\S+))?|(\d{1,10}) (\d{1,3}) (\S+))\s*$"
)


def ipcache_row(text: str, _before: Row | None) -> Row | None:
    """A prefix. The first patches of 1.12 to 1.14 print a node's id, too, which is passed over."""
    found = _IPCACHE.match(text)
    if found is None or not is_address((found[4] or found[8]).rstrip(",")):
        return None
    # A key of a family that is not known is printed in angle brackets.
    if found[1][0] != "<" and not is_address(found[1].partition("/")[0]):
        return None
    return {
        "prefix": found[1],
        "identity": int(found[2] or found[6]),
        "tunnel_endpoint": (found[4] or found[8]).rstrip(","),
        "encrypt_key": int(found[3] or found[7]),
        "flags": found[5],
    }


_ENDPOINT: Final = re.compile(r"^(\S+?)(?::0)?[ \t]+(\(localhost\)|id=.*)$")


def _is_endpoint(address: str) -> bool:
    """Whether it is what the tool prints of a key, behind which its own number may stand."""
    ends = address.partition("@")[0], address.rpartition(":")[0]
    return address == "nil" or any(map(is_address, ends))


_PAIR: Final = re.compile(r"(\w{1,20})=(\S*)")


def endpoint_row(text: str, _before: Row | None) -> Row | None:
    """An endpoint, or an address of the node."""
    found = _ENDPOINT.match(text)
    if found is None or not _is_endpoint(found[1]):
        return None
    said = dict(_PAIR.findall(found[2]))
    return {
        "address": found[1],
        "localhost": "yes" if found[2] == "(localhost)" else "no",
        "endpoint": number(said.get("id")),
        "identity": number(said.get("sec_id")),
        "ifindex": number(said.get("ifindex")),
        "mac": said.get("mac"),
        "node_mac": said.get("nodemac"),
        "flags": said.get("flags"),
        "parent_ifindex": number(said.get("parent_ifindex")),
    }


_METRIC: Final = re.compile(
    r"^(\S(?:.*?\S)?)\s{2,}(INGRESS|EGRESS|SERVICE|UNKNOWN|[A-Z]{3,10}|\d)\s+(-?\d{1,20})\s+(-?\d{1,20})"
    r"(?:\s+(\d{1,10})\s+(\S+))?\s*$"
)


def metric_row(text: str, _before: Row | None) -> Row | None:
    """Packets of one reason."""
    found = _METRIC.match(text)
    if found is None:
        return None
    return {
        "reason": found[1],
        "direction": found[2].lower(),
        "packets": int(found[3]),
        "bytes": int(found[4]),
        "line": number(found[5]),
        "file": found[6],
    }


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


def drop_row(text: str, _before: Row | None) -> Row | None:
    """A drop."""
    found = _DROP.match(text)
    if found is None:
        return None
    place = re.search(r"file (\S+?):(\d{1,6})", text)
    error = found["error"]
    return {
        "reason": found["reason"],
        "error": error,
        "means": _MEANINGS.get(error or ""),
        "line": number(place[2]) if place else None,
        "file": place[1] if place else None,
        "packet": text.rpartition(": ")[2][:LONGEST_TOLD] or None,
    }
