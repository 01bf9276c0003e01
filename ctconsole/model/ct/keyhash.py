"""Hashes of keys and addresses, so that millions can be compared as plain 64-bit numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(29)
_PART: Final = 1 << 16
"""Rows at a time, for which the processor's cache has room."""


def hash_rows(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """One 64-bit hash per row of bytes, u1 of shape (n, width)."""
    hashes = np.full(len(rows), rows.shape[1], np.uint64)
    for first in range(0, len(rows), _PART):
        _hash_part(rows[first : first + _PART], hashes[first : first + _PART])
    return hashes


def _hash_part(rows: npt.NDArray[np.uint8], hashes: npt.NDArray[np.uint64]) -> None:
    count, width = rows.shape
    for start in range(0, width, 8):
        step = min(8, width - start)
        word = np.zeros((count, 8), np.uint8)
        word[:, :step] = rows[:, start : start + step]
        _mix(hashes, word.view("<u8").reshape(-1))


def hash_columns(
    addresses: npt.NDArray[np.uint8], *columns: npt.NDArray[Any]
) -> npt.NDArray[np.uint64]:
    """One 64-bit hash per row of addresses (u1 of shape (n, 4) or (n, 16)) and other columns."""
    hashes = hash_rows(addresses)
    for column in columns:
        _mix(hashes, column.astype(np.uint64))
    return hashes


def _mix(hashes: npt.NDArray[np.uint64], word: npt.NDArray[np.uint64]) -> None:
    """Stir another word in, in place; products wrap around, as is meant."""
    hashes ^= word
    hashes *= _ODD
    hashes ^= hashes >> _SHIFT
