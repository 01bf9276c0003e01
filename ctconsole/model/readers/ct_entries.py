"""Conntrack entries that were printed, made the bytes that their map held."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.ct.keyhash import hash_rows
from ctconsole.model.ct.layout import TUPLE_F_IN, TUPLE_F_RELATED, TUPLE_F_SERVICE
from ctconsole.model.readers.ct_shapes import BARE, FIXED, protocol_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.readers.ct_shapes import Fields
    from ctconsole.model.whose import Whose

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]
    Numbers: TypeAlias = npt.NDArray[np.integer[Any]]
    Maps: TypeAlias = dict[str, tuple[Bytes, Bytes]]

_IPV4_BYTES: Final = 4
_OCTET: Final = 0xFF

_FIELDS: Final = {
    "rxpackets": "rx_packets",
    "rxbytes": "rx_bytes",
    "rxflagsseen": "rx_flags_seen",
    "lastrxreport": "last_rx_report",
    "txpackets": "tx_packets",
    "txbytes": "tx_bytes",
    "txflagsseen": "tx_flags_seen",
    "lasttxreport": "last_tx_report",
    "packets": "packets",
    "bytes": "bytes",
    "flags": "flags",
    "revnat": "rev_nat_index",
    "sourcesecurityid": "src_sec_id",
    "srcsecid": "src_sec_id",
    "ifindex": "ifindex",
    "backendid": "backend_id",
    "natport": "nat_port",
}
"""Fields by their labels; ``Slave`` and ``ProxyPort`` have no place in any layout known."""


@dataclass(frozen=True)
class CtListing:
    """The entries of one node in one layout.

    Attributes:
        whose: the node, as far as the text tells.
        layout: the version that printed them.
        maps: keys and values, u1 of shape (n, 14 or 38) and (n, 56), by the name of the map that
            holds such entries.
    """

    whose: Whose
    layout: Layout
    maps: Maps


class Columns(NamedTuple):
    """The fields of many lines, by what they are.

    Attributes:
        protocol: numbers.
        direction: ``IN``, ``OUT`` or ``SVC``, as bytes.
        near: bytes of the first address, of shape (n, 4 or 16).
        far: of the second.
        near_port: of the first address.
        far_port: of the second.
        related: whether that stands there.
        service: whether that stands there.
        lifetime: ``expires``.
        values: by the labels of the shape.
        remaining: seconds, None where that was not looked for or not told.
    """

    protocol: Numbers
    direction: npt.NDArray[np.bytes_]
    near: Numbers
    far: Numbers
    near_port: Numbers
    far_port: Numbers
    related: npt.NDArray[np.bool_]
    service: npt.NDArray[np.bool_]
    lifetime: Numbers
    values: Mapping[str, Numbers]
    remaining: npt.NDArray[np.int64] | None = None


def fill_records(
    keys: Records, values: Records, rows: list[Fields], labels: tuple[str, ...]
) -> None:
    """Write the fields of some lines into as many records.

    Args:
        keys: zeroed records of `KEY4` or `KEY6`.
        values: as many zeroed records of the lines' layout.
        rows: what `pattern` found in each line.
        labels: of the lines' `Shape`.

    Raises:
        ValueError: an address is none, or a number does not fit.
        OverflowError: a number does not fit in 64 bits.
    """
    columns = list(zip(*rows, strict=True))
    protocol, direction, first, first_port, second, second_port, related, service, lifetime, _ = (
        columns[:FIXED]
    )
    names = protocol_numbers()
    found = Columns(
        np.array([names.get(text) or int(text) for text in protocol]),
        np.array(direction, np.bytes_),
        np.array([_address(text) for text in first]),
        np.array([_address(text) for text in second]),
        _numbers(first_port),
        _numbers(second_port),
        np.array([bool(word) for word in related]),
        np.array([bool(word) for word in service]),
        _numbers(lifetime),
        {
            label: _numbers(texts, 16 if label in BARE else 10)
            for label, texts in zip(labels, columns[FIXED:], strict=True)
            if label in _FIELDS
        },
    )
    store(keys, values, found)


def store(keys: Records, values: Records, columns: Columns) -> None:
    """Write the fields of lines into as many zeroed records.

    Raises:
        ValueError: a number does not fit.
    """
    inverted = columns.direction == b"SVC"
    flags = (columns.direction == b"IN") * int(TUPLE_F_IN)
    flags |= columns.related * int(TUPLE_F_RELATED)
    flags |= (inverted | columns.service) * int(TUPLE_F_SERVICE)
    swap = inverted[:, np.newaxis]
    keys["daddr"] = np.where(swap, columns.far, columns.near)
    keys["saddr"] = np.where(swap, columns.near, columns.far)
    _put(keys, "sport", np.where(inverted, columns.far_port, columns.near_port))
    _put(keys, "dport", np.where(inverted, columns.near_port, columns.far_port))
    _put(keys, "nexthdr", columns.protocol)
    keys["flags"] = flags
    _put(values, "lifetime", columns.lifetime)
    for label, numbers in columns.values.items():
        if label in _FIELDS:
            _put(values, _FIELDS[label], numbers)


def _numbers(texts: Iterable[str], base: int = 10) -> npt.NDArray[np.uint64]:
    return np.array([int(text, base) for text in texts], np.uint64)


def _put(records: Records, name: str, numbers: npt.NDArray[Any]) -> None:
    if len(numbers) and int(numbers.max()) > np.iinfo(records.dtype[name]).max:
        raise ValueError(name)
    records[name] = numbers


def _address(text: str) -> list[int]:
    if ":" in text:
        return list(IPv6Address(text).packed)
    octets = [int(part) for part in text.split(".")]
    if len(octets) != _IPV4_BYTES or max(octets) > _OCTET:
        raise ValueError(text)
    return octets


def last_of_each(keys: Bytes, values: Bytes) -> tuple[tuple[Bytes, Bytes], int]:
    """The rows whose key does not come again below, in their order, and how many others there are.

    Args:
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, value size).
    """
    hashes = hash_rows(keys)
    order = np.argsort(hashes, kind="stable")
    alike = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    if not len(alike):
        return (keys, values), 0
    earlier, later = order[alike], order[alike + 1]
    again = earlier[(keys[earlier] == keys[later]).all(axis=1)]
    kept = np.ones(len(keys), np.bool_)
    kept[again] = False
    return (keys[kept], values[kept]), len(again)
