"""Names of the reasons in ``cilium_metrics`` and of the files drops are counted in.

A number keeps its meaning from release to release; some got another wording, and the source files
got other numbers in 1.18. Without a release the newest names count.

Sources: ``pkg/monitor/api/drop.go`` and ``pkg/monitor/api/files.go`` of Cilium: of 2020 (with the
reasons of 1.9), of 1.15, of 1.17 to 1.19, and ``bpf/lib/drop_reasons.h``.
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

_WORDED_BEFORE_1_15: Final[Mapping[int, str]] = MappingProxyType(
    {136: "CT: Missing TCP ACK flag", 161: "Failed to insert into proxymap"}
)
_FIRST: Final[Mapping[int, Layout]] = MappingProxyType(
    {
        11: Layout.V1_12,
        **dict.fromkeys(range(12, 15), Layout.V1_18),
        15: Layout.V1_19,
        **dict.fromkeys((182, 183, 184, 197), Layout.V1_12),
        **dict.fromkeys((*range(185, 197), *range(198, 204)), Layout.V1_15),
        204: Layout.V1_16,
        205: Layout.V1_18,
        206: Layout.V1_19,
        207: Layout.V1_19,
    }
)
"""The releases that brought reasons; the others are as old as 1.9."""

_PROGRAMS: Final = {
    1: "bpf_host.c",
    2: "bpf_lxc.c",
    3: "bpf_overlay.c",
    4: "bpf_xdp.c",
    5: "bpf_sock.c",
    6: "bpf_network.c",
    7: "bpf_wireguard.c",
}
_FIRST_HEADER: Final = 101


def _headers(names: str) -> dict[int, str]:
    return {_FIRST_HEADER + index: f"{name}.h" for index, name in enumerate(names.split())}


_HEADERS_1_16: Final = _headers(
    "arp drop srv6 icmp6 nodeport lb mcast ipv4 conntrack l3 trace encap encrypt"
)
_HEADERS_1_17: Final = _HEADERS_1_16 | {114: "host_firewall.h", 115: "nodeport_egress.h"}
_HEADERS_1_18: Final = _headers(
    "arp drop srv6 icmp6 nodeport lb mcast ipv4 conntrack local_delivery trace encap encrypt "
    "host_firewall nodeport_egress ipv6 classifiers"
)


def reason_name(code: int, layout: Layout | None = None) -> str:
    """The reason's wording.

    Args:
        code: the reason's number.
        layout: the release whose tool's words are wanted. Since 1.13 they put an extended error
            of 0 behind a number they do not know.
    """
    if layout is None:
        return REASONS.get(code, str(code))
    old = not since(layout, Layout.V1_12)
    if since(layout, _FIRST.get(code, Layout.V1_9)) and code in REASONS:
        return _WORDED_BEFORE_1_15.get(code, REASONS[code]) if old else REASONS[code]
    return str(code) if old else f"{code}, 0"


def file_name(code: int, layout: Layout = Layout.V1_18) -> str:
    """The source file's name; ``unknown(N)`` as the tool says where it has none."""
    headers = _HEADERS_1_17 if since(layout, Layout.V1_17) else _HEADERS_1_16
    if since(layout, Layout.V1_18):
        headers = _HEADERS_1_18
    return (_PROGRAMS | headers).get(code, f"unknown({code})")


def direction_name(code: int) -> str:
    """A metric's direction, in the tool's capitals (``pkg/maps/metricsmap``)."""
    return {1: "INGRESS", 2: "EGRESS", 3: "SERVICE"}.get(code, "UNKNOWN")
