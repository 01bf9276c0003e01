"""An endpoint's programs on a real veth between two namespaces."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ctconsole.config import AgentConfig
from ctconsole.datapath import loader
from ctconsole.kernel import iproute, netns
from tests.support.namespaces import connected_pair
from tests.support.wire import POD, Wire, pin_maps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event
    from ctconsole.model.plane.endpoint import Endpoint

NODE_IP, POD_IP = "10.77.0.1", "10.77.0.2"
NODE_LINK, POD_LINK = "left0", "right0"


@dataclass
class Attached(Wire):
    """A `Wire` whose programs are on the node's end of a veth; names of both namespaces."""

    node: str
    pod: str
    endpoint: Endpoint

    def renew(self) -> list[Event]:
        """Load the programs again and put them in place of the old ones."""
        with (
            netns.inside(self.node),
            loader.load(self.gate, AgentConfig(), self.maps, self.endpoint) as programs,
        ):
            return loader.replace(self.gate, self.endpoint, programs)


@contextmanager
def veth(gate: Gate, root: Path) -> Iterator[Attached]:
    """Maps, a node (10.77.0.1) and a pod (10.77.0.2); nothing attached yet."""
    maps = pin_maps(gate, root)
    with connected_pair(gate) as (node, pod):
        link = iproute.get(NODE_LINK, netns=node)
        endpoint = replace(POD, ifname=link.name, ifindex=link.index, ipv4=POD_IP)
        with loader.load(gate, AgentConfig(), maps, endpoint) as programs:
            yield Attached(gate, maps, programs, node, pod, endpoint)
