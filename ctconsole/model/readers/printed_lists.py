"""The lists that Cilium's tool prints of its other maps, and how each is told.

`LISTS` is the table; a new list is one more row.

Sources: ``cilium-dbg/cmd/bpf_*_list.go`` and what the tools of 1.7 to 1.20 printed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.model.readers.printed_rows import (
    drop_row,
    endpoint_row,
    ipcache_row,
    metric_row,
    nat_row,
    policy_row,
)
from ctconsole.model.readers.printed_services import (
    IPV4,
    IPV6,
    backend_row,
    frontend_row,
    range_row,
    reverse_row,
    service_row,
)
from ctconsole.model.records.spec import RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.model.readers.printed_rows import Row


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
        alone: a row that can be of no other list, so that it needs no title above it.
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
    alone: re.Pattern[str] | None = None
    last: str = ""

    def is_cut(self, row: Row) -> bool:
        """Whether a row lacks what all rows of its list end with, so that it may go on."""
        return self.last in row and row[self.last] is None

    def begins(self, text: str) -> bool:
        """Whether a line can only be of this list."""
        above = self.section is not None and self.section.match(text.lstrip())
        return bool(above or (self.starts or self.head).search(text) or self._has_row(text))

    def is_in(self, text: str) -> bool:
        """Whether a text has a line that only this list has."""
        return self.head.search(text) is not None or self._has_row(text)

    def _has_row(self, text: str) -> bool:
        return self.alone is not None and self.alone.search(text) is not None


def _titled(*titles: str) -> re.Pattern[str]:
    """A line of titles, whatever stands before it."""
    return re.compile(r"^(?:.{0,400}[> :\t])?" + r"[ \t]+".join(titles), re.MULTILINE)


def _row(pattern: str) -> re.Pattern[str]:
    """The end of a line, whatever stands before it."""
    return re.compile(rf"(?:{pattern})[ \t\r]*$", re.MULTILINE)


_PORT: Final = rf"(?:\[{IPV6}(?:@\d{{1,5}})?\]|{IPV4}(?:@\d{{1,5}})?):\d{{1,5}}(?:/\w{{1,8}})?"
_SLOTS: Final = r" \(\d{1,5}\) \(\d{1,5}\)"
_FLAGS: Final = r"(?: \[[A-Za-z][^\]\n]{0,200}\][^\n]{0,80})?"
_ID_TITLE: Final = re.compile(r"ID\s+BACKEND ADDRESS")

LISTS: Final = (
    PrintedList(
        RecordKind.METRICS,
        "drops that the tool's monitor told",
        re.compile(r"^(?:.{0,400}[> :\t])?xx drop \(", re.MULTILINE),
        ("reason", "error", "means", "line", "file", "packet"),
        drop_row,
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
        nat_row,
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
            "backend_cluster",
            "rev_nat",
            "flags",
            "remark",
        ),
        service_row,
        re.compile(r"SERVICE ADDRESS"),
        alone=_row(
            rf"{_PORT}(?:/i)?(?: \(\d{{1,5}}\))?[ \t]+(?:{_PORT}|backend \d{{1,10}} not found)"
            rf"{_SLOTS}{_FLAGS}"
        ),
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
        frontend_row,
        re.compile(r"SERVICE ADDRESS\s+BACKEND ID"),
        alone=_row(r" \d{1,5}(?:\[\d{1,5}\])? \(\d{1,5}\) \[0x[0-9a-f]{1,4} 0x[0-9a-f]{1,4}\]"),
    ),
    PrintedList(
        RecordKind.REVERSE_NAT,
        "the tool's list of reverse NAT",
        re.compile(
            r"(?:^|[> :\t])ID[ \t]+BACKEND ADDRESS[^\n]*\n(?:[^\n]{0,400}\n){0,3}?"
            rf"[^\n]{{0,400}}?\b\d{{1,5}}[ \t]+(?:\[{IPV6}\]|{IPV4}):\d{{1,5}}[ \t\r]*$",
            re.MULTILINE,
        ),
        ("id", "address", "port"),
        reverse_row,
        _ID_TITLE,
        starts=re.compile(rf"^\s*\d{{1,5}}[ \t]+(?:\[{IPV6}\]|{IPV4}):\d{{1,5}}[ \t]*$"),
    ),
    PrintedList(
        RecordKind.BACKEND,
        "the tool's list of backends",
        _titled("ID", "BACKEND ADDRESS"),
        ("id", "protocol", "address", "port", "cluster", "zone"),
        backend_row,
        _ID_TITLE,
        alone=_row(
            rf"\b\d{{1,10}}[ \t]+(?:ANY|NONE|TCP|UDP|SCTP|ICMP|ICMPV6|ICMPv6)://"
            rf"(?:\[{IPV6}\]|{IPV4})\S{{0,120}}"
        ),
    ),
    PrintedList(
        RecordKind.SOURCE_RANGE,
        "the tool's list of source ranges",
        _titled("SOURCE RANGE"),
        ("prefix", "rev_nat"),
        range_row,
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
        policy_row,
        re.compile(r"POLICY\s+DIRECTION"),
        re.compile(r"Endpoint ID: (?P<endpoint>\d{1,5})\s*$|Path: /\S+\s*$"),
        alone=_row(
            r"\b(?:Allow|Deny)[ \t]+(?:Ingress|Egress)[ \t]+\S[^\n]{0,400}?[ \t]"
            r"(?:NONE|\d{1,5})[ \t]+(?:[A-Za-z][\w-]{0,40}[ \t]+)?"
            r"(?:\d{1,20}|-)[ \t]+(?:\d{1,20}|-)[ \t\d]{0,40}"
        ),
    ),
    PrintedList(
        RecordKind.IPCACHE,
        "the tool's ipcache listing",
        _titled("IP PREFIX/ADDRESS", "IDENTITY"),
        ("prefix", "identity", "tunnel_endpoint", "encrypt_key", "flags"),
        ipcache_row,
        re.compile(r"IP PREFIX/ADDRESS"),
        alone=_row(
            r"[0-9a-fA-F:]/\d{1,3}(?:@\d{1,5})?[ \t]+identity=\d{1,10} encryptkey=\d{1,3} "
            r"tunnelendpoint=\S{2,60}(?: nodeid=\S{1,10})?(?: flags=\S{1,80})?"
        ),
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
        endpoint_row,
        re.compile(r"IP ADDRESS\s+LOCAL ENDPOINT INFO"),
        alone=_row(
            r"[0-9a-fA-F:](?::0)?[ \t]+id=\d{1,5}[ \t]+(?:sec_id=\d{1,10}[ \t]+)?"
            r"flags=0x[0-9a-fA-F]{1,8}[ \t]+ifindex=\d{1,10}[ \t]+mac=[^\n]{0,200}"
        ),
    ),
    PrintedList(
        RecordKind.METRICS,
        "the tool's list of packets by reason",
        _titled("REASON", "DIRECTION", "PACKETS", "BYTES"),
        ("reason", "direction", "packets", "bytes", "line", "file"),
        metric_row,
        re.compile(r"REASON\s+DIRECTION"),
        alone=_row(
            r"\S[ \t]{2,}(?:INGRESS|EGRESS|SERVICE)[ \t]+\d{1,20}[ \t]+\d{1,20}"
            r"(?:[ \t]+\d{1,10}[ \t]+\S{1,40})?"
        ),
    ),
)
"""Every list that can be read from its text."""
