"""The node that something was read of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Whose:
    """A node, as far as it is known.

    Attributes:
        node: its name, or whatever tells it from the others.
        pod: its agent's pod.
    """

    node: str = ""
    pod: str = ""

    def __bool__(self) -> bool:
        return bool(self.node or self.pod)

    @property
    def name(self) -> str:
        """What to call it."""
        return self.node or self.pod


NOBODY: Final = Whose()

MOST_NODES: Final = 5000
"""Nodes that one file may name: as many as Kubernetes supports in a cluster."""


class Named:
    """The nodes that a file has named so far."""

    def __init__(self) -> None:
        self._seen: dict[Whose, Whose] = {}

    def one(self, whose: Whose) -> Whose:
        """The node itself, or nobody where there are too many."""
        if whose in self._seen or not whose:
            return self._seen.get(whose, whose)
        if len(self._seen) >= MOST_NODES:
            return NOBODY
        return self._seen.setdefault(whose, whose)


def called(label: str, whose: Whose) -> str:
    """A map by its name, and by its node where that is known."""
    if not whose:
        return label
    pod = f" (pod {whose.pod})" if whose.node and whose.pod else ""
    return f"{whose.name}{pod}: {label}"
