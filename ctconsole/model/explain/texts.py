"""Texts that tell more than maps: an agent's log, its monitor, metrics and status.

A form of text is one row of `TEXTS`: how it is told by its beginning, and what takes its lines.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.explain.log import LogFacts
from ctconsole.model.readers.logline import parse_line

if TYPE_CHECKING:
    from collections.abc import Callable

_DROP: Final = re.compile(r"xx drop \(([^,)]{1,100})(?:, ([^)]{1,100}))?\)")
_COUNTED: Final = re.compile(r"(\S.{0,80}?)\s{2,}(INGRESS|EGRESS|SERVICE|UNKNOWN)\s+(\d{1,20})\s")
_PRESSURE: Final = re.compile(
    r'cilium_bpf_map_pressure\{.*?map_name="([^"]{1,64})".*?\}\s+(\S{1,32})'
)
_DROPS: Final = re.compile(
    r'cilium_drop_count_total\{.*?reason="([^"]{1,100})".*?\}\s+(\d{1,20}(?:\.\d+)?(?:e\+?\d+)?)'
)
_CLOCK: Final = re.compile(r"Clock Source for BPF:\s+(ktime|jiffies)(?:\s+\[(\d{1,6}) Hz\])?")
_RATIO: Final = re.compile(r"dynamic sizing: on \(ratio: ([0-9.]{1,20})\)")
_SIZE: Final = re.compile(
    r"\s+(TCP connection tracking|Non-TCP connection tracking|NAT)\s+(\d{1,9})$"
)
_RELEASE: Final = re.compile(r"Cilium:\s+Ok\s+(\d+\.\d+\S*)")

_SIZED: Final = {
    "TCP connection tracking": ("cilium_ct4_global", "cilium_ct6_global"),
    "Non-TCP connection tracking": ("cilium_ct_any4_global", "cilium_ct_any6_global"),
    "NAT": ("cilium_snat_v4_external", "cilium_snat_v6_external"),
}
"""What ``cilium status --verbose`` calls the maps."""


@dataclass
class TextFacts:
    """What texts tell.

    Attributes:
        log: of the agent's log; None where there is none.
        drops: by reason and the kernel's error, empty where it was not printed.
        pressure: how full maps are, 0 to 1, by the name the metric gives.
        clock: what ``expires`` counts, None where not told.
        ratio: the share of the memory that sizes follow, None where not told.
        release: the agent's, empty where not told.
        place: the folder of the file that is being read, which stands for its node.
        sizes: of tables by pin name, by place.
    """

    log: LogFacts | None = None
    drops: Counter[tuple[str, str]] = field(default_factory=Counter)
    pressure: dict[str, float] = field(default_factory=dict)
    clock: ClockSource | None = None
    ratio: float | None = None
    release: str = ""
    place: str = ""
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)

    def size_of(self, place: str, pin_name: str) -> int:
        """The size of a table of a node, 0 where not told; one node's status is of every file."""
        own = self.sizes.get(place, {})
        if not own and len(self.sizes) == 1:
            [own] = self.sizes.values()
        return own.get(pin_name, 0)


def _log(line: str, facts: TextFacts) -> None:
    facts.log = facts.log or LogFacts()
    facts.log.read(line)


def _monitor(line: str, facts: TextFacts) -> None:
    if found := _DROP.search(line):
        facts.drops[found[1], found[2] or ""] += 1


def _counters(line: str, facts: TextFacts) -> None:
    if (found := _COUNTED.match(line)) and found[1] not in {"Success", "REASON"}:
        facts.drops[found[1], ""] += int(found[3])


def _prometheus(line: str, facts: TextFacts) -> None:
    if found := _PRESSURE.match(line):
        facts.pressure[found[1]] = float(found[2])
    elif found := _DROPS.match(line):
        facts.drops[found[1], ""] += int(float(found[2]))


def _status(line: str, facts: TextFacts) -> None:
    if found := _CLOCK.match(line):
        facts.clock = ClockSource(found[1], int(found[2] or 0))
    elif found := _RATIO.search(line):
        facts.ratio = float(found[1])
    elif found := _SIZE.match(line):
        sizes = facts.sizes.setdefault(facts.place, {})
        sizes.update(dict.fromkeys(_SIZED[found[1]], int(found[2])))
    elif found := _RELEASE.match(line):
        facts.release = found[1]


class Text(NamedTuple):
    """One form of text.

    Attributes:
        name: what it is, for a person.
        told: whether a text that begins so is one.
        take: takes a line.
    """

    name: str
    told: Callable[[str], bool]
    take: Callable[[str, TextFacts], None]


def _begins_as_log(head: str) -> bool:
    return any(parse_line(line) is not None for line in head.splitlines()[:50])


TEXTS: Final = (
    Text("an agent's metrics", lambda head: "cilium_bpf_map_pressure{" in head, _prometheus),
    Text("an agent's metrics", lambda head: "cilium_drop_count_total{" in head, _prometheus),
    Text("an agent's status", lambda head: "Clock Source for BPF:" in head, _status),
    Text("an agent's status", lambda head: "dynamic sizing: on" in head, _status),
    Text("what a monitor saw", lambda head: _DROP.search(head) is not None, _monitor),
    Text(
        "the tool's drop counters",
        lambda head: re.search(r"^REASON\s+DIRECTION\s+PACKETS", head, re.MULTILINE) is not None,
        _counters,
    ),
    Text("an agent's log", _begins_as_log, _log),
)
"""Every form, the ones that are told most surely first."""


def forms_of(head: str) -> list[Text]:
    """What a text is by its beginning; a script's output is several of these, or of none."""
    found: list[Text] = []
    for one in TEXTS:
        # A line like those of a log stands in many a text.
        if one.take is _log and found:
            break
        if all(one.take is not other.take for other in found) and one.told(head):
            found.append(one)
    return found
