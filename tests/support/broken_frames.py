"""Frames that are random, or right ones with something broken, and what is to become of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.support.packets import (
    ACK,
    ECHO,
    ECHO_REPLY,
    FIN,
    MORE_FRAGMENTS,
    RST,
    SYN,
    ethernet,
    icmp,
    icmp_error,
    ipv4,
    tcp,
    tcp_header,
    udp,
)
from tests.support.packets6 import (
    AUTH,
    DESTINATION,
    ECHO6,
    HOP,
    ROUTING,
    extended,
    icmp6,
    icmp6_error,
    tcp6,
    udp6,
)

if TYPE_CHECKING:
    from random import Random

    from tests.support.packets import Address

POD, PEER, VIP = ("10.5.5.5", 4000), ("10.5.9.9", 80), ("10.96.0.10", 80)
POD6, PEER6, VIP6 = ("fd00::5:5", 4000), ("fd00::9", 80), ("fd00:96::10", 80)

_TELLING = bytes([0, 1, 4, 6, 17, 43, 44, 51, 58, 59, 60, 0x3F, 0x45, 0x4F, 0x60, 0x80, 0xFF])
"""Values that mean something in a header: protocols, versions, lengths."""


def seeds() -> list[bytes]:
    """Right frames of every kind the programs know, in both families and to a service."""
    frames = [
        *(tcp(POD, PEER, flags, b"x") for flags in (SYN, ACK, SYN | ACK, FIN | ACK, RST)),
        *(tcp6(POD6, PEER6, flags, b"x") for flags in (SYN, ACK, FIN | ACK, RST)),
        *_asked(POD, PEER, VIP),
        udp6(POD6, PEER6, b"x"),
        tcp6(POD6, VIP6, SYN),
        udp6(POD6, VIP6),
        icmp6(POD6[0], PEER6[0], ECHO6, 7),
        icmp6(POD6[0], PEER6[0], 135),
        icmp6_error(PEER6[0], POD6[0], tcp6(POD6, PEER6, SYN)),
        extended(POD6, PEER6, [HOP, ROUTING, DESTINATION, AUTH], SYN),
        extended(POD6, PEER6, [DESTINATION], ACK, payload=b"x" * 40),
    ]
    return [*frames, ethernet(bytes(28), 0x0806)]


def _asked(pod: Address, peer: Address, vip: Address) -> list[bytes]:
    options = ipv4(pod[0], peer[0], 6, tcp_header(1, 2, SYN), options=b"\x01" * 12)
    return [
        udp(pod, peer, b"x"),
        tcp(pod, vip, SYN),
        udp(pod, vip),
        icmp(pod[0], peer[0], ECHO, 7),
        icmp(pod[0], peer[0], ECHO_REPLY, 7),
        icmp_error(peer[0], pod[0], udp(pod, peer, b"x")),
        ethernet(options),
        ethernet(ipv4(pod[0], peer[0], 17, bytes(16), fragment=MORE_FRAGMENTS)),
    ]


def mutated(random: Random, frame: bytes) -> bytes:
    """The frame with up to four things wrong: bytes, its end, a part moved."""
    whole = bytearray(frame)
    for _ in range(random.randrange(5)):
        if len(whole) < 2:
            break
        # Headers are at the front, and what they say is what matters.
        at = min(random.randrange(len(whole)), random.randrange(len(whole)))
        match random.randrange(6):
            case 0:
                whole[at] = random.randrange(256)
            case 1:
                whole[at] ^= 1 << random.randrange(8)
            case 2:
                whole[at] = random.choice(_TELLING)
            case 3:
                del whole[max(14, at) :]
            case 4:
                whole += random.randbytes(random.randrange(1, 60))
            case _:
                whole[at:at] = random.randbytes(random.randrange(1, 9))
    return bytes(whole[:1500])


def noise(random: Random) -> bytes:
    """A frame of random bytes that says to be IP."""
    kind, version = random.choice([(0x0800, 0x45), (0x86DD, 0x60)])
    body = bytearray(random.randbytes(random.randrange(100)))
    if body:
        body[0] = random.choice([version, body[0]])
    return ethernet(bytes(body), kind)


def passes(frame: bytes) -> bool:
    """Whether a frame is to be let through where no policy is: read apart from the programs."""
    (ethertype,) = struct.unpack_from(">H", frame, 12)
    body = frame[14:]
    match ethertype:
        case 0x0806:
            return True
        case 0x0800:
            return _passes4(body)
        case 0x86DD:
            return _passes6(body)
        case _:
            return False


def _passes4(body: bytes) -> bool:
    if len(body) < 20:
        return False
    header, total = (body[0] & 15) * 4, int.from_bytes(body[2:4], "big")
    fragment = int.from_bytes(body[6:8], "big") & 0x3FFF
    if body[0] >> 4 != 4 or header < 20 or not header <= total <= len(body) or fragment:
        return False
    return _passes_l4(body[9], body[header:total], 1)


def _passes6(body: bytes) -> bool:
    if len(body) < 40 or body[0] >> 4 != 6:
        return False
    length = int.from_bytes(body[4:6], "big")
    if not length or 40 + length > len(body):
        return False
    number, rest = body[6], body[40 : 40 + length]
    # Four headers are looked at, the last of which must be that of layer 4.
    for _ in range(4):
        if number not in {0, 43, 51, 60}:
            return number not in {44, 59} and _passes_l4(number, rest, 58)
        if len(rest) < 2:
            return False
        size = (rest[1] + 2) * 4 if number == 51 else (rest[1] + 1) * 8
        if size > len(rest):
            return False
        number, rest = rest[0], rest[size:]
    return False


def _passes_l4(protocol: int, rest: bytes, icmp_number: int) -> bool:
    if protocol == 6:
        return len(rest) >= 20 and 20 <= (rest[12] >> 4) * 4 <= len(rest)
    return protocol in {17, icmp_number} and len(rest) >= 8
