"""Rows for Cilium's maps, encoded with the dtypes of `ctconsole.model.records.structs`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.model.records.data import RECORDS

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    import numpy.typing as npt

    from ctconsole.model.records.spec import RecordSpec

    Field: TypeAlias = int | bytes

StoredRows: TypeAlias = "dict[bytes, bytes]"
"""The entries a map is to have: value by key, both as the map stores them."""


@cache
def record_of(name: str) -> RecordSpec:
    """The 1.9 record of the map of this name.

    Raises:
        KeyError: there is none; the names are written in the program, not by a user.
    """
    for spec in RECORDS:
        if re.fullmatch(spec.names, name):
            return spec
    raise KeyError(name)


def key_of(name: str, **fields: Field) -> bytes:
    """A key of the map ``name``; fields not given are 0."""
    return _row(record_of(name).key, fields)


def value_of(name: str, **fields: Field) -> bytes:
    """A value of the map ``name``; fields not given are 0."""
    return _row(record_of(name).value, fields)


def _row(dtype: np.dtype[np.void], fields: dict[str, Field]) -> bytes:
    """One record; numbers in the order the dtype says, bytes (addresses) filled up with 0."""
    row = np.zeros((), dtype)
    for field, given in fields.items():
        if isinstance(given, bytes):
            padded = given.ljust(dtype[field].itemsize, b"\0")
            row[field] = np.frombuffer(padded, np.uint8)
        else:
            row[field] = given
    return row.tobytes()


@dataclass(frozen=True, slots=True)
class RowChanges:
    """What turns one set of rows into another.

    Attributes:
        stored: rows that are new or differ.
        deleted: keys that go.
    """

    stored: StoredRows
    deleted: tuple[bytes, ...]


def changes(now: StoredRows, wish: StoredRows) -> RowChanges:
    """The difference, in the order of ``wish``."""
    return RowChanges(
        {key: value for key, value in wish.items() if now.get(key) != value},
        tuple(key for key in now if key not in wish),
    )


def family_key(ip: IPv4Address | IPv6Address) -> int:
    """``ENDPOINT_KEY_IPV4`` or ``ENDPOINT_KEY_IPV6``."""
    return 1 if ip.version == 4 else 2  # noqa: PLR2004 - IP version


def values_in(name: str, raw: bytes) -> npt.NDArray[Any]:
    """The values in the bytes of a lookup in the map ``name``; per-CPU maps have several."""
    return np.frombuffer(raw, record_of(name).value)


def keys_in(name: str, raw: bytes) -> npt.NDArray[Any]:
    """The keys of the map ``name`` in the bytes of a bulk read."""
    return np.frombuffer(raw, record_of(name).key)
