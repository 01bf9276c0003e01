"""What a node's files tell beside its entries: its agent's release and names, sizes, the time.

bugtool keeps what the agent answers to ``/debuginfo`` (``cilium-debuginfo-TIME.json``), the list
of all maps (``bpftool map show``), and, since 1.14, the map in which the agent leaves a sign of
life every second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from ctconsole.errors import FormatError
from ctconsole.model.ct.clock import UNKNOWN, Moment, jiffies_at
from ctconsole.model.names import Names, names_of_agent
from ctconsole.model.readers import agentjson
from ctconsole.model.readers.agentjson import DebugInfo
from ctconsole.model.readers.cluster import NO_CLUSTER
from ctconsole.model.readers.dump_show import read_show
from ctconsole.model.readers.node_text import NO_TEXT
from ctconsole.model.whose import NOBODY
from ctconsole.observe.discovery import doubt_of, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    import numpy.typing as npt

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.readers.cluster import Cluster
    from ctconsole.model.readers.node_text import NodeText
    from ctconsole.model.readers.text_clock import TextClock
    from ctconsole.model.spec import MapInfo
    from ctconsole.model.whose import Whose

    Bytes: TypeAlias = npt.NDArray[np.uint8]

RUNTIME_CONFIG: Final = "cilium_runtime_config"
AGENT_LIVENESS: Final = 1
"""``RUNTIME_CONFIG_AGENT_LIVENESS`` of ``bpf/lib/config_map.h``: nanoseconds of CLOCK_MONOTONIC."""

_DEBUGINFO: Final = re.compile(r"(?:^|/)cilium-debuginfo-[^/]+\.json$")
_SHOW: Final = re.compile(r"(?:^|[/-])bpftool-map-show[^/]*\.(?:md|json)$|\.show\.json$")
_POD: Final = re.compile(r"kubectl-exec-(.+?)--[cn]-")
_LOG: Final = re.compile(
    r"(?:^|/)logs-(?P<pod>[^/]{1,253})-cilium-agent-\d{8}-\d{6}(?P<before>-prev)?\.log[^/]*$"
)
_NANOSECONDS: Final = 1_000_000_000
_KEY_SIZE, _VALUE_SIZE = 4, 8
_LONGEST_UPTIME: Final = 1 << 32
"""Lifetimes are 32-bit seconds: no node that has any is older."""


def is_debuginfo(name: str) -> bool:
    """Whether a file is an agent's debugging information, by its path."""
    return _DEBUGINFO.search(name) is not None


def is_show(name: str) -> bool:
    """Whether a file shows maps without their entries, by its path."""
    return _SHOW.search(name) is not None


def folder_of(name: str) -> PurePath:
    """The folder that stands for the node a file is of.

    bugtool's ``--k8s-mode`` keeps the commands of all pods in one folder.
    """
    file = PurePath(name)
    pod = _POD.match(file.name)
    return file.parent / pod[1] if pod else file.parent


def writer_of(name: str) -> str:
    """The pod whose log a file is, as a sysdump calls it; empty where it does not tell.

    A container that ran before has a log of its own, which tells of other starts.
    """
    found = _LOG.search(name)
    if found is None:
        return ""
    return f"{found['pod']}(previous)" if found["before"] else found["pod"]


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What is known of one node.

    Attributes:
        told: what its agent told of itself.
        text_layout: the layout of the text its tool printed, None where there is none.
        alive_at: when the agent last gave a sign of life, in seconds of CLOCK_MONOTONIC, which is
            within seconds when the files were written; 0 where unknown.
        shown: the maps that the kernel had, pinned or not.
        text_clock: what the listings its tool printed tell of the clock; None where none does.
        newest: the newest stamp in its entries, in their units; 0 where there is none.
        whose: what to call it.
        text: what else texts of the node say of its maps.
        cluster: what Kubernetes tells of the cluster it is in.
    """

    told: DebugInfo = field(default_factory=DebugInfo)
    text_layout: Layout | None = None
    alive_at: int = 0
    shown: tuple[MapInfo, ...] = ()
    text_clock: TextClock | None = None
    newest: int = 0
    whose: Whose = NOBODY
    text: NodeText = NO_TEXT
    cluster: Cluster = NO_CLUSTER

    @property
    def layout(self) -> Layout | None:
        """How conntrack values are laid out, None where only the entries tell."""
        version = self.told.version or self.text.version
        return self.text_layout or (layout_of(version) if version else None)

    @property
    def layout_doubt(self) -> str:
        """What is to be said where the agent's release has no layout here; else empty."""
        version = self.told.version or self.text.version
        if self.text_layout or not version or self.layout is None:
            return ""
        doubt = doubt_of(version, self.layout)
        return f"Cilium {version}{doubt}" if doubt else ""

    @property
    def hertz(self) -> int:
        """HZ where entries are stamped in jiffies / 256, else 0."""
        clock = self.told.clock or self.text.clock
        return clock.hertz if clock is not None and clock.uses_jiffies else 0

    @property
    def memory(self) -> int:
        """Bytes of its memory, 0 where nothing tells.

        Where its name is not known that is told only if all nodes there are have as much.
        """
        own = self.cluster.memory.get(self.whose.node, 0)
        alike = set(self.cluster.memory.values())
        return own or (alike.pop() if len(alike) == 1 else 0)

    def at(self, seconds: int = 0, taken_at: float = 0.0) -> Moment:
        """When the files were written, as far as that is known.

        Args:
            seconds: the node's CLOCK_MONOTONIC as the operator knows it; 0 takes the agent's.
            taken_at: seconds since the Unix epoch; 0 where unknown.

        Where an operator tells nothing, a listing that says how long its entries live tells best:
        it is the moment of its very entries.
        """
        printed = self.text_clock.moment(self.hertz) if self.text_clock else UNKNOWN
        if not seconds and printed.stamp:
            return replace(printed, taken_at=taken_at)
        seconds = seconds or self.alive_at
        hertz = self.hertz or printed.hertz
        jiffies = jiffies_at(seconds, hertz) if seconds and hertz else 0
        return Moment(seconds, jiffies, hertz, taken_at, least=self.newest)

    def described(self, info: MapInfo) -> MapInfo:
        """A dumped map with what the kernel said of it.

        The kernel's names are cut short and an old generation may still be there, so that is
        known only where all maps it may be are alike. Else the status may tell the size.
        """
        kept = (info.name, info.key_size, info.value_size)
        maybe = [one for one in self.shown if (one.name, one.key_size, one.value_size) == kept]
        if not maybe:
            return replace(info, max_entries=self.text.sizes.get(info.label, info.max_entries))
        if len({(one.type, one.max_entries, one.flags) for one in maybe}) != 1:
            return info
        one = maybe[0]
        return replace(info, type=one.type, max_entries=one.max_entries, flags=one.flags)

    def names(self) -> Names:
        """What its agent calls its endpoints, identities and services."""
        labels = self.cluster.identities
        return names_of_agent(self.told.endpoints, labels, self.told.services)


class Nodes:
    """Gathers what files tell of each node.

    Attributes:
        problems: files that make no sense, one sentence each.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._found: dict[str, NodeFiles] = {}

    @property
    def found(self) -> Mapping[str, NodeFiles]:
        """By the folder of the node's files."""
        return MappingProxyType(self._found)

    def of(self, node: str) -> NodeFiles:
        """What is known of a node; of one that a file tells apart, also what its folder tells."""
        found = self._found.get(node)
        above = self._found.get(str(PurePath(node).parent))
        if found is None or above is None:
            return found or above or NodeFiles()
        return replace(
            found,
            told=found.told if found.told != DebugInfo() else above.told,
            shown=found.shown or above.shown,
            alive_at=found.alive_at or above.alive_at,
            text=above.text.joined(found.text),
            cluster=found.cluster if found.cluster != NO_CLUSTER else above.cluster,
        )

    def clustered(self, node: str, cluster: Cluster) -> None:
        """Take what Kubernetes, or a tool that asked it, tells of the cluster of a node."""
        own = self._own(node)
        self._found[node] = replace(own, cluster=own.cluster.joined(cluster))

    def share_clusters(self, nodes: Iterable[str]) -> None:
        """Let nodes know what files above theirs tell of the cluster, or else the only ones."""
        told = {
            folder: one.cluster for folder, one in self._found.items() if one.cluster != NO_CLUSTER
        }
        for node in {*nodes, *self._found} if told else ():
            above = [str(folder) for folder in reversed(PurePath(node).parents)]
            places = [place for place in (*above, node) if place in told]
            if not places and len(told) == 1:
                places = list(told)
            cluster = NO_CLUSTER
            for place in places:
                cluster = cluster.joined(told[place])
            self._found[node] = replace(self._own(node), cluster=cluster)

    def called(self, node: str, whose: Whose) -> Whose:
        """A node with the name that its agent's pod tells; ``share_clusters`` comes before."""
        name = self._own(node).cluster.nodes.get(whose.pod, "") if whose.pod else ""
        return replace(whose, node=name) if name and not whose.node else whose

    def named(self, node: str, whose: Whose) -> None:
        """Take what a node is called."""
        self._found[node] = replace(self._own(node), whose=whose)

    def stamped(self, node: str, newest: int) -> None:
        """Take the newest stamp of a node's entries."""
        self._found[node] = replace(self._own(node), newest=newest)

    def said(self, node: str, text: NodeText) -> None:
        """Take what a text says of a node's maps."""
        own = self._own(node)
        self._found[node] = replace(own, text=own.text.joined(text))

    def printed(self, node: str, clock: TextClock) -> None:
        """Take what a listing tells of a node's clock."""
        own = self._own(node)
        joined = own.text_clock.joined(clock) if own.text_clock else clock
        self._found[node] = replace(own, text_clock=joined)

    def _own(self, node: str) -> NodeFiles:
        return self._found.get(node, NodeFiles())

    def debuginfo(self, node: str, text: bytes, source: str) -> None:
        """Take a node's debugging information."""
        try:
            told = agentjson.debuginfo(agentjson.document(text, source))
        except FormatError as error:
            self.problems.append(str(error))
            return
        self._found[node] = replace(self._own(node), told=told)

    def show(self, node: str, text: bytes) -> None:
        """Take the maps that a node's kernel had."""
        before = self._own(node)
        self._found[node] = replace(before, shown=(*before.shown, *read_show(text)))

    def text(self, node: str, layout: Layout | None) -> None:
        """Take the layout of what a node's tool printed."""
        self._found[node] = replace(self._own(node), text_layout=layout)

    def runtime_config(self, node: str, keys: Bytes, values: Bytes) -> None:
        """Take the entries of a node's `RUNTIME_CONFIG`."""
        if keys.shape[1:] != (_KEY_SIZE,) or values.shape[1:] != (_VALUE_SIZE,):
            return
        found = {key.tobytes(): value.tobytes() for key, value in zip(keys, values, strict=True)}
        alive = found.get(AGENT_LIVENESS.to_bytes(_KEY_SIZE, "little"), b"")
        seconds = int.from_bytes(alive, "little") // _NANOSECONDS
        if seconds < _LONGEST_UPTIME:
            self._found[node] = replace(self._own(node), alive_at=seconds)
