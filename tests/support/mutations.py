"""Damaged inputs for readers: cheap, seeded, the same in every run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOKENS = (b"0x", b'"', b"[", b"]", b"{", b"}", b"\n", b"key", b"value:", b"\x00", b"\xff", b"-1")


def mutations(seeds: Sequence[bytes], count: int, seed: int = 1) -> Iterator[bytes]:
    """So many damaged copies: bytes changed, cut, doubled, moved, or tokens put in."""
    chance = random.Random(seed)  # noqa: S311 - reproducible damage, no secret
    for _ in range(count):
        text = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            _damage(text, chance, seeds)
        yield bytes(text)


def _damage(text: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    at = chance.randrange(len(text) + 1)
    length = chance.choice((1, 2, 8, 64, 512))
    match chance.randrange(7):
        case 0 if at < len(text):
            text[at] ^= 1 << chance.randrange(8)
        case 1:
            del text[at : at + length]
        case 2:
            text[at:at] = text[at : at + length]
        case 3:
            text[at:at] = chance.choice(TOKENS)
        case 4:
            del text[at:]
        case 5:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            text[at:at] = other[start : start + length]
        case _:
            text[at : at + length] = chance.randbytes(length)
