"""Which releases of Cilium can be read, and how each reading is known to be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ctconsole.model.ct.layout import Layout

HELD: Final = "held against what the tool printed"
IN_PART: Final = "in part held against the tool, else read from sources"


@dataclass(frozen=True, slots=True)
class Release:
    """One row of what can be read.

    Attributes:
        layout: what ``--layout`` takes.
        releases: the releases read so, in words.
        lists: how the lists of the other maps are known.
        tells: what in a node's maps tells this release from its neighbours; where the bytes do
            not, how to settle it.
        conntrack: how conntrack's listings are known.
    """

    layout: Layout
    releases: str
    lists: str
    tells: str
    conntrack: str = HELD


_CALLS: Final = "cilium_egresscall_policy"
_TO_1_16: Final = "as to 1.16: ask the agent"
_ASK: Final = "entries as in 1.9: ask the agent, or --layout"


def _from(known: str, patch: str, lists: str = "ipcache") -> str:
    """Earlier patches print some lists otherwise.

    Their ``ipcache list`` ends with a node's id, which is read but not printed; their ``nat list``
    has the age without "ago", reckoned in nanoseconds.
    """
    return f"{known}; {lists} as of {patch} and later"


RELEASES: Final = (
    Release(Layout.V1_9, "1.9", IN_PART, "received packets are counted apart; lb backends"),
    Release(Layout.V1_10, "1.10", HELD, _ASK),
    Release(Layout.V1_11, "1.11", HELD, f"lb backends_v2; {_ASK}"),
    Release(
        Layout.V1_12,
        "1.12",
        _from(HELD, "1.12.13"),
        f"lb backends_v2, cilium_egresscall_policy; {_ASK}",
    ),
    Release(
        Layout.V1_13, "1.13", _from(HELD, "1.13.6"), "lb backends_v3 and policy keys of 8 bytes"
    ),
    Release(
        Layout.V1_14,
        "1.14",
        _from(HELD, "1.14.6", "ipcache, nat"),
        "policy keys of 12 bytes, as to 1.16: ask the agent",
    ),
    Release(Layout.V1_15, "1.15", HELD, "SVC in the tool's text; maps as in 1.14: ask the agent"),
    Release(Layout.V1_16, "1.16", HELD, "no received packets apart; cilium_lb_act"),
    Release(Layout.V1_17, "1.17", HELD, "cilium_policy_v2 with values of 24 bytes"),
    Release(Layout.V1_18, "1.18", HELD, "cilium_policy_v2 with values of 8 bytes"),
    Release(Layout.V1_19, "1.19", HELD, "cilium_policy_v2 with values of 12 bytes"),
    Release(Layout.V1_20, "1.20", HELD, "cilium_policy_v3; later releases are read as this one"),
)
"""Every release that can be read, oldest first."""
