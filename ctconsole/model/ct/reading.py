"""How a node's entries are to be read and judged: what its agent, its maps or a person tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.clock import KTIME, ClockSource
from ctconsole.model.ct.knowledge import NOTHING_KNOWN, Knowledge

if TYPE_CHECKING:
    from ctconsole.model.ct.layout import Layout


@dataclass(frozen=True, slots=True)
class Reading:
    """What applies to every conntrack table of a node.

    Attributes:
        clock: what entries are stamped with.
        layout: how values are laid out; None goes by the entries.
        knowledge: what is known beside the entries.
    """

    clock: ClockSource = KTIME
    layout: Layout | None = None
    knowledge: Knowledge = NOTHING_KNOWN


PLAIN: Final = Reading()
"""Where nobody tells anything."""
