"""Two pods on one node, wired with veths, for measuring what the programs cost."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ctconsole.datapath import loader
from ctconsole.kernel import iproute, netns
from tests.support.namespaces import namespace
from tests.support.wire import POD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.config import AgentConfig
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.plane.endpoint import Endpoint

FIRST_IP, SECOND_IP = "10.78.1.2", "10.78.2.2"


@dataclass(frozen=True)
class TwoPods:
    """Namespaces of the node and the pods, and the pods as endpoints 10 and 11."""

    node: str
    first: str
    second: str
    endpoints: tuple[Endpoint, Endpoint]

    def attach(self, gate: Gate, config: AgentConfig, maps: Mapping[str, Path]) -> None:
        """Put programs on both pods' veths."""
        for endpoint in self.endpoints:
            with netns.inside(self.node), loader.load(gate, config, maps, endpoint) as programs:
                loader.attach(gate, endpoint, programs)

    def detach(self, gate: Gate, folder: Path) -> None:
        """Leave the veths with nothing on them."""
        for endpoint in self.endpoints:
            with netns.inside(self.node):
                loader.detach(gate, endpoint, folder)


@contextmanager
def two_pods(gate: Gate) -> Iterator[TwoPods]:
    """A node that forwards between 10.78.1.2 and 10.78.2.2; nothing attached."""
    with ExitStack() as stack:
        node, first, second = (
            stack.enter_context(namespace(gate, word)) for word in ("node", "first", "second")
        )
        netns.set_sysctl(gate, node, "ipv4.ip_forward", "1")
        endpoints = []
        for number, pod in enumerate((first, second), start=1):
            name = f"lxc{number}"
            iproute.add_veth(gate, name, "eth0", netns=node, peer_netns=pod)
            iproute.add_address(gate, name, f"10.78.{number}.1/24", netns=node)
            iproute.add_address(gate, "eth0", f"10.78.{number}.2/24", netns=pod)
            iproute.set_up(gate, name, netns=node)
            iproute.set_up(gate, "eth0", netns=pod)
            iproute.add_route(gate, "default", via=f"10.78.{number}.1", netns=pod)
            netns.set_sysctl(gate, pod, "ipv4.ip_local_port_range", "1024 65535")
            link = iproute.get(name, netns=node)
            endpoints.append(
                replace(
                    POD,
                    id=9 + number,
                    ifname=name,
                    ifindex=link.index,
                    ipv4=f"10.78.{number}.2",
                    identity=100 + number,
                )
            )
        yield TwoPods(node, first, second, (endpoints[0], endpoints[1]))
