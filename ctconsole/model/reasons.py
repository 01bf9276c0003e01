"""The numbers by which Cilium's datapath says why it dropped a packet (``pkg/monitor/api``)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FORWARDED: Final = 0
POLICY_DENIED: Final = 133
CT_INSERT_FAILED: Final = 155
NAT_NO_MAPPING: Final = 167
FRAGMENT_NOT_FOUND: Final = 175

DROP_REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "Success",
        2: "Invalid packet",
        3: "Plain Text",
        4: "Interface Decrypted",
        130: "Invalid source mac",
        131: "Invalid destination mac",
        132: "Invalid source ip",
        133: "Policy denied",
        134: "Invalid packet",
        135: "CT: Truncated or invalid header",
        136: "CT: Missing TCP ACK flag",
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
        161: "Failed to insert into proxymap",
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
    }
)
"""What ``cilium monitor`` and ``cilium bpf metrics list`` of 1.9 say for each number."""


def reason_name(number: int) -> str:
    """The words for a reason; an unknown one keeps its number, as with Cilium."""
    return DROP_REASONS.get(number, str(number))
