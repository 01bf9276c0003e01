"""IP addresses as text, whole columns at once, as Go's ``net.IP.String`` writes them.

That is RFC 5952 (the longest run of two or more zero groups becomes ``::``, the leftmost of
equals), but an IPv4-mapped IPv6 address is written as the dotted IPv4 address, or with ``::ffff:``
in front of it as Go's ``net/netip`` writes it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.text.columns import TextColumn, TokenTable, literal

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Tokens: TypeAlias = npt.NDArray[Any]

_GROUPS: Final = 8
_SKIP, _FIRST, _NEXT, _GAP = range(4)
_GAP_TOKEN: Final = int.from_bytes(b"::", "little")


def address(raw: Bytes, *, mapped: bool = False) -> list[TextColumn]:
    """Columns for addresses.

    Args:
        raw: u1 of shape (n, 4) or (n, 16) in network order.
        mapped: write an IPv4-mapped address with ``::ffff:``.
    """
    if raw.shape[1] == 4:  # noqa: PLR2004 - bytes of an IPv4 address
        return _dotted(raw)
    return [*mapped_prefix(raw), *_grouped(raw)] if mapped else _grouped(raw)


def mapped_prefix(raw: Bytes, among: npt.NDArray[np.bool_] | None = None) -> list[TextColumn]:
    """``::ffff:`` where an IPv6 address holds an IPv4 one; no column where none does.

    Args:
        raw: u1 of shape (n, 16).
        among: the rows that are looked at; None for all.
    """
    shown = (raw[:, :10] == 0).all(axis=1) & (raw[:, 10:12] == 0xFF).all(axis=1)  # noqa: PLR2004 - of the address
    if among is not None:
        shown &= among
    if not shown.any():
        return []
    part = literal(b"::ffff:")
    return [TextColumn(part.tokens, part.lengths * shown)]


def _dotted(raw: Bytes) -> list[TextColumn]:
    pairs = np.ascontiguousarray(raw).view("<u2").reshape(-1, 2)
    return [_pairs(dot=True).column(pairs[:, 0]), _pairs(dot=False).column(pairs[:, 1])]


@cache
def _pairs(*, dot: bool) -> TokenTable:
    """``a.b`` or ``a.b.`` for every two octets, numbered as a little-endian u2."""
    octets = [b"%d" % value for value in range(256)]
    sizes = np.array([len(text) for text in octets])
    digits = np.array([tuple(text.ljust(3, b"\0")) for text in octets], np.uint8)
    slots = np.zeros((256, 256, 8), np.uint8)
    first = np.arange(256)
    for size in (1, 2, 3):
        # The first octet varies fastest: it is the low byte of the little-endian number.
        chosen = first[sizes == size]
        slots[:, chosen, :size] = digits[np.newaxis, chosen, :size]
        slots[:, chosen, size] = ord(".")
        slots[:, chosen, size + 1 : size + 4] = digits[:, np.newaxis]
    lengths = (sizes[np.newaxis, :] + 1 + sizes[:, np.newaxis]).astype(np.uint8)
    if dot:
        rows, columns = np.indices((256, 256))
        slots[rows, columns, lengths] = ord(".")
        lengths = lengths + np.uint8(1)
    return TokenTable(slots.view("V8").reshape(-1), lengths.reshape(-1))


@cache
def _hex_groups() -> TokenTable:
    """``:`` and a group without leading zeros, for every big-endian u2 read as little-endian."""
    values = np.arange(0x10000, dtype=np.uint32)
    group = (values >> 8) | ((values & 0xFF) << 8)
    nibbles = (group[:, np.newaxis] >> np.array([12, 8, 4, 0], np.uint32)) & 0xF
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles]
    sizes = np.ones(len(group), np.uint8)
    for bits in (4, 8, 12):
        sizes += group >> bits > 0
    slots = np.zeros((0x10000, 8), np.uint8)
    slots[:, 0] = ord(":")
    for size in (1, 2, 3, 4):
        slots[sizes == size, 1 : size + 1] = digits[sizes == size, 4 - size :]
    return TokenTable(slots.view("V8").reshape(-1), sizes + np.uint8(1))


@cache
def _roles() -> Bytes:
    """What each group prints for every pattern of zero groups (bit 0 the first): u1 (256, 8)."""
    table = np.full((256, _GROUPS), _NEXT, np.uint8)
    for pattern in range(256):
        start, length = _longest_run(pattern)
        table[pattern, 0] = _FIRST
        if length > 1:
            table[pattern, start : start + length] = _SKIP
            table[pattern, start] = _GAP
            if start + length < _GROUPS:
                table[pattern, start + length] = _FIRST
    return table


def _longest_run(pattern: int) -> tuple[int, int]:
    """Start and length of the longest run of set bits among eight, the leftmost of equals."""
    best, length = 0, 0
    for position in range(_GROUPS):
        run = 0
        while position + run < _GROUPS and pattern >> (position + run) & 1:
            run += 1
        if run > length:
            best, length = position, run
    return best, length


def _grouped(raw: Bytes) -> list[TextColumn]:
    groups = np.ascontiguousarray(raw).view("<u2").reshape(-1, _GROUPS)
    patterns = np.packbits(groups == 0, axis=1, bitorder="little")[:, 0]
    roles = _roles()[patterns]
    table = _hex_groups()
    words = table.tokens.view("<u8")
    mapped = np.all(groups[:, :5] == 0, axis=1) & (groups[:, 5] == 0xFFFF)  # noqa: PLR2004 - ::ffff:
    columns = []
    for index in range(_GROUPS):
        role, group = roles[:, index], groups[:, index]
        word, length = words.take(group), table.lengths.take(group)
        bare = role == _FIRST
        word = np.where(bare, word >> np.uint64(8), word)
        word = np.where(role == _GAP, np.uint64(_GAP_TOKEN), word)
        length = length - bare
        length[role == _GAP] = 2
        length[role == _SKIP] = 0
        columns.append(_with_mapped(word, length, group, mapped, index))
    return columns


def _with_mapped(
    word: Tokens, length: Tokens, group: Tokens, mapped: npt.NDArray[np.bool_], index: int
) -> TextColumn:
    """One group's column, where ``mapped`` rows print dotted octets in the last two groups."""
    if mapped.any():
        length[mapped] = 0
        if index >= _GROUPS - 2:
            pairs = _pairs(dot=index == _GROUPS - 2)
            word[mapped] = pairs.tokens.view("<u8")[group[mapped]]
            length[mapped] = pairs.lengths[group[mapped]]
    return TextColumn(np.ascontiguousarray(word).view("V8"), length)


def address_text(raw: bytes, *, mapped: bool = False) -> str:
    """One address of 4 or 16 bytes as text; ``mapped`` as in `address`."""
    import ipaddress

    if len(raw) == 4:  # noqa: PLR2004 - bytes of an IPv4 address
        return str(ipaddress.IPv4Address(raw))
    found = ipaddress.IPv6Address(raw)
    if found.ipv4_mapped is None:
        return str(found)
    return f"::ffff:{found.ipv4_mapped}" if mapped else str(found.ipv4_mapped)


def end_text(raw: bytes, port: int) -> str:
    """``10.0.0.1:80`` or ``[fd00::1]:80``."""
    text = address_text(raw)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
