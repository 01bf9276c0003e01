"""What a line says of services, backends and what belongs to them, in the lists of Cilium's tool.

Each function answers with the row of a line, None where it is none; the second argument is the row
before, with which some lines go on.

Sources: ``cilium-dbg/cmd/bpf_*_list.go`` and what the tools of 1.7 to 1.20 printed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ctconsole.model.readers.printed_rows import number

if TYPE_CHECKING:
    from ctconsole.model.readers.printed_rows import Row

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


def service_row(text: str, before: Row | None) -> Row | None:
    """A service, or one of its backends with the service of the row before."""
    found = _SERVICE.match(text)
    if found is None or (not found[3] and before is None):
        return None
    flags = found["flags"]
    return {
        **_front(found, before),
        "slot": number(found["slot"] or found[7]),
        "backend_address": found[8] or found[9],
        "backend_port": number(found[10]),
        "rev_nat": number(found["revnat"]),
        "flags": [one.strip() for one in flags.split(",")] if flags is not None else [],
        "remark": found["said"] or found["rest"].strip() or None,
    }


IPV4: Final = r"\d{1,3}(?:\.\d{1,3}){3}"
IPV6: Final = r"[0-9a-fA-F]{0,4}:[0-9a-fA-F:.]{1,44}"
_BACKEND: Final = re.compile(
    rf"^\s*(?P<id>\d{{1,10}})[ \t]+(?P<protocol>[A-Za-z]\w{{1,8}}|\d{{1,3}})://"
    rf"(?:\[(?P<six>{IPV6})\]|(?P<four>{IPV4})|(?P<bare>{IPV6}))(?::(?P<port>\d{{1,5}}))?"
    r"(?:@(?P<cluster>\d{1,10}))?(?:\[(?P<zone>[^\]]{0,80})\])?[ \t]*$"
)


def backend_row(text: str, _before: Row | None) -> Row | None:
    """A backend."""
    found = _BACKEND.match(text)
    if found is None:
        return None
    return {
        "id": int(found["id"]),
        "protocol": found["protocol"],
        "address": found["six"] or found["four"] or found["bare"],
        "port": number(found["port"]),
        "cluster": number(found["cluster"]),
        "zone": found["zone"] or None,
    }


_REVERSE: Final = re.compile(
    rf"^\s*(?:(?P<id>\d{{1,5}})[ \t]+)?(?:\[(?P<six>{IPV6})\]|(?P<four>{IPV4})):(?P<port>\d{{1,5}})"
    r"[ \t]*$"
)


def reverse_row(text: str, before: Row | None) -> Row | None:
    """What an id of reverse NAT stands for."""
    found = _REVERSE.match(text)
    if found is None or (not found["id"] and before is None):
        return None
    return {
        # The two families of one id stand below each other, which is told once.
        "id": number(found["id"]) if found["id"] or before is None else before["id"],
        "address": found["six"] or found["four"],
        "port": int(found["port"]),
    }


_FRONTEND: Final = re.compile(
    rf"^(?:{_FRONT}(?:/\w{{1,8}})?(?:/i)?(?: \((?P<slot>\d{{1,5}})\))?[ \t]+|[ \t]*)"
    r"(?P<backend>\d{1,10}) (?P<count>\d{1,5})(?:\[(?P<quarantined>\d{1,5})\])? "
    r"\((?P<revnat>\d{1,5})\) \[(?P<flags>0x[0-9a-f]{1,4} 0x[0-9a-f]{1,4})\][ \t]*$"
)


def frontend_row(text: str, before: Row | None) -> Row | None:
    """A slot of a service by its backend's id."""
    found = _FRONTEND.match(text)
    if found is None or (not found[3] and before is None):
        return None
    return {
        **_front(found, before),
        "slot": number(found["slot"]),
        "backend_id": int(found["backend"]),
        "backends": int(found["count"]),
        "quarantined": number(found["quarantined"]),
        "rev_nat": int(found["revnat"]),
        "flags": found["flags"].split(),
    }


_RANGE: Final = re.compile(r"^\s*(\S{1,60}/\d{1,3}) \((\d{1,5})\)[ \t]*$")


def range_row(text: str, _before: Row | None) -> Row | None:
    """A source range."""
    found = _RANGE.match(text)
    return {"prefix": found[1], "rev_nat": int(found[2])} if found else None
