"""IPv6 frames built by hand, and checksums of either family."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from tests.support.packets import ethernet, icmp_message, tcp_header, udp_datagram

if TYPE_CHECKING:
    from tests.support.packets import Address

HOP, TCP, UDP, ROUTING, FRAGMENT, AUTH, ICMP6, NONE, DESTINATION = 0, 6, 17, 43, 44, 51, 58, 59, 60
UNREACHABLE6, TOO_BIG, TIME_EXCEEDED6, ECHO6, ECHO_REPLY6 = 1, 2, 3, 128, 129
IPV6 = 0x86DD
_CHECKSUM_AT = {1: 2, 6: 16, 17: 6, 58: 2}


def ipv6(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    version: int = 6,
    length: int | None = None,
) -> bytes:
    """An IPv6 packet; ``version`` and ``length`` may lie."""
    head = struct.pack(
        ">IHBB", version << 28, len(payload) if length is None else length, protocol, 64
    )
    addresses = (socket.inet_pton(socket.AF_INET6, each) for each in (source, destination))
    return head + b"".join(addresses) + payload


def frame6(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    return ethernet(ipv6(source, destination, protocol, payload), IPV6)


def tcp6(source: Address, destination: Address, flags: int, payload: bytes = b"") -> bytes:
    segment = tcp_header(source[1], destination[1], flags) + payload
    return frame6(source[0], destination[0], TCP, segment)


def udp6(source: Address, destination: Address, payload: bytes = b"") -> bytes:
    return frame6(source[0], destination[0], UDP, udp_datagram(source, destination, payload))


def icmp6(
    source: str, destination: str, kind: int, identifier: int = 0, payload: bytes = b""
) -> bytes:
    return frame6(source, destination, ICMP6, icmp_message(kind, identifier, payload))


def icmp6_error(source: str, destination: str, about: bytes, kind: int = UNREACHABLE6) -> bytes:
    """An error that quotes header and 8 bytes of ``about``, an Ethernet frame with IPv6."""
    return icmp6(source, destination, kind, payload=about[14 : 14 + 48])


def extension(following: int, *, words: int = 0) -> bytes:
    """A hop-by-hop, routing or destination header of 8 * (words + 1) bytes."""
    return bytes([following, words]) + bytes(6 + 8 * words)


def authentication(following: int, *, words: int = 1) -> bytes:
    """An authentication header of 4 * (words + 2) bytes."""
    return bytes([following, words]) + bytes(4 * (words + 2) - 2)


def extended(
    source: Address, destination: Address, chain: list[int], flags: int, *, payload: bytes = b""
) -> bytes:
    """A TCP packet behind extension headers of these numbers."""
    numbers = [*chain, TCP]
    body = b"".join(
        (authentication if number == AUTH else extension)(following)
        for number, following in zip(chain, numbers[1:], strict=True)
    )
    segment = tcp_header(source[1], destination[1], flags) + payload
    return frame6(source[0], destination[0], numbers[0], body + segment)


def _sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _layers(frame: bytes) -> tuple[bool, int, int, bytes]:
    """Whether it is IPv6, its layer 4's protocol and offset, and the pseudo header."""
    if frame[12:14] == b"\x86\xdd":
        size = len(frame) - 14 - 40
        return True, frame[20], 54, frame[22:54] + struct.pack(">IHBB", size, 0, 0, frame[20])
    start = 14 + (frame[14] & 15) * 4
    size = len(frame) - start
    return False, frame[23], start, frame[26:34] + struct.pack(">BBH", 0, frame[23], size)


def checked(frame: bytes) -> bytes:
    """The frame with every checksum right; without options or extension headers in IPv6."""
    six, protocol, start, pseudo = _layers(frame)
    whole = bytearray(frame)
    if not six:
        whole[24:26] = bytes(2)
        whole[24:26] = struct.pack(">H", ~_sum(bytes(whole[14:start])) & 0xFFFF)
    at = start + _CHECKSUM_AT[protocol]
    whole[at : at + 2] = bytes(2)
    covered = bytes(whole[start:]) if protocol == 1 else pseudo + bytes(whole[start:])
    total = ~_sum(covered) & 0xFFFF
    if protocol == UDP and not total:
        total = 0xFFFF
    whole[at : at + 2] = struct.pack(">H", total)
    return bytes(whole)


def is_checked(frame: bytes) -> bool:
    """Whether every checksum is right."""
    six, protocol, start, pseudo = _layers(frame)
    covered = frame[start:] if protocol == 1 else pseudo + frame[start:]
    return (six or _sum(frame[14:start]) == 0xFFFF) and _sum(covered) == 0xFFFF


def ends(frame: bytes) -> tuple[str, int, str, int]:
    """Source address and port, destination address and port of a TCP or UDP frame."""
    six, _, start, _ = _layers(frame)
    where, size = (22, 16) if six else (26, 4)
    family = socket.AF_INET6 if six else socket.AF_INET
    source, destination = (
        socket.inet_ntop(family, frame[at : at + size]) for at in (where, where + size)
    )
    sport, dport = struct.unpack_from(">HH", frame, start)
    return source, sport, destination, dport
