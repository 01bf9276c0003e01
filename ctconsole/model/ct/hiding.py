"""Addresses that are hidden so that their networks stay what they are to one another.

Two addresses that share their first n bits share exactly the first n bits of what stands for them,
for each n, and who has not the key cannot say more of them. That is the construction of Crypto-PAn
(Xu, Fan, Ammar and Moon, "Prefix-Preserving IP Address Anonymization", 2002), with keyed BLAKE2 as
its pseudorandom function. One key gives the same addresses each time, so that what is hidden with
it can be compared. Who knows the networks, or sent traffic of his own, may still recognise some.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.errors import UsageError
from ctconsole.model.ct.knowledge import NOTHING_KNOWN
from ctconsole.model.ct.layout import CtFlag

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Bytes: TypeAlias = npt.NDArray[np.uint8]

KEY_BYTES: Final = 32
"""Of a key; shorter ones are refused."""

_MOST_KEPT: Final = 1 << 17
"""Prefixes of which it is kept what stands for their next byte: 256 bytes each."""

_ADDRESS: Final = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}"
    r"(?:\.\d{1,3}){0,3})(?![\w.])"
)
"""What may be an address in a text."""


class Hiding:
    """Replaces addresses, and names by which a node is known. Not for several threads at once.

    Args:
        key: secret bytes.

    Raises:
        UsageError: the key is too short to be one.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise UsageError(f"A key has {KEY_BYTES} bytes or more, and this one {len(key)}")
        self._key = hashlib.blake2b(key, digest_size=64, person=b"ctconsole key").digest()
        self._tables: dict[tuple[int, bytes], Bytes] = {}

    def addresses(self, rows: Bytes) -> Bytes:
        """What stands for addresses.

        Args:
            rows: u1 of shape (n, 4) or (n, 16), network order.
        """
        rows = np.ascontiguousarray(rows)
        size = rows.shape[1]
        if not len(rows):
            return rows.copy()
        each, back = np.unique(rows.view(f"V{size}").reshape(-1), return_inverse=True)
        clear = each.view(np.uint8).reshape(-1, size)
        hidden = np.empty_like(clear)
        for place in range(size):
            # Addresses are in order, so that those of one prefix stand together.
            prefixes = clear[:, :place]
            first = np.ones(len(clear), np.bool_)
            first[1:] = (prefixes[1:] != prefixes[:-1]).any(axis=1)
            tables = self._tables_of(size, [row.tobytes() for row in prefixes[first]])
            hidden[:, place] = tables[np.cumsum(first) - 1, clear[:, place]]
        return np.asarray(hidden[back.reshape(-1)])

    def table(self, table: CtTable) -> CtTable:
        """A table with other addresses; what was known beside it, which names them, is left out."""
        keys, values = table.keys.copy(), table.values.copy()
        for end in ("daddr", "saddr"):
            keys[end] = self.addresses(keys[end])
        if "nat_addr" in (values.dtype.names or ()):
            # Where replies of DSR leave from; how it lies there depends on more than is known here.
            values["nat_addr"][(values["flags"] & CtFlag.DSR) != 0] = 0
        for array in (keys, values):
            array.flags.writeable = False
        return replace(table, keys=keys, values=values, knowledge=NOTHING_KNOWN)

    def text(self, text: str) -> str:
        """A text with every address in it replaced."""
        return _ADDRESS.sub(self._replaced, text)

    def name(self, name: str) -> str:
        """What stands for a node's name."""
        return f"node-{self._digest(b'name', name.encode(errors='surrogateescape')).hex()[:8]}"

    def _replaced(self, found: re.Match[str]) -> str:
        try:
            packed = ip_address(found[0]).packed
        except ValueError:
            return found[0]
        rows = np.frombuffer(packed, np.uint8).reshape(1, -1)
        return str(ip_address(self.addresses(rows).tobytes()))

    def _tables_of(self, size: int, prefixes: list[bytes]) -> Bytes:
        """What stands for each next byte after these prefixes: u1[prefixes, 256]."""
        if len(self._tables) > _MOST_KEPT:
            self._tables.clear()
        missing = [one for one in prefixes if (size, one) not in self._tables]
        if missing:
            digests = b"".join(self._digest(bytes([size]), one) for one in missing)
            made = _byte_tables(np.frombuffer(digests, np.uint8).reshape(len(missing), -1))
            self._tables.update(zip(((size, one) for one in missing), made, strict=True))
        return np.stack([self._tables[size, one] for one in prefixes])

    def _digest(self, about: bytes, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self._key, person=about.ljust(16, b"\0")).digest()


def _byte_tables(digests: Bytes) -> Bytes:
    """A permutation of the 256 bytes for each digest, which keeps common prefixes.

    The bits of a byte lead down a tree; each of its 255 forks has a bit of the digest, which says
    whether the two ways change places.
    """
    flips = np.unpackbits(digests, axis=1)
    values = np.arange(256)
    found = np.zeros((len(digests), 256), np.uint8)
    fork = np.ones(256, np.intp)
    for down in range(7, -1, -1):
        bit = values >> down & 1
        found |= ((bit ^ flips[:, fork]) << down).astype(np.uint8)
        fork = fork * 2 + bit
    return found
