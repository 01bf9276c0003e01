"""Translations out of the JSON of ``cilium bpf nat list``: the bytes of the maps they stand in.

Addresses are lists of bytes, and what lies in network order is the number that a little-endian
host reads, so that nothing of an entry is lost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import KEY6
from ctconsole.model.readers.ct_entries import last_of_each
from ctconsole.model.readers.lines import Told, ToldLines
from ctconsole.model.records.structs import nat_entry
from ctconsole.model.whose import Named, Whose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Item: TypeAlias = Mapping[str, Any]

_FAMILIES: Final = (4, 16)
_ITEM: Final = re.compile(
    r'"Key"\s*:\s*\{\s*"DestAddr"[^}]{1,600}\}\s*,\s*"Value"\s*:\s*\{\s*"Created"'
)


class NatItems(NamedTuple):
    """What was read.

    Attributes:
        maps: keys and values by node and name.
        found: objects that are translations.
        repeated: of these, how many came again; the last one of each counts.
        bad: objects that are none.
        first_bad: the number of the first of them, from 1.
        told: lines that are no objects.
        untold: how many more there were.
    """

    maps: dict[tuple[Whose, str], tuple[Bytes, Bytes]]
    found: int
    repeated: int
    bad: int
    first_bad: int
    told: tuple[Told, ...]
    untold: int


def is_nat(head: str) -> bool:
    """Whether a text has translations in JSON."""
    return _ITEM.search(head) is not None


def read_nat_items(items: Iterable[Item | Told]) -> NatItems:
    """Read translations, one by one; what is none is counted."""
    groups: dict[tuple[Whose, int], tuple[bytearray, bytearray]] = {}
    told, named = ToldLines(), Named()
    number = bad = first_bad = 0
    for item in items:
        if isinstance(item, Told):
            told.take(item)
            continue
        number += 1
        try:
            key, value = _key(item["Key"]), _value(item["Value"])
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError):
            bad += 1
            first_bad = first_bad or number
            continue
        keys, values = groups.setdefault(
            (named.one(told.whose), len(key)), (bytearray(), bytearray())
        )
        keys += key
        values += value
    maps: dict[tuple[Whose, str], tuple[Bytes, Bytes]] = {}
    repeated = 0
    for (owner, size), (key_bytes, value_bytes) in groups.items():
        all_keys = np.frombuffer(key_bytes, np.uint8).reshape(-1, size)
        all_values = np.frombuffer(value_bytes, np.uint8).reshape(len(all_keys), -1)
        kept, dropped = last_of_each(all_keys, all_values)
        repeated += dropped
        maps[owner, f"cilium_snat_v{6 if size == KEY6.itemsize else 4}_external"] = kept
    return NatItems(maps, number - bad, repeated, bad, first_bad, tuple(told.first), told.more)


def _key(key: Mapping[str, Any]) -> bytes:
    target, source = _address(key["DestAddr"]), _address(key["SourceAddr"])
    if len(target) != len(source):
        raise ValueError("addresses of two families")
    ports = b"".join(int(key[name]).to_bytes(2, "little") for name in ("DestPort", "SourcePort"))
    return target + source + ports + bytes([key["NextHeader"], key["Flags"]])


def _value(value: Mapping[str, Any]) -> bytes:
    address = _address(value["Addr"])
    record = np.zeros(1, nat_entry(len(address)))
    record["created"] = int(value["Created"])
    # Up to 1.12 it had another name, and meant as much.
    record["needs_ct"] = int(value["NeedsCT"] if "NeedsCT" in value else value["HostLocal"])
    record["pad1"], record["pad2"] = int(value.get("Pad1", 0)), int(value.get("Pad2", 0))
    record["to_addr"] = np.frombuffer(address, np.uint8)
    record["to_port"] = int.from_bytes(int(value["Port"]).to_bytes(2, "little"), "big")
    return record.tobytes()


def _address(address: object) -> bytes:
    if not isinstance(address, list) or len(address) not in _FAMILIES:
        raise ValueError("no address")
    return bytes(address)
