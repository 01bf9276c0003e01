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


def called(label: str, whose: Whose) -> str:
    """A map by its name, and by its node where that is known."""
    if not whose:
        return label
    pod = f" (pod {whose.pod})" if whose.node and whose.pod else ""
    return f"{whose.name}{pod}: {label}"
