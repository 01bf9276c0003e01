"""Which release's maps a node has: what their names, their sizes and conntrack's entries tell.

Each tell leaves the releases from one to another; together they may leave one. What is left then
is certain, else it is said which releases look alike and how to settle it.

Sources: the names of the maps in ``pkg/maps``, ``pkg/loadbalancer/maps`` and ``bpf/lib`` of 1.9 to
1.20.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.layout import Layout, since

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.ct.guess import Guess
    from ctconsole.model.spec import MapInfo

_NEWEST: Final = list(Layout)[-1]
_MOST_REASONS: Final = 2


@dataclass(frozen=True, slots=True)
class _Tell:
    """A map that only some releases have.

    Attributes:
        names: pattern of the pin's whole name.
        first: the first release that has it.
        last: the last one.
        taken: the one it is taken for where nothing else tells.
        key: bytes of its keys, 0 for any.
        value: bytes of its values, 0 for any.
    """

    names: str
    first: Layout
    last: Layout
    taken: Layout
    key: int = 0
    value: int = 0

    def fits(self, info: MapInfo) -> bool:
        """Whether a map is the one."""
        sizes = self.key in {0, info.key_size} and self.value in {0, info.value_size}
        return sizes and re.fullmatch(self.names, info.label) is not None


_V2, _V1 = r"cilium_policy_v2_\d{5,}", r"cilium_policy_\d{5,}"
_TELLS: Final = (
    _Tell(r"cilium_policy_v3_\d{5,}", Layout.V1_20, _NEWEST, Layout.V1_20),
    _Tell(_V2, Layout.V1_19, Layout.V1_19, Layout.V1_19, value=12),
    _Tell(_V2, Layout.V1_18, Layout.V1_18, Layout.V1_18, value=8),
    _Tell(_V2, Layout.V1_17, Layout.V1_17, Layout.V1_17, value=24),
    _Tell("cilium_ipcache_v2|cilium_policystats", Layout.V1_18, _NEWEST, Layout.V1_18),
    _Tell("cilium_lb_fct|cilium_ratelimit_metrics", Layout.V1_17, _NEWEST, Layout.V1_17),
    _Tell("cilium_lb_act|cilium_skip_lb[46]", Layout.V1_16, _NEWEST, Layout.V1_16),
    _Tell("cilium_node_map_v2", Layout.V1_16, _NEWEST, Layout.V1_16),
    _Tell(_V1, Layout.V1_14, Layout.V1_16, Layout.V1_15, key=12),
    _Tell("cilium_runtime_config|cilium_auth_map", Layout.V1_14, _NEWEST, Layout.V1_16),
    _Tell("cilium_lb[46]_backends_v3", Layout.V1_13, _NEWEST, Layout.V1_16),
    _Tell("cilium_lb[46]_backends_v2", Layout.V1_11, Layout.V1_12, Layout.V1_12),
    _Tell("cilium_egresscall_policy|cilium_node_map", Layout.V1_12, _NEWEST, Layout.V1_12),
    _Tell("cilium_lb[46]_backends", Layout.V1_9, Layout.V1_10, Layout.V1_9),
    _Tell(_V1, Layout.V1_9, Layout.V1_13, Layout.V1_9, key=8),
    _Tell("cilium_ipcache", Layout.V1_9, Layout.V1_17, Layout.V1_9),
)
"""The surest first."""

_COUNTS_APART: Final = _Tell("", Layout.V1_9, Layout.V1_15, Layout.V1_9)
_COUNTS_TOGETHER: Final = _Tell("", Layout.V1_16, _NEWEST, Layout.V1_18)


def generation(maps: Iterable[MapInfo], guess: Guess | None = None) -> Guess:
    """The release whose maps these are, as far as they tell, and why in words.

    A node keeps maps of releases it was upgraded from: where two tells exclude one another, the
    newer one counts.

    Args:
        maps: what is pinned or was dumped of one node.
        guess: what its conntrack entries say, where they were asked.
    """
    from ctconsole.model.ct.guess import Guess

    known = sorted(maps, key=lambda one: one.label)
    told = [(tell, _seen(tell, info)) for tell in _TELLS for info in known if tell.fits(info)]
    if guess is not None and guess.certain:
        apart = not since(guess.layout, Layout.V1_16)
        told.append((_COUNTS_APART if apart else _COUNTS_TOGETHER, guess.reason))
    if not told:
        return guess or Guess(Layout.V1_18, "no map tells", certain=False)
    first = max((tell.first for tell, _ in told), key=list(Layout).index)
    # What ends before that is left over from an earlier release.
    living = [(tell, why) for tell, why in told if since(tell.last, first)]
    last = min((tell.last for tell, _ in living), key=list(Layout).index)
    telling = (why for tell, why in living if tell.first is first or tell.last is last)
    reason = " and ".join(list(dict.fromkeys(telling))[:_MOST_REASONS])
    if first is last:
        return Guess(first, reason, certain=True)
    taken = next((tell.taken for tell, _ in living if _within(tell.taken, first, last)), first)
    doubt = f"{reason}; {first} to {last} have that, and the agent's version tells which it is"
    return Guess(taken, doubt, certain=False)


def _within(layout: Layout, first: Layout, last: Layout) -> bool:
    return since(layout, first) and since(last, layout)


def _seen(tell: _Tell, info: MapInfo) -> str:
    size = f" with values of {tell.value} bytes" if tell.value else ""
    size = size or (f" with keys of {tell.key} bytes" if tell.key else "")
    return f"there is a map {info.label}{size}"
