"""Conntrack entries that were printed, made the bytes that their map held."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.keyhash import hash_rows
from ctconsole.model.ct.layout import TUPLE_F_IN, TUPLE_F_RELATED, TUPLE_F_SERVICE
from ctconsole.model.readers.ct_shapes import BARE, FIXED, protocol_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.readers.ct_shapes import Fields
    from ctconsole.model.whose import Whose

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]
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
    inverted = np.array([word == "SVC" for word in direction])
    flags = np.array([word == "IN" for word in direction]) * int(TUPLE_F_IN)
    flags |= np.array([bool(word) for word in related]) * int(TUPLE_F_RELATED)
    flags |= (inverted | np.array([bool(word) for word in service])) * int(TUPLE_F_SERVICE)
    near, far = (np.array([_address(text) for text in texts]) for texts in (first, second))
    near_port, far_port = _numbers(first_port), _numbers(second_port)
    swap = inverted[:, np.newaxis]
    keys["daddr"], keys["saddr"] = np.where(swap, far, near), np.where(swap, near, far)
    _put(keys, "sport", np.where(inverted, far_port, near_port))
    _put(keys, "dport", np.where(inverted, near_port, far_port))
    names = protocol_numbers()
    _put(keys, "nexthdr", np.array([names.get(text) or int(text) for text in protocol]))
    keys["flags"] = flags
    _put(values, "lifetime", _numbers(lifetime))
    for label, texts in zip(labels, columns[FIXED:], strict=True):
        if label in _FIELDS:
            _put(values, _FIELDS[label], _numbers(texts, 16 if label in BARE else 10))


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
