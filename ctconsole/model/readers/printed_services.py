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
    r"(?:\[(?P<six>[0-9a-fA-F:.]{2,45})\]|(?P<four>[0-9a-fA-F.]{7,15}|[0-9a-fA-F:]{2,45}?))"
    r":(?P<port>\d{1,5})(?:/(?P<protocol>[A-Z]\w{1,7}|\d{1,3}))?(?P<scope>/i)?(?:@\d{1,5})?"
)
_BACK: Final = (
    r"(?:\[(?P<back_six>[0-9a-fA-F:.]{2,45})(?:@(?P<six_cluster>\d{1,10}))?\]"
    r"|(?P<back_four>[0-9a-fA-F.]{7,15}|[0-9a-fA-F:]{2,45}?)(?:@(?P<cluster>\d{1,10}))?)"
    r":(?P<back_port>\d{1,5})(?:/(?:[A-Z]\w{1,7}|\d{1,3}))?(?:@\d{1,5})?"
)
_SERVICE: Final = re.compile(
    rf"^(?:{_FRONT}(?: \((?P<front_slot>\d{{1,5}})\))?)?[ \t]*"
    rf"(?:{_BACK}|(?P<said>backend \d{{1,10}} not found))"
    r"[ \t]*(?:\((?P<revnat>\d{1,5})\))?(?:[ \t]+\((?P<slot>\d{1,5})\))?"
    r"(?:[ \t]+\[(?P<flags>[^\]]{0,200})\])?(?P<rest>.{0,80}?)[ \t]*$"
)
_ANOTHER: Final = re.compile(r"\d\.\d{1,3}\.\d|[0-9a-fA-F]::?[0-9a-fA-F]{0,4}:")
"""An address behind a backend's own, which is not one that was read rightly."""


def _front(found: re.Match[str], before: Row | None) -> Row:
    """The service of a row; one that names none goes on with that of the row before."""
    if found["port"]:
        return {
            "address": found["six"] or found["four"],
            "port": int(found["port"]),
            "protocol": found["protocol"],
            "scope": "internal" if found["scope"] else "external",
        }
    names = ("address", "port", "protocol", "scope")
    return {name: before[name] for name in names} if before else {}


def service_row(text: str, before: Row | None) -> Row | None:
    """A service, or one of its backends with the service of the row before."""
    found = _SERVICE.match(text)
    if found is None or (not found["port"] and before is None):
        return None
    if _ANOTHER.search(found["rest"]):
        return None
    flags = found["flags"]
    return {
        **_front(found, before),
        "slot": number(found["slot"] or found["front_slot"]),
        "backend_address": found["back_six"] or found["back_four"],
        "backend_port": number(found["back_port"]),
        "backend_cluster": number(found["six_cluster"] or found["cluster"]),
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
    if found is None or (not found["port"] and before is None):
        return None
    # A first column that is empty stands for all that the line above has in it.
    goes_on = before is not None and not found["port"]
    return {
        **_front(found, before),
        "slot": before["slot"] if before is not None and goes_on else number(found["slot"]),
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
