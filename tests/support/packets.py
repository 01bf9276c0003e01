"""Ethernet frames built by hand, so that a test can also build broken ones."""

from __future__ import annotations

import socket
import struct
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ECHO_REPLY, UNREACHABLE, ECHO, TIME_EXCEEDED, TIMESTAMP = 0, 3, 8, 11, 13
MORE_FRAGMENTS = 0x2000
ICMP, TCP, UDP = 1, 6, 17


def ethernet(payload: bytes, ethertype: int = 0x0800) -> bytes:
    return bytes.fromhex("020000000001 020000000002") + struct.pack(">H", ethertype) + payload


def ipv4(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    fragment: int = 0,
    version_ihl: int = 0x45,
    total: int | None = None,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet; ``version_ihl`` and ``total`` may lie. The checksum is left 0."""
    length = 20 + len(options) + len(payload)
    header = struct.pack(
        ">BBHHHBBH4s4s",
        version_ihl + len(options) // 4,
        0,
        length if total is None else total,
        1,
        fragment,
        64,
        protocol,
        0,
        socket.inet_aton(source),
        socket.inet_aton(destination),
    )
    return header + options + payload


def tcp_header(sport: int, dport: int, flags: int, *, words: int = 5) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, 1, 1, words << 4, flags, 65535, 0, 0)


def tcp(source: Address, destination: Address, flags: int, payload: bytes = b"") -> bytes:
    segment = tcp_header(source[1], destination[1], flags) + payload
    return ethernet(ipv4(source[0], destination[0], TCP, segment))


def udp(source: Address, destination: Address, payload: bytes = b"") -> bytes:
    return ethernet(
        ipv4(source[0], destination[0], UDP, udp_datagram(source, destination, payload))
    )


def udp_datagram(source: Address, destination: Address, payload: bytes = b"") -> bytes:
    return struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0) + payload


def icmp(
    source: str, destination: str, kind: int, identifier: int = 0, payload: bytes = b""
) -> bytes:
    return ethernet(ipv4(source, destination, ICMP, icmp_message(kind, identifier, payload)))


def icmp_message(kind: int, identifier: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">BBHHH", kind, 0, 0, identifier, 1) + payload


def icmp_error(source: str, destination: str, about: bytes, kind: int = UNREACHABLE) -> bytes:
    """An error that quotes header and 8 bytes of ``about``, an Ethernet frame with IPv4."""
    quoted = about[14 : 14 + 28]
    return icmp(source, destination, kind, payload=quoted)
