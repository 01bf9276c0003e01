"""The test agent's datapath: two tc programs written out as instructions.

`tracking` does to a conntrack table what matters to whoever watches one: every IPv4 packet that
comes in makes or refreshes the entry of its flow and is counted there. It needs no compiler, so
that a test agent starts as fast as its pace asks for. Opcodes are those of
``include/uapi/linux/bpf_common.h`` and ``bpf.h``.
"""

from __future__ import annotations

import struct

# Registers: r6 keeps the packet, r8 its protocol, r9 the table, r10 is the frame pointer.
_KEY, _VALUE = -16, -72
_LIFETIME, _FLAGS, _TX_FLAGS, _TX_REPORT = _VALUE + 32, _VALUE + 36, _VALUE + 42, _VALUE + 48

_ETH_TYPE, _PROTOCOL, _SOURCE, _DESTINATION, _SPORT, _DPORT = 12, 23, 26, 30, 34, 36
_TCP, _UDP = 6, 17
_IPV4 = 0x0800
_SEEN_NON_SYN, _SYN = 0x10, 0x02
_LIFETIME_SECONDS = 8000
_LOOKUP, _UPDATE, _KTIME = 1, 2, 5

_PSEUDO_MAP_FD = 1


def _op(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", code, src << 4 | dst, off, imm)


def _map(register: int, fd: int) -> bytes:
    """``r = map`` (BPF_LD_IMM64 with BPF_PSEUDO_MAP_FD): two instructions long."""
    return _op(0x18, register, _PSEUDO_MAP_FD, imm=fd) + _op(0)


def _load(code: int, offset: int, bits: int, to: int, store: int) -> bytes:
    """Copy a field of the packet to the stack, in network order again after BPF_LD_ABS."""
    return _op(code, imm=offset) + _op(0xDC, 0, imm=bits) + _op(store, 10, 0, off=to)


_PASS = _op(0xB7) + _op(0x95)


def holding(*maps: int) -> bytes:
    """A program that uses maps and lets every packet pass.

    Args:
        maps: their file descriptors.
    """
    return b"".join(_map(1, fd) for fd in maps) + _PASS


def _add(value: int, offset: int) -> bytes:
    """Add a register to a 64-bit word of the entry at r0, atomically."""
    return _op(0xDB, 0, value, off=offset)


def _refreshing(packets_at: int) -> bytes:
    """Count the packet in the entry at r0, and let it live on as the one on the stack would."""
    return (
        _op(0xB7, 1, imm=1)
        + _add(1, packets_at)
        + _op(0x61, 1, 6)
        + _add(1, packets_at + 8)
        + b"".join(
            _op(0x61, 1, 10, off=at) + _op(0x63, 0, 1, off=at - _VALUE)
            for at in (_LIFETIME, _TX_REPORT)
        )
    )


def _storing(packets_at: int) -> bytes:
    """Store the entry on the stack, in which this packet is the first."""
    return (
        _op(0x7A, 10, off=_VALUE + packets_at, imm=1)
        + _op(0x61, 1, 6)
        + _op(0x7B, 10, 1, off=_VALUE + packets_at + 8)
        + _op(0xBF, 1, 9)
        + _op(0xBF, 2, 10)
        + _op(0x07, 2, imm=_KEY)
        + _op(0xBF, 3, 10)
        + _op(0x07, 3, imm=_VALUE)
        + _op(0xB7, 4)
        + _op(0x85, imm=_UPDATE)
    )


def tracking(tcp: int, other: int, *held: int, packets_at: int = 16) -> bytes:
    """A program that keeps the entry of every IPv4 packet's flow, and lets it pass.

    Args:
        tcp: file descriptor of ``cilium_ct4_global``.
        other: file descriptor of ``cilium_ct_any4_global``.
        held: further maps to use, without touching their entries.
        packets_at: where an entry counts packets, and behind them bytes: where 1.18 does, or
            received ones where 1.9 does (0).
    """
    ports = _load(0x28, _DPORT, 16, _KEY + 8, 0x6B) + _load(0x28, _SPORT, 16, _KEY + 10, 0x6B)
    choose = _op(0x15, 8, off=3, imm=_TCP) + _map(1, other) + _op(0x05, off=2) + _map(1, tcp)
    value = b"".join(_op(0x7A, 10, off=_VALUE + 8 * word) for word in range(7))
    refreshing, storing = _refreshing(packets_at), _storing(packets_at)
    body = (
        _op(0x30, imm=_PROTOCOL)
        + _op(0xBF, 8, 0)
        + _load(0x20, _SOURCE, 32, _KEY, 0x63)
        + _load(0x20, _DESTINATION, 32, _KEY + 4, 0x63)
        + _op(0x62, 10, off=_KEY + 8)
        + _op(0x6A, 10, off=_KEY + 12)
        + _op(0x73, 10, 8, off=_KEY + 12)
        + _op(0x15, 8, off=1, imm=_TCP)
        + _op(0x55, 8, off=len(ports) // 8, imm=_UDP)
        + ports
        + value
        + _op(0x6A, 10, off=_FLAGS, imm=_SEEN_NON_SYN)
        + _op(0x72, 10, off=_TX_FLAGS, imm=_SYN)
        + _op(0x85, imm=_KTIME)
        + _op(0x37, 0, imm=10**9)
        + _op(0x63, 10, 0, off=_TX_REPORT)
        + _op(0x07, 0, imm=_LIFETIME_SECONDS)
        + _op(0x63, 10, 0, off=_LIFETIME)
        + choose
        + _op(0xBF, 9, 1)
        + _op(0xBF, 2, 10)
        + _op(0x07, 2, imm=_KEY)
        + _op(0x85, imm=_LOOKUP)
        + _op(0x15, 0, off=len(refreshing) // 8 + 1)
        + refreshing
        + _op(0x05, off=len(storing) // 8)
        + storing
    )
    head = _op(0xBF, 6, 1) + b"".join(_map(1, fd) for fd in held) + _op(0x28, imm=_ETH_TYPE)
    return head + _op(0x55, 0, off=len(body) // 8, imm=_IPV4) + body + _PASS
