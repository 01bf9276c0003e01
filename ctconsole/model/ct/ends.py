"""The two ends of connections, which a key names the one way or the other."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Bools: TypeAlias = npt.NDArray[np.bool_]
    Records: TypeAlias = npt.NDArray[Any]


class Ends:
    """Both ends of every entry, in the direction a person means; each column is made when asked.

    Args:
        keys: records of `KEY4` or `KEY6`.
        inverted: rows whose key names the ends the other way round.
    """

    def __init__(self, keys: Records, inverted: Bools) -> None:
        self._keys = keys
        self._inverted = inverted

    @cached_property
    def source(self) -> Bytes:
        """Addresses, u1 of shape (n, 4) or (n, 16), network order."""
        return self._address("saddr", "daddr")

    @cached_property
    def source_port(self) -> npt.NDArray[np.uint16]:
        """Host order."""
        return self._port("dport", "sport")

    @cached_property
    def destination(self) -> Bytes:
        """As `source`."""
        return self._address("daddr", "saddr")

    @cached_property
    def destination_port(self) -> npt.NDArray[np.uint16]:
        """Host order."""
        return self._port("sport", "dport")

    def _address(self, inverted: str, upright: str) -> Bytes:
        # Words in place of bytes: four times as fast.
        one, other = (self._keys[name].view("=u4") for name in (inverted, upright))
        return np.where(self._inverted[:, np.newaxis], one, other).view(np.uint8)

    def _port(self, inverted: str, upright: str) -> npt.NDArray[np.uint16]:
        # Turned round when chosen: numpy is slow at choosing among numbers of another byte order.
        one, other = (self._keys[name].view("=u2") for name in (inverted, upright))
        return np.where(self._inverted, one, other).view(self._keys[inverted].dtype).astype("=u2")
