"""Which IP families a node's agent has switched on, as Cilium's tool finds it out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ctconsole.errors import CtconsoleError
from ctconsole.model.ct.layout import Layout, since
from ctconsole.model.readers import agentjson
from ctconsole.observe import agentflags
from ctconsole.observe.agents import RUNTIME_CONFIG, STATE_DIRS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ctconsole.observe.discovery import NodeFacts


class Families(NamedTuple):
    """Whether each family is on.

    Attributes:
        ipv4: IPv4.
        ipv6: IPv6.
    """

    ipv4: bool
    ipv6: bool

    def asked_by(self, layout: Layout) -> Families:
        """What the tool of a release makes of it.

        Up to 1.10 it takes both for on; it asks for IPv6 since 1.11 and for IPv4 since 1.16.
        """
        return Families(
            self.ipv4 or not since(layout, Layout.V1_16),
            self.ipv6 or not since(layout, Layout.V1_11),
        )


def families_of(facts: NodeFacts, state_dirs: Sequence[Path] = STATE_DIRS) -> Families:
    """What the agent's options say, or the file it left, or the maps: IPv6 is on where it has any.

    The tool itself takes both for on where nobody tells; a node without IPv6 would end its list.

    Args:
        facts: what is known of the node.
        state_dirs: where an agent that does not run any more may have left its configuration.
    """
    options = facts.options
    if _FLAGS & options.keys():
        return _told(options)
    for folder in state_dirs if facts.agent is None else ():
        text = agentflags.read_text(folder, RUNTIME_CONFIG)
        if text is None:
            continue
        try:
            left = agentjson.flags(agentjson.document(text.encode(), str(folder / RUNTIME_CONFIG)))
        except CtconsoleError:
            continue
        if _FLAGS & left.keys():
            return _told(left)
    return Families(ipv4=True, ipv6=_has_ipv6_maps(facts.globals))


def _has_ipv6_maps(folder: Path) -> bool:
    try:
        return any(_IPV6_MAP.match(path.name) for path in folder.iterdir())
    except OSError:
        return False


_IPV6_MAP = re.compile("cilium_(ct6|ct_any6|snat_v6|lb6)_")
_IPV4, _IPV6 = "enable-ipv4", "enable-ipv6"
_FLAGS = {_IPV4, _IPV6}


def _told(options: Mapping[str, str]) -> Families:
    return Families(options.get(_IPV4) != "false", options.get(_IPV6) != "false")
