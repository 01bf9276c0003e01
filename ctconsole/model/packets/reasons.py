"""Names of the reasons in ``cilium_metrics`` and of the files drops are counted in.

A number keeps its meaning from release to release; some got another wording, and the source files
got other numbers in 1.18 and 1.19. Without a release the newest names of reasons count.

Sources: ``pkg/monitor/api/drop.go`` and ``pkg/monitor/api/files.go`` of 1.9 to 1.20, each release's
last patch, and ``bpf/lib/drop_reasons.h``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.layout import Layout, since

if TYPE_CHECKING:
    from collections.abc import Mapping

REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "Success",
        2: "Invalid packet",
        3: "Interface",
        4: "Interface Decrypted",
        5: "LB, sock cgroup: No backend slot entry found",
        6: "LB, sock cgroup: No backend entry found",
        7: "LB, sock cgroup: Reverse entry update failed",
        8: "LB, sock cgroup: Reverse entry stale",
        9: "Fragmented packet",
        10: "Fragmented packet entry update failed",
        11: "Missed tail call to custom program",
        12: "Interface Decrypting",
        13: "Interface Encrypting",
        14: "LB: sock cgroup: Reverse entry delete succeeded",
        15: "MTU error message",
        130: "Invalid source mac",
        131: "Invalid destination mac",
        132: "Invalid source ip",
        133: "Policy denied",
        134: "Invalid packet",
        135: "CT: Truncated or invalid header",
        136: "Fragmentation needed",
        137: "CT: Unknown L4 protocol",
        138: "CT: Can't create entry from packet",
        139: "Unsupported L3 protocol",
        140: "Missed tail call",
        141: "Error writing to packet",
        142: "Unknown L4 protocol",
        143: "Unknown ICMPv4 code",
        144: "Unknown ICMPv4 type",
        145: "Unknown ICMPv6 code",
        146: "Unknown ICMPv6 type",
        147: "Error retrieving tunnel key",
        148: "Error retrieving tunnel options",
        149: "Invalid Geneve option",
        150: "Unknown L3 target address",
        151: "Stale or unroutable IP",
        152: "No matching local container found",
        153: "Error while correcting L3 checksum",
        154: "Error while correcting L4 checksum",
        155: "CT: Map insertion failed",
        156: "Invalid IPv6 extension header",
        157: "IP fragmentation not supported",
        158: "Service backend not found",
        160: "No tunnel/encapsulation endpoint (datapath BUG!)",
        161: "NAT 46/64 not enabled",
        162: "Reached EDT rate-limiting drop horizon",
        163: "Unknown connection tracking state",
        164: "Local host is unreachable",
        165: "No configuration available to perform policy decision",
        166: "Unsupported L2 protocol",
        167: "No mapping for NAT masquerade",
        168: "Unsupported protocol for NAT masquerade",
        169: "FIB lookup failed",
        170: "Encapsulation traffic is prohibited",
        171: "Invalid identity",
        172: "Unknown sender",
        173: "NAT not needed",
        174: "Is a ClusterIP",
        175: "First logical datagram fragment not found",
        176: "Forbidden ICMPv6 message",
        177: "Denied by LB src range check",
        178: "Socket lookup failed",
        179: "Socket assign failed",
        180: "Proxy redirection not supported for protocol",
        181: "Policy denied by denylist",
        182: "VLAN traffic disallowed by VLAN filter",
        183: "Incorrect VNI from VTEP",
        184: "Failed to update or lookup TC buffer",
        185: "No SID was found for the IP address",
        186: "SRv6 state was removed during tail call",
        187: "L3 translation from IPv4 to IPv6 failed (NAT46)",
        188: "L3 translation from IPv6 to IPv4 failed (NAT64)",
        189: "Authentication required",
        190: "No conntrack map found",
        191: "No nat map found",
        192: "Invalid ClusterID",
        193: "Unsupported packet protocol for DSR encapsulation",
        194: "No egress gateway found",
        195: "Traffic is unencrypted",
        196: "TTL exceeded",
        197: "No node ID found",
        198: "Rate limited",
        199: "IGMP handled",
        200: "IGMP subscribed",
        201: "Multicast handled",
        202: "Host datapath not ready",
        203: "Endpoint policy program not available",
        204: "No Egress IP configured",
        205: "Punt to proxy",
        206: "No device",
        207: "First logical datagram fragment not found from world",
    }
)

_FORMER_WORDS: Final[Mapping[int, tuple[Layout, str]]] = MappingProxyType(
    {
        136: (Layout.V1_10, "CT: Missing TCP ACK flag"),
        161: (Layout.V1_12, "Failed to insert into proxymap"),
    }
)
"""Other wordings, and the releases that did away with them."""
_FIRST: Final[Mapping[int, Layout]] = MappingProxyType(
    {
        11: Layout.V1_10,
        **dict.fromkeys((12, 13), Layout.V1_17),
        14: Layout.V1_18,
        15: Layout.V1_19,
        182: Layout.V1_11,
        197: Layout.V1_11,
        **dict.fromkeys((183, 184), Layout.V1_12),
        **dict.fromkeys((*range(185, 190), 194, 196), Layout.V1_13),
        **dict.fromkeys((*range(190, 194), 202), Layout.V1_14),
        **dict.fromkeys((195, 198, 199, 200, 201, 203), Layout.V1_15),
        204: Layout.V1_16,
        205: Layout.V1_18,
        206: Layout.V1_20,
    }
)
"""The releases that brought reasons, by their last patches; the others are as old as 1.9.

Some came with a patch, and the tools of those before print a number: 12 and 13 with 1.17.4, 194 and
196 after 1.13.0, 202 after 1.14.4, and 197 in the course of 1.11, 1.12, 1.13 and 1.14 each.
"""

_UNRELEASED: Final = frozenset({207})
"""Reasons of what will be 1.21."""

_NETWORK: Final = 6
"""A program that 1.20 did away with."""

_PROGRAMS: Final = {
    1: "bpf_host.c",
    2: "bpf_lxc.c",
    3: "bpf_overlay.c",
    4: "bpf_xdp.c",
    5: "bpf_sock.c",
    _NETWORK: "bpf_network.c",
    7: "bpf_wireguard.c",
}
_FIRST_HEADER: Final = 101


def _headers(names: str) -> dict[int, str]:
    return {_FIRST_HEADER + index: f"{name}.h" for index, name in enumerate(names.split())}


_OF_1_16: Final = "arp drop srv6 icmp6 nodeport lb mcast ipv4 conntrack l3 trace encap encrypt"
_HEADERS: Final = (
    (
        Layout.V1_19,
        _headers(
            "drop srv6 icmp6 nodeport lb mcast ipv4 conntrack local_delivery trace encap "
            "host_firewall nodeport_egress ipv6 classifiers"
        ),
    ),
    (
        Layout.V1_18,
        _headers(
            "arp drop srv6 icmp6 nodeport lb mcast ipv4 conntrack local_delivery trace encap "
            "encrypt host_firewall nodeport_egress ipv6 classifiers"
        ),
    ),
    (Layout.V1_17, _headers(f"{_OF_1_16} host_firewall nodeport_egress")),
    (Layout.V1_9, _headers(_OF_1_16)),
)
"""The header files of each release, the newest first; there are none in the keys before 1.16."""


def reason_name(code: int, layout: Layout | None = None) -> str:
    """The reason's wording.

    Args:
        code: the reason's number.
        layout: the release whose tool's words are wanted. Since 1.13 they put an extended error
            of 0 behind a number they do not know.
    """
    if layout is None:
        return REASONS.get(code, str(code))
    known = code in REASONS and code not in _UNRELEASED
    if known and since(layout, _FIRST.get(code, Layout.V1_9)):
        until, words = _FORMER_WORDS.get(code, (Layout.V1_9, ""))
        return REASONS[code] if since(layout, until) else words
    return f"{code}, 0" if since(layout, Layout.V1_12) else str(code)


def file_name(code: int, layout: Layout = Layout.V1_18) -> str:
    """The source file's name; ``unknown(N)`` as the tool says where it has none."""
    files = _PROGRAMS | next(of for first, of in _HEADERS if since(layout, first))
    if code == _NETWORK and since(layout, Layout.V1_20):
        return f"unknown({code})"
    return files.get(code, f"unknown({code})")


def direction_name(code: int) -> str:
    """A metric's direction, in the tool's capitals (``pkg/maps/metricsmap``)."""
    return {1: "INGRESS", 2: "EGRESS", 3: "SERVICE"}.get(code, "UNKNOWN")
