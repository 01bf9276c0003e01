"""Entries of maps whose layout is not known: their bytes, nothing guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from ctconsole.model.text.columns import TextColumn, hex_bytes, join, literal
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]

_CHUNK_BYTES: Final = 1 << 19


def render_hex(label: str, keys: Bytes, values: Bytes) -> Iterator[memoryview]:
    """One map: a heading, a line for each entry, a blank line.

    Args:
        label: the map's name.
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, value size).
    """
    yield memoryview(f"{label}: {count(len(keys))} entries, layout unknown\n".encode())
    rows = max(1, _CHUNK_BYTES // max(1, keys.shape[1] + values.shape[1]))
    for start in range(0, len(keys), rows):
        part = slice(start, start + rows)
        columns = [literal(b"key"), *_hex(keys[part]), literal(b"  value"), *_hex(values[part])]
        yield join([*columns, literal(b"\n")], len(keys[part])).data
    yield memoryview(b"\n")


def _hex(raw: Bytes) -> list[TextColumn]:
    return [hex_bytes(b" ").column(raw[:, index]) for index in range(raw.shape[1])]
