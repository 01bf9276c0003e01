"""What ``cilium bpf policy get --all`` prints, with labels or with ``--numeric``.

Labels of identities are the agent's to know: where it does not answer, the tool prints the numbers
below the heading of the labels, and so is done here. Entries that the tool puts in no order keep
the kernel's.

Sources: ``cilium/cmd/bpf_policy_get.go`` (1.9 to 1.14), ``cilium-dbg/cmd/bpf_policy_get.go`` (1.15
to 1.20), ``pkg/maps/policymap/policymap.go``, ``pkg/policy/types/auth.go``,
``pkg/policy/trafficdirection``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ctconsole.model.cilium.lists import go_json, protocol
from ctconsole.model.ct.layout import IpProtocol, Layout, since
from ctconsole.model.records.policy_counters import NOT_COUNTED
from ctconsole.model.records.structs import POLICY_STATIC_PREFIX
from ctconsole.model.text.tabwriter import aligned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.model.records.table import RecordTable

    Row: TypeAlias = tuple[str, ...]

_EMPTY: Final = "Policy stats empty. Perhaps the policy enforcement is disabled?\n"
_DIRECTIONS: Final = {0: "Ingress", 1: "Egress"}
_AUTH_TYPES: Final = {0: "disabled", 1: "spire", 2: "test-always-fail"}
_EXPLICIT_AUTH: Final = 0x80
_PROTOCOL_BITS, _FULL_BITS = 8, 24
_WITH_TYPES: Final = (IpProtocol.ICMP, IpProtocol.ICMPV6)
"""Protocols whose port is a type, which may be 0."""

_PREFIX_SHIFT: Final = 3
"""Where the length of the prefix begins in the flags since 1.16.4."""

_KEY_1_9: Final = (
    ("Identity", "sec_label"),
    ("DestPort", "dport"),
    ("Nexthdr", "protocol"),
    ("TrafficDirection", "egress"),
)
_KEY_LPM: Final = (
    ("Prefixlen", "prefixlen"),
    ("Identity", "sec_label"),
    ("TrafficDirection", "egress"),
    ("Nexthdr", "protocol"),
    ("DestPortNetwork", "dport"),
)


_ANY_IDENTITY: Final = "reserved:unknown"

NO_MAPS: Final = "no maps found\n"
"""What the tool prints where there is no policy map (`says_no_maps`)."""


def says_no_maps(layout: Layout) -> bool:
    """Whether the tool says so; it does from 1.12 on, and in the last patches of 1.10 and 1.11."""
    return since(layout, Layout.V1_12)


def policy_text(
    table: RecordTable, layout: Layout, labels: Mapping[int, Sequence[str]] | None = None
) -> str:
    """One endpoint's map; packets and bytes are ``-`` where they are not counted.

    Args:
        table: the map.
        layout: the release.
        labels: what is known of identities; None prints numbers, as ``--numeric`` does.
    """
    if not since(layout, Layout.V1_14):
        heading = f"{_pin(table)}:\n\n"
    else:
        heading = f"Endpoint ID: {_endpoint(table)}\nPath: {_pin(table)}\n\n"
    rows = _sorted(table)
    lines = [_titles(layout, numeric=labels is None)]
    for key, value in rows:
        named = (labels or {}).get(int(key["sec_label"]), ())
        lines += _labelled(_line(key, value, layout), named, layout)
    return heading + aligned(lines) + ("" if rows else _EMPTY) + "\n\n"


def policies_json(tables: Sequence[RecordTable], layout: Layout) -> str:
    """All endpoints' maps; up to 1.13 a document for each, under the heading of its text."""
    if not since(layout, Layout.V1_14):
        return "".join(f"{_pin(one)}:\n\n{go_json(_entries(one, layout))}\n\n" for one in tables)
    return go_json(
        [
            {
                "EndpointID": _endpoint(one),
                "Path": _pin(one),
                "Content": _entries(one, layout),
            }
            for one in tables
        ]
    )


def _pin(table: RecordTable) -> str:
    return str(table.info.pin or table.info.label)


def _endpoint(table: RecordTable) -> str:
    return table.info.label.rsplit("_", 1)[-1].lstrip("0")


def _sorted(table: RecordTable) -> list[tuple[Any, Any]]:
    """``PolicyEntriesDump.Less``: denied first, then by direction and identity."""
    return sorted(
        zip(table.keys, table.values, strict=True),
        key=lambda row: (
            not row[1]["flags"] & 1,
            int(row[0]["egress"]),
            int(row[0]["sec_label"]),
        ),
    )


def _titles(layout: Layout, *, numeric: bool) -> tuple[str, ...]:
    identity = "IDENTITY" if numeric else "LABELS (source:key[=value])"
    first = ("POLICY", "DIRECTION", identity, "PORT/PROTO", "PROXY PORT")
    if not since(layout, Layout.V1_14):
        return (*first, "BYTES", "PACKETS", "")
    titles = (*first, "AUTH TYPE", "BYTES", "PACKETS", "PREFIX")
    return (*titles, "COOKIE" if since(layout, Layout.V1_19) else "")


def _line(key: Any, value: Any, layout: Layout) -> tuple[str, ...]:  # noqa: ANN401 - numpy records
    first = (
        "Deny" if value["flags"] & 1 else "Allow",
        _DIRECTIONS.get(int(key["egress"]), "Unknown"),
        str(key["sec_label"]),
        _port(key, layout),
        str(value["proxy_port"]) if value["proxy_port"] else "NONE",
    )
    counters = tuple(_counter(value, name) for name in ("bytes", "packets"))
    uncounted = NOT_COUNTED if since(layout, Layout.V1_18) else None
    counted = tuple("-" if number == uncounted else str(number) for number in counters)
    if not since(layout, Layout.V1_14):
        return (*first, *counted, "")
    bits = _prefix_bits(key, layout) if "prefixlen" in key.dtype.names else 0
    line = (*first, _auth_type(value, layout), *counted, str(bits))
    cookie = str(value["cookie"]) if "cookie" in value.dtype.names else "0"
    return (*line, cookie if since(layout, Layout.V1_19) else "")


def _labelled(line: Row, labels: Sequence[str], layout: Layout) -> list[Row]:
    """A line with labels in the place of the number, each after the first on a line of its own."""
    if not labels:
        return [line]
    if since(layout, Layout.V1_18):
        labels = ["ANY" if one == _ANY_IDENTITY else one for one in labels]
    # Up to 1.13 the lines of the other labels have a cell more than there are columns.
    cells = len(line) if since(layout, Layout.V1_14) else len(line) + 1
    more = (("", "", one, *[""] * (cells - 3)) for one in labels[1:])
    return [(*line[:2], labels[0], *line[3:]), *more]


def _counter(value: Any, name: str) -> int:  # noqa: ANN401 - a numpy record
    return int(value[name]) if name in value.dtype.names else NOT_COUNTED


def _auth_type(value: Any, layout: Layout) -> str:  # noqa: ANN401 - a numpy record
    """Since 1.17 the highest bit says that the type was asked for, and is no part of it."""
    auth = int(value["auth_type"])
    if since(layout, Layout.V1_17):
        auth &= ~_EXPLICIT_AUTH
    return _AUTH_TYPES.get(auth, f"Unknown-auth-type-{auth}")


def _prefix_bits(key: Any, layout: Layout) -> int:  # noqa: ANN401 - a numpy record
    """The prefix behind the fixed part, in the width that release keeps it in."""
    bits = int(key["prefixlen"]) - POLICY_STATIC_PREFIX
    return bits & (0xFF if since(layout, Layout.V1_17) else 0xFFFFFFFF)


def _port(key: Any, layout: Layout) -> str:  # noqa: ANN401 - a numpy record
    """``PolicyKey.PortProtoString``; a partly given prefix is a range of ports."""
    port, proto = int(key["dport"]), protocol(int(key["protocol"]), layout)
    if "prefixlen" not in key.dtype.names:
        typed = key["protocol"] in _WITH_TYPES and since(layout, Layout.V1_11)
        return f"{port}/{proto}" if port or typed else "ANY"
    bits = _prefix_bits(key, layout)
    if bits in {0, _PROTOCOL_BITS}:
        return proto
    if bits == _FULL_BITS:
        return f"{port}/{proto}"
    if _PROTOCOL_BITS < bits < _FULL_BITS:
        if not since(layout, Layout.V1_16):
            return f"0x{port:x}/{bits - _PROTOCOL_BITS}/{proto}"
        last = (port + (0xFFFF >> (bits - _PROTOCOL_BITS))) & 0xFFFF
        return f"{port}-{last}/{proto}"
    return f"<INVALID PREFIX LENGTH: {bits}>"


def _entries(table: RecordTable, layout: Layout) -> list[dict[str, object]]:
    return [{**_entry(value, layout, table), "Key": _key(key)} for key, value in _sorted(table)]


def _key(key: Any) -> dict[str, int]:  # noqa: ANN401 - a numpy record
    fields = _KEY_LPM if "prefixlen" in key.dtype.names else _KEY_1_9
    return {name: _raw(key, field) for name, field in fields}


def _entry(value: Any, layout: Layout, table: RecordTable) -> dict[str, int]:  # noqa: ANN401 - a numpy record
    """``PolicyEntry`` with its counters, under the names and in the order of that release."""
    flags, auth = int(value["flags"]), int(value["auth_type"])
    counters = {"Packets": _counter(value, "packets"), "Bytes": _counter(value, "bytes")}
    if not since(layout, Layout.V1_14):
        third = "AuthType" if since(layout, Layout.V1_13) else "Pad0"
        head = {"ProxyPort": _raw(value, "proxy_port"), "Flags": flags, third: auth}
        return head | _padding(value) | counters
    head = {"ProxyPortNetwork": _raw(value, "proxy_port"), "Flags": flags}
    if not since(layout, Layout.V1_17):
        pads = _one_pad(value) if _says_prefix(table, layout) else _padding(value)
        return head | {"AuthType": auth} | pads | counters
    head["AuthRequirement"] = auth
    if "precedence" not in value.dtype.names:
        low, high = int(value["pad1"]) & 0xFF, int(value["pad1"]) >> 8
        head |= {"ProxyPortPriority": low, "Pad1": high, "Pad2": int(value["pad2"])}
        return head | counters
    precedence = int(value["precedence"])
    if since(layout, Layout.V1_19):
        head["Precedence"] = precedence
    else:
        low, high = precedence & 0xFF, precedence >> 8 & 0xFF
        head |= {"ProxyPortPriority": low, "Pad1": high, "Pad2": precedence >> 16}
    if "cookie" in value.dtype.names:
        head["Cookie"] = int(value["cookie"])
    return head | counters


def _says_prefix(table: RecordTable, layout: Layout) -> bool:
    """Whether 1.16 is one that keeps the prefix' length in the flags, as its later patches do."""
    return since(layout, Layout.V1_16) and bool((table.values["flags"] >> _PREFIX_SHIFT).any())


def _one_pad(value: Any) -> dict[str, int]:  # noqa: ANN401 - a numpy record
    return {"Pad1": int(value["pad1"]) | int(value["pad2"]) << 16}


def _padding(value: Any) -> dict[str, int]:  # noqa: ANN401 - a numpy record
    names = value.dtype.names
    return {
        name: int(value[field]) if field in names else 0
        for name, field in (("Pad1", "pad1"), ("Pad2", "pad2"))
    }


def _raw(record: Any, field: str) -> int:  # noqa: ANN401 - a numpy record
    """A number as the host reads its bytes, whatever order they are in."""
    form, offset = record.dtype.fields[field][:2]
    return int.from_bytes(record.tobytes()[offset : offset + form.itemsize], "little")
