"""One conntrack entry to be pasted elsewhere: as text, as JSON, as a filter for tcpdump."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.layout import IpProtocol
from ctconsole.model.ct.show import details
from ctconsole.model.listing.ct import render_listing_ndjson
from ctconsole.model.text.addresses import address_text

if TYPE_CHECKING:
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names

_WITH_PORTS: Final = {
    IpProtocol.TCP: "tcp",
    IpProtocol.UDP: "udp",
    IpProtocol.SCTP: "sctp",
}
_WITHOUT: Final = {IpProtocol.ICMP: "icmp", IpProtocol.ICMPV6: "icmp6"}


def copied_text(one: CtTable, names: Names | None = None) -> str:
    """All that the details say, a line each; ``one`` is a table of one row."""
    facts = details(one, names)
    width = max(len(name) for name, _ in facts)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in facts)


def copied_json(one: CtTable, names: Names | None = None) -> str:
    """As ``ct list -o json`` has it, over some lines."""
    told = b"".join(render_listing_ndjson([one], names))
    return json.dumps(json.loads(told), indent=2, ensure_ascii=False)


def tcpdump_filter(one: CtTable) -> str:
    """What tcpdump (pcap-filter(7)) takes for the packets of the connection, both ways."""
    ends, number = one.ends, int(one.keys["nexthdr"][0])
    source, destination = (
        address_text(raw[0].tobytes()) for raw in (ends.source, ends.destination)
    )
    if number in _WITH_PORTS:
        here, there = int(ends.source_port[0]), int(ends.destination_port[0])
        ways = [
            f"(src host {a} and src port {p} and dst host {b} and dst port {q})"
            for a, p, b, q in (
                (source, here, destination, there),
                (destination, there, source, here),
            )
        ]
        return f"{_WITH_PORTS[IpProtocol(number)]} and ({' or '.join(ways)})"
    family = "ip6" if one.is_ipv6 else "ip"
    known = number in _WITHOUT
    protocol = _WITHOUT[IpProtocol(number)] if known else f"{family} proto {number}"
    return f"{protocol} and host {source} and host {destination}"
