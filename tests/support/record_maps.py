"""Samples of Cilium's maps for tests, filled field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ctconsole.model.records.data import RECORDS
from ctconsole.model.records.table import RecordTable, candidates
from ctconsole.model.spec import MapInfo, MapType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.records.spec import RecordSpec


def record(name: str, since: Layout | None = None) -> RecordSpec:
    """The record of a map's name: the oldest generation, or the one of a layout."""
    sizes = {(spec.key.itemsize, spec.value.itemsize) for spec in RECORDS}
    found = [spec for key, value in sizes for spec in candidates(name, key, value)]
    return next(
        spec for spec in sorted(found, key=RECORDS.index) if since is None or spec.since is since
    )


def raw(
    name: str, *entries: Mapping[str, Any], since: Layout | None = None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Keys and values as bytes, u1 of shape (n, size); fields not given are zero."""
    spec = record(name, since)
    keys, values = np.zeros(len(entries), spec.key), np.zeros(len(entries), spec.value)
    for row, entry in enumerate(entries):
        for field, value in entry.items():
            target = keys if field in (spec.key.names or ()) else values
            target[field][row] = padded(value, np.size(target[field][row]))
    return (
        keys.view("u1").reshape(len(entries), spec.key.itemsize),
        values.view("u1").reshape(len(entries), spec.value.itemsize),
    )


def padded(value: object, width: int) -> object:
    """Addresses may be given as text; IPv4 in a field of 16 bytes fills the first four."""
    if isinstance(value, str):
        import ipaddress

        packed = ipaddress.ip_address(value).packed
        return list(packed.ljust(width, b"\0"))
    return value


def info(name: str, key: int = 0, value: int = 0) -> MapInfo:
    from pathlib import PurePath

    return MapInfo(0, name[:15], MapType.HASH, key, value, 0, pin=PurePath(name))


def table(
    name: str,
    *entries: Mapping[str, Any],
    since: Layout | None = None,
    layout: Layout | None = None,
    now: int = 0,
) -> RecordTable:
    """A sample with these entries."""
    keys, values = raw(name, *entries, since=since)
    if record(name, since).per_cpu:
        values = values[:, np.newaxis]
    return RecordTable.from_raw(
        info(name, keys.shape[1], values.shape[-1]), keys, values, layout=layout or since, now=now
    )
