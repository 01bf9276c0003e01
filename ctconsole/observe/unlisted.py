"""What Cilium's tool prints of a node that no verb of ours lists: only said to be what it is.

Sources: ``cilium-dbg/cmd/bpf_{nodeid,frag,egress,bandwidth,lb_maglev,nat_retries}_list.go`` and
``cilium/cmd/bpf_tunnel_list.go`` (up to 1.17), ``cilium-dbg/cmd/encrypt_status.go``,
``pkg/bpf/endpoint.go``.
"""

from __future__ import annotations

import re
from typing import Final

from ctconsole.model.readers import tool_json
from ctconsole.observe.gathered import FileForm
from ctconsole.observe.json_forms import json_form
from ctconsole.observe.sections import Kind

_NOT_READ: Final = "which no verb lists"


def _titled(name: str, *titles: str) -> FileForm:
    """A table, told by the line of its titles."""
    line = re.compile(
        r"^(?:.{0,400}[> :\t])?" + r"[ \t]+".join(titles) + r"[ \t\r]*$", re.MULTILINE
    )
    return _text(name, line)


def _text(name: str, line: re.Pattern[str]) -> FileForm:
    def told(text: str) -> bool:
        return line.search(text) is not None

    return FileForm(
        f"{name}, {_NOT_READ}",
        lambda source: told(source.head.decode("utf-8", "replace")),
        None,
        kind=Kind(told),
    )


def _objects(name: str, *members: str) -> FileForm:
    """A list of objects, told by the members of each in their order."""
    names = r'\s*:\s*(?:"[^"\n]{0,200}"|\d{1,20}|\[[^\]]{0,400}\])\s*,\s*'.join(
        f'"{member}"' for member in members
    )
    object_ = re.compile(rf"^\s*\[?\s*\{{\s*{names}\s*:", re.MULTILINE)
    return json_form(
        f"{name}, as JSON, {_NOT_READ}", lambda head: object_.search(head) is not None, None
    )


def _encryption(head: str) -> bool:
    return (
        re.match(r"\s*Encryption:[ \t]+(?i:ipsec|wireguard|disabled)[ \t\r]*$", head, re.MULTILINE)
        is not None
    )


def _encryption_json(head: str) -> bool:
    return re.match(_ENCRYPTION, head) is not None


_ENCRYPTION: Final = re.compile(
    r'\s*\{\s*"(?:ipsec"\s*:\s*\{|mode"\s*:\s*"(?i:ipsec|wireguard|disabled)")'
)

UNLISTED: Final = (
    _titled("the tool's list of tunnels", "TUNNEL", "VALUE"),
    json_form(f"the tool's list of tunnels, as JSON, {_NOT_READ}", tool_json.is_tunnels, None),
    # An agent's status has such a line, too, so that it tells only where it is the first.
    FileForm(
        f"the tool's status of encryption, {_NOT_READ}",
        lambda source: _encryption(source.head.decode("utf-8", "replace")),
        None,
        kind=Kind(lambda _: False),
    ),
    json_form(f"the tool's status of encryption, as JSON, {_NOT_READ}", _encryption_json, None),
    _titled("the tool's list of node ids", "NODE ID", r"IP ADDRESSES(?:[ \t]+SPI)?"),
    _objects("the tool's list of node ids", "ID", "Address"),
    _titled(
        "the tool's list of fragments",
        "ID",
        "PROTO",
        "SOURCE ADDRESS:PORT",
        "DEST ADDRESS:PORT.{0,40}",
    ),
    _objects("the tool's list of fragments", "ID", "Proto", "SourceAddress"),
    _titled(
        "the tool's list of egress gateways",
        "Source IP",
        "Destination CIDR",
        "Egress IP",
        "Gateway(?: IP)?",
    ),
    _objects("the tool's list of egress gateways", "SourceIP", "DestCIDR"),
    _titled(
        "the tool's list of bandwidth limits",
        "IDENTITY",
        r"(?:DIRECTION[ \t]+)?.{0,40}BANDWIDTH \(BitsPerSec\)",
    ),
    _titled("the tool's lookup tables of Maglev", "SVC ID", "LOOKUP TABLE"),
)
"""Every such form."""
