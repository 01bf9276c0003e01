"""Records of the datapath as lines and as JSON, in the words of ``cilium monitor`` 1.9."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.packets.monitor import POINTS, Notify, Point

if TYPE_CHECKING:
    from ctconsole.model.packets.monitor import Notice

_ETHERNET, _IPV4, _IPV6 = 14, 0x0800, 0x86DD
_TCP, _UDP, _ICMP, _ICMP6 = 6, 17, 1, 58
_OFFSET = 0x1FFF

_TCP_FLAGS: Final = ((0x02, "SYN"), (0x10, "ACK"), (0x04, "RST"), (0x01, "FIN"))
_ICMP_TYPES: Final = {
    0: "EchoReply",
    3: "DestinationUnreachable",
    8: "EchoRequest",
    11: "TimeExceeded",
    12: "ParameterProblem",
}
_ICMP6_TYPES: Final = {
    1: "DestinationUnreachable",
    2: "PacketTooBig",
    3: "TimeExceeded",
    4: "ParameterProblem",
    128: "EchoRequest",
    129: "EchoReply",
    133: "RouterSolicitation",
    134: "RouterAdvertisement",
    135: "NeighborSolicitation",
    136: "NeighborAdvertisement",
}
_PROTOCOLS: Final = {_TCP: "tcp", _UDP: "udp", _ICMP: "icmp", _ICMP6: "icmpv6"}


@dataclass(frozen=True, slots=True)
class Summary:
    """Who sent a packet to whom, as far as its captured bytes tell.

    Attributes:
        source: address, empty for what is no IP.
        destination: address.
        ports: source and destination port, None without ports.
        protocol: ``tcp``, ``udp``, ``icmp``, ``icmpv6``, or a number.
        detail: TCP flags, type of an ICMP message, or ``fragment``.
    """

    source: str = ""
    destination: str = ""
    ports: tuple[int, int] | None = None
    protocol: str = ""
    detail: str = ""

    def __str__(self) -> str:
        if not self.source:
            return self.protocol or "[unknown]"
        left, right = self.source, self.destination
        if self.ports:
            host = "[{}]:{}" if ":" in left else "{}:{}"
            left = host.format(left, self.ports[0])
            right = host.format(right, self.ports[1])
        return f"{left} -> {right} {self.protocol} {self.detail}".rstrip()


def summary(packet: bytes) -> Summary:
    """Dissect an Ethernet frame; never fails, what is cut off is left out."""
    if len(packet) < _ETHERNET:
        return Summary()
    ethertype = int.from_bytes(packet[12:14], "big")
    body = packet[_ETHERNET:]
    if ethertype == _IPV4 and len(body) >= 20:  # noqa: PLR2004 - an IPv4 header
        rest = body[(body[0] & 15) * 4 :]
        source, destination = _dotted(body[12:16]), _dotted(body[16:20])
        fragment = int.from_bytes(body[6:8], "big") & _OFFSET
        return _layer4(source, destination, body[9], b"" if fragment else rest, bool(fragment))
    if ethertype == _IPV6 and len(body) >= 40:  # noqa: PLR2004 - an IPv6 header
        ends6 = ip_address(body[8:24]), ip_address(body[24:40])
        return _layer4(str(ends6[0]), str(ends6[1]), body[6], body[40:], fragment=False)
    return Summary(protocol=f"ethertype {ethertype:#06x}")


def _dotted(raw: bytes) -> str:
    return "{}.{}.{}.{}".format(*raw)


def _layer4(source: str, destination: str, number: int, data: bytes, fragment: bool) -> Summary:  # noqa: FBT001 - a private helper
    protocol, detail, ports = _PROTOCOLS.get(number, str(number)), "", None
    if fragment:
        detail = "fragment"
    elif number in {_TCP, _UDP} and len(data) >= 4:  # noqa: PLR2004 - two ports
        ports = struct.unpack_from(">HH", data)
        if number == _TCP and len(data) > 13:  # noqa: PLR2004 - where the flags are
            detail = ", ".join(name for bit, name in _TCP_FLAGS if data[13] & bit)
    elif number == _ICMP and data:
        detail = _ICMP_TYPES.get(data[0], f"type {data[0]}")
    elif number == _ICMP6 and data:
        detail = _ICMP6_TYPES.get(data[0], f"type {data[0]}")
    return Summary(source, destination, ports, protocol, detail)


_WHERE: Final = {
    Point.TO_LXC: "-> endpoint {}",
    Point.TO_PROXY: "-> proxy",
    Point.TO_HOST: "-> host from",
    Point.TO_STACK: "-> stack",
    Point.TO_OVERLAY: "-> overlay",
    Point.FROM_LXC: "<- endpoint {}",
    Point.FROM_PROXY: "<- proxy",
    Point.FROM_HOST: "<- host",
    Point.FROM_STACK: "<- stack",
    Point.FROM_OVERLAY: "<- overlay",
    Point.FROM_NETWORK: "<- network",
    Point.TO_NETWORK: "-> network",
}


def line(notice: Notice) -> str:
    """One record on one line."""
    flow = f"flow {notice.hash:#x}"
    who = f"identity {notice.src_label}->{notice.dst_label}"
    if notice.type is Notify.DROP:
        where = f" to endpoint {notice.dst_id}" if notice.dst_id else ""
        text = f"xx drop ({notice.reason}) {flow}{where}, {who}"
    else:
        text = f"{_where(notice)} {flow} {who} state {notice.state_name} ifindex {notice.ifindex}"
    return f"{text}: {summary(notice.packet)}"


def as_dict(notice: Notice) -> dict[str, Any]:
    """One record for JSON; the names are those of ``cilium monitor --json`` where it has them."""
    found = summary(notice.packet)
    common: dict[str, Any] = {
        "cpu": f"CPU {notice.cpu:02d}:",
        "ktime": notice.time,
        "type": notice.type.name.lower(),
        "mark": f"{notice.hash:#x}",
    }
    if notice.type is Notify.DROP:
        common |= {"reason": notice.reason, "reasonCode": notice.subtype}
    else:
        common |= {
            "ifindex": str(notice.ifindex),
            "state": notice.state_name,
            "observationPoint": _point(notice.subtype),
            "traceSummary": _where(notice),
        }
    ports = found.ports
    return common | {
        "source": notice.source,
        "bytes": notice.length,
        "srcLabel": notice.src_label,
        "dstLabel": notice.dst_label,
        "dstID": notice.dst_id,
        "summary": {
            "text": str(found),
            "l3": {"src": found.source, "dst": found.destination},
            "l4": {"src": str(ports[0]), "dst": str(ports[1])} if ports else {},
            "protocol": found.protocol,
            "detail": found.detail,
        },
    }


EXAMPLE: Final[dict[str, Any]] = {
    "type": "drop", "reason": "Policy denied", "state": "new", "observationPoint": "to-endpoint",
    "src": "10.0.0.1", "sport": 40_000, "dst": "10.0.0.2", "dport": 443, "protocol": "tcp",
    "detail": "SYN", "bytes": 74, "source": 1955, "dstID": 1956, "srcLabel": 2, "dstLabel": 3,
    "ifindex": 7, "cpu": 0, "ktime": 1, "mark": "0x1",
}  # fmt: skip
"""A record as `as_row` has it: which columns there are, and which of them are numbers."""


def as_row(notice: Notice) -> dict[str, Any]:
    """One record by the names of `EXAMPLE`; None where it does not tell."""
    found, drop = summary(notice.packet), notice.type is Notify.DROP
    sport, dport = found.ports or (None, None)
    return {
        "type": notice.type.name.lower(),
        "reason": notice.reason if drop else None,
        "state": None if drop else notice.state_name,
        "observationPoint": None if drop else _point(notice.subtype),
        "src": found.source or None,
        "sport": sport,
        "dst": found.destination or None,
        "dport": dport,
        "protocol": found.protocol or None,
        "detail": found.detail or None,
        "bytes": notice.length,
        "source": notice.source,
        "dstID": notice.dst_id,
        "srcLabel": notice.src_label,
        "dstLabel": notice.dst_label,
        "ifindex": None if drop else notice.ifindex,
        "cpu": notice.cpu,
        "ktime": notice.time,
        "mark": f"{notice.hash:#x}",
    }


def _point(number: int) -> str:
    return POINTS[Point(number)] if number <= max(Point) else str(number)


def _where(notice: Notice) -> str:
    if notice.subtype > max(Point):
        return f"?? {notice.subtype}"
    point = Point(notice.subtype)
    ours = notice.dst_id if point is Point.TO_LXC else notice.source
    return _WHERE[point].format(ours)
