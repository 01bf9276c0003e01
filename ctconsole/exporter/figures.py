"""What the exporter knows of a node at one moment: values, and what is not known is None."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ctconsole.model.ct.census import Census
    from ctconsole.model.spec import MapInfo

PREFIX: Final = "cilium_"
"""What the names of Cilium's pins begin with, and its metrics leave out (``NonPrefixedName`` of
``pkg/bpf``)."""


@dataclass(slots=True)
class Totals:
    """What has been counted of one pin since the exporter began.

    Attributes:
        recreations: how often the pin came to hold another map.
        lost: entries of the maps before that the new ones did not have.
        recreated_at: when that was the last time, seconds since the Unix epoch.
        came: entries seen to come; None until there was something to compare with.
        gone: entries seen to go; likewise.
        evicted: those of them that a full table threw out; likewise.
        resizes: resizes that the node's history tells of; None where there is no history.
        carried: entries they carried over; likewise.
        dropped: entries they could not carry over; likewise.
        census_cpu: CPU seconds that counting in the kernel took; None where that cannot be done.
    """

    recreations: int = 0
    lost: int = 0
    recreated_at: float | None = None
    came: int | None = None
    gone: int | None = None
    evicted: int | None = None
    resizes: int | None = None
    carried: int | None = None
    dropped: int | None = None
    census_cpu: float | None = None


@dataclass(frozen=True, slots=True)
class MapFigures:
    """One pinned map.

    Attributes:
        info: the map behind the pin.
        entries: exactly how many are in it.
        totals: a copy of what was counted.
        census: what lives in a conntrack table, as it was counted last.
        split: whether programs use an older generation of it and none uses the pinned one.
        next_start: the capacity that the agent's next start will give it.
    """

    info: MapInfo
    entries: int | None
    totals: Totals
    census: Census | None = None
    split: bool | None = None
    next_start: int | None = None

    @property
    def label(self) -> str:
        """The map as Cilium's own metrics call it, e.g. ``ct4_global``.

        A name may hold any bytes; what is no UTF-8 is written in hex.
        """
        name = os.fsencode(self.info.label).decode("utf-8", "backslashreplace")
        return name.removeprefix(PREFIX)


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """One sample.

    Attributes:
        maps: every map of Cilium's that has entries, by label; empty after a failure.
        taken_at: when the last sample began that did not fail, seconds since the Unix epoch; 0
            before there was one.
        seconds: wall-clock seconds it took.
        cpu_seconds: CPU seconds of this process so far.
        resident: bytes of memory this process has.
        samples: how many were taken.
        failures: how many of them failed.
        agent_up: whether the agent's process runs; None where nobody looked.
        agent_started: when it did, seconds since the Unix epoch.
        agent_release: the release it says it is.
        agent_restarts: how often it was seen to start since the exporter began.
        insert_failures: entries the datapath could not create, by its own count.
        web_config_good: whether the web configuration as it is now is in force; None where there
            is none.
        web_config_taken_at: when the one in force was read, seconds since the Unix epoch.
    """

    maps: tuple[MapFigures, ...] = ()
    taken_at: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    resident: int = 0
    samples: int = 0
    failures: int = 0
    agent_up: bool | None = None
    agent_started: float | None = None
    agent_release: str | None = None
    agent_restarts: int = 0
    insert_failures: int | None = None
    web_config_good: bool | None = None
    web_config_taken_at: float | None = None


NOTHING: Final = NodeFigures()
"""Before the first sample."""
