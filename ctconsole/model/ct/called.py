"""What a list, a screen or a filter asks of names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from ctconsole.model.whose import Whose


class Called(Protocol):
    """What things are called; empty for those without a name (see `model.names`)."""

    @property
    def endpoints(self) -> Mapping[bytes, str]:
        """Names of endpoints by their address, 4 or 16 bytes."""
        ...

    @property
    def services(self) -> Mapping[int, str]:
        """Names of services by their RevNAT index."""
        ...

    def of(self, whose: Whose) -> Called:
        """What a node calls things, before what all call them."""
        ...

    def addresses(self, raw: npt.NDArray[np.uint8]) -> list[str]:
        """Of each address, u1 of shape (n, 4) or (n, 16)."""
        ...

    def service(self, rev_nat: int) -> str:
        """Of the service with this RevNAT index, in host order."""
        ...

    def identity(self, number: int) -> str:
        """The labels of an identity."""
        ...
