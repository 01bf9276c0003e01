"""What is known beside a conntrack table and decides what becomes of its connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    Keys: TypeAlias = npt.NDArray[Any]
    Bools: TypeAlias = npt.NDArray[np.bool_]
    Hashes: TypeAlias = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What decides whether a service picks the same backend again.

    Attributes:
        backends: how many it has.
        sticky: Maglev or session affinity: the same client gets the same backend.
    """

    backends: int
    sticky: bool

    def certainty(self) -> tuple[bool, int]:
        """Sorts facts by how surely the same backend is picked, the least sure first."""
        return self.sticky, -self.backends


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """Which endpoints let everything through; all others count as enforcing policy.

    Attributes:
        open_ingress: addresses (4 or 16 bytes, network order) of endpoints that anybody may reach.
        open_egress: addresses of endpoints that may reach anybody.
        never: whether the node enforces none at all (``policy-enforcement: never``).
    """

    open_ingress: frozenset[bytes] = frozenset()
    open_egress: frozenset[bytes] = frozenset()
    never: bool = False


@dataclass(frozen=True, eq=False)
class Translations:
    """Whose packets leave under another address, from the entries of a NAT table.

    Attributes:
        owners: of every entry the conntrack key it belongs to, ``V14`` or ``V38`` elements.
        kept: whether the port, or ICMP identifier, stayed the connection's own; a row each.
    """

    owners: Keys
    kept: Bools

    @cached_property
    def hashes(self) -> Hashes:
        """Hashes of the owners, in order, each once."""
        return _hashes_of(self.owners)

    @cached_property
    def moved_hashes(self) -> Hashes:
        """The same of those that leave from another port than their own."""
        return _hashes_of(self.owners[~self.kept])


def _hashes_of(keys: Keys) -> Hashes:
    # Here, because verbs that look at no entry start without numpy.
    import numpy as np

    from ctconsole.model.ct.keyhash import hash_rows

    rows = np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), keys.dtype.itemsize)
    return np.unique(hash_rows(rows))


@dataclass(frozen=True)
class Knowledge:
    """What is known beside the table.

    Attributes:
        services: by ``rev_nat_index`` in host order; one that is missing is not known.
        policy: where policy is enforced.
        translated: by key size; None where nobody looked.
    """

    services: Mapping[int, ServiceFacts] = field(default_factory=lambda: MappingProxyType({}))
    policy: PolicyFacts = PolicyFacts()
    translated: Mapping[int, Translations] | None = None


NOTHING_KNOWN: Final = Knowledge()
"""Every service is unknown, policy counts as enforced everywhere, nothing is translated."""
