"""What a filter can ask for, in words: read for help without loading what reads entries.

How each is read and held against entries is its rule in `filters`, which takes its words from
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


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


_ALL: Final = (
    Asked(("node", "pod"), "node-a", "node or pod of a file"),
    Asked(("proto", "protocol"), "tcp", "IP protocol"),
    Asked(("ip",), "10.0.0.1", "address at either end"),
    Asked(("port",), "443", "port at either end"),
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
    Asked(("flag", "flags"), "dsr", "flag of the entry"),
    Asked(("revnat",), "1", "number of its service"),
    Asked(("backend",), "3", "backend chosen"),
    Asked(("identity",), "2", "identity of the source"),
    Asked(("risk",), "breaks", "fate when the table is lost"),
)

ASKED: Final = MappingProxyType({asked.name: asked for asked in _ALL})
"""Each thing by the name that is told to people, in the order of the table of fields."""


def fields_line() -> str:
    """What can be asked for, in one line."""
    return "Fields: " + ", ".join(sorted(ASKED))


def fields_help() -> str:
    """What can be asked for: a line for each, with what it means and an example."""
    width = max(len(asked.sample) for asked in ASKED.values())
    return "\n".join(f"{asked.sample:<{width}}  {asked.about}" for asked in ASKED.values())
