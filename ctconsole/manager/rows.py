"""Bringing a pinned map to the rows it should have, with no write that changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.plane.encode import changes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.plane.encode import StoredRows


def read_rows(path: Path) -> StoredRows:
    """Every entry of a pinned map that is not per-CPU.

    Raises:
        GoneError: nothing is pinned there.
    """
    with BpfMap.open(path) as live:
        dump = live.read()
    return {
        key.tobytes(): value.tobytes() for key, value in zip(dump.keys, dump.values, strict=True)
    }


def store_rows(gate: Gate, path: Path, rows: StoredRows) -> None:
    """Store rows in a pinned map, in their order.

    Raises:
        BpfError: the map is full (E2BIG); the rows before are stored.
    """
    if not rows:
        return
    with BpfMap.open(path) as live:
        for key, value in rows.items():
            mapwrite.update(gate, live, key, value)


def delete_rows(gate: Gate, path: Path, keys: Iterable[bytes]) -> None:
    """Delete keys from a pinned map; those that are not there are passed over."""
    keys = tuple(keys)
    if not keys:
        return
    with BpfMap.open(path) as live:
        for key in keys:
            mapwrite.delete(gate, live, key)


def sync_rows(gate: Gate, path: Path, wish: StoredRows) -> None:
    """Make a pinned map hold exactly ``wish``: what is new is stored, then the rest deleted.

    Raises:
        GoneError: nothing is pinned there.
        BpfError: the map is full.
    """
    change = changes(read_rows(path), wish)
    store_rows(gate, path, change.stored)
    delete_rows(gate, path, change.deleted)
