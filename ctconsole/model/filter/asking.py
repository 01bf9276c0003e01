"""What a filter can ask for, in words: read for help without loading what reads rows.

How each is read and held against rows is its rule: of entries in `model.ct.filters`, of events
in `filter.events`, of maps in `filter.maps`, of nodes in
`filter.nodes`. They take their words from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that can be asked for.

    Attributes:
        names: what stands before the operator; the first one is told to people.
        example: a value that can be meant.
        about: what is asked for, in a few words.
        operator: the one it is mostly asked with.
    """

    names: tuple[str, ...]
    example: str
    about: str
    operator: str = ":"

    @property
    def name(self) -> str:
        """The name that is told to people."""
        return self.names[0]

    @property
    def sample(self) -> str:
        """A whole term."""
        return f"{self.name}{self.operator}{self.example}"


def _by_name(*every: Asked) -> Mapping[str, Asked]:
    return MappingProxyType({asked.name: asked for asked in every})


ASKED: Final = _by_name(
    Asked(("map",), "cilium_ct4_global", "map it is in"),
    Asked(("node",), "node-a", "node or pod of a file"),
    Asked(("proto", "protocol"), "tcp", "IP protocol"),
    Asked(("ip",), "10.0.0.1", "address at either end"),
    Asked(("port",), "443", "port at either end"),
    Asked(("pod",), "shop/*", "pod at either end, by its name"),
    Asked(("dir", "direction"), "in", "which way the entry looks"),
    Asked(("src", "source"), "10.0.0.0/8", "opener's address"),
    Asked(("sport",), "40000", "port of the source"),
    Asked(("dst", "destination"), "10.0.0.1", "address reached"),
    Asked(("dport",), "443", "port of the destination"),
    Asked(("state",), "established", "life of the connection"),
    Asked(("left",), "30s", "left of its lifetime", "<"),
    Asked(("idle", "age"), "30s", "since its last report", "<"),
    Asked(("packets",), "10k", "packets both ways", ">"),
    Asked(("bytes",), "1M", "bytes both ways", ">"),
    Asked(("rate",), "10k", "bytes a second, between two samples", ">"),
    Asked(("flag", "flags"), "dsr", "flag of the entry"),
    Asked(("revnat",), "1", "number of its service"),
    Asked(("svc", "service"), "web", "its service, by its name"),
    Asked(("backend",), "3", "backend chosen"),
    Asked(("identity",), "2", "identity of the source"),
    Asked(("risk",), "breaks", "fate when the table is lost"),
)
"""What entries are asked for, by the name that is told to people, in the order of their table."""

EVENTS: Final = _by_name(
    Asked(("kind",), "map-recreated", "what happened"),
    Asked(("level",), "warning", "how loud it is", ">="),
    Asked(("map", "subject"), "cilium_ct4_global", "map or program it happened to"),
    Asked(("source",), "agent", "who says so"),
    Asked(("text",), "restart", "a part of what is said"),
    Asked(("time",), "01:36", "when, by this machine's time", ">"),
    Asked(("age",), "10m", "how long ago", "<"),
)
"""What events are asked for."""

MAPS: Final = _by_name(
    Asked(("map", "name"), "cilium_ct4_global", "its name"),
    Asked(("node",), "node-a", "node or pod of a file"),
    Asked(("group",), "conntrack", "what it is for"),
    Asked(("type",), "lru-hash", "kind of map"),
    Asked(("entries",), "10k", "entries in it", ">"),
    Asked(("max",), "64k", "entries it has room for", ">"),
    Asked(("fill",), "80", "percent of its room that is taken", ">"),
    Asked(("memory",), "10M", "memory it takes", ">"),
    Asked(("id",), "549", "its id in the kernel"),
)
"""What maps are asked for."""

NODES: Final = _by_name(
    Asked(("node",), "worker-1*", "its instance, as Prometheus calls it"),
    Asked(("up",), "no", "whether its exporter answers"),
    Asked(("map", "fullest"), "ct4_global", "its fullest map"),
    Asked(("fill",), "80%", "percent of the fullest map's room that is taken", ">"),
    Asked(("full_in",), "4h", "time until the first of its maps is full", "<"),
    Asked(("entries",), "10k", "entries in its conntrack tables", ">"),
    Asked(("living",), "10k", "those of them that have not expired", ">"),
    Asked(("evicted",), "0", "living entries thrown out in the last hour", ">"),
    Asked(("refused",), "0", "entries that could not be created in the last hour", ">"),
    Asked(("lost",), "0", "entries lost with re-created maps in the last hour", ">"),
    Asked(("split",), "0", "pins that no program uses", ">"),
    Asked(("alerts",), "0", "alerts that fire", ">"),
    Asked(("alert", "firing"), "*SplitBrain", "name of an alert that fires"),
    Asked(("age",), "2m", "time since its last sample", ">"),
    Asked(("agent_up_for",), "1h", "time since its agent started", "<"),
    Asked(("release",), "1.18", "release of its agent"),
)
"""What the nodes of a fleet are asked for."""

PLACES: Final = MappingProxyType({"entries": ASKED, "events": EVENTS, "maps": MAPS, "nodes": NODES})
"""What can be asked for, by what is filtered."""


def elsewhere(name: str, what: str) -> str:
    """Which other rows can be asked for a field, as a sentence; empty for none."""
    have = [
        place
        for place, every in PLACES.items()
        if place != what and any(name in asked.names for asked in every.values())
    ]
    return f"{' and '.join(have).capitalize()} can be asked for it" if have else ""


def fields_help(what: str = "entries") -> str:
    """What can be asked for: a line for each, with what it means and an example."""
    every = PLACES[what].values()
    width = max(len(asked.sample) for asked in every)
    return "\n".join(f"{asked.sample:<{width}}  {asked.about}" for asked in every)
