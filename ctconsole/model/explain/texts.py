"""Texts that tell more than maps: an agent's log, its monitor, metrics and status.

A form of text is one row of `TEXTS`: how it is told by its beginning, what every line of it that
says something has in it, and what takes such a line. Lines of several forms may stand in one text.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.explain.log import LogFacts
from ctconsole.model.readers.agentlog import MATTERS
from ctconsole.model.readers.flows import flow_drop, is_flows, is_monitor_json, monitor_drop
from ctconsole.model.readers.lines import bundles, line_starts
from ctconsole.model.readers.logline import parse_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_BLOCK: Final = 1 << 20
_HEAD: Final = 1 << 14

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
        writer: whose log it is, where its name tells.
        sizes: of tables by pin name, by place.
    """

    log: LogFacts | None = None
    drops: Counter[tuple[str, str]] = field(default_factory=Counter)
    pressure: dict[str, float] = field(default_factory=dict)
    clock: ClockSource | None = None
    ratio: float | None = None
    release: str = ""
    place: str = ""
    writer: str = ""
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)

    def size_of(self, place: str, pin_name: str) -> int:
        """The size of a table of a node, 0 where not told; one node's status is of every file."""
        own = self.sizes.get(place, {})
        if not own and len(self.sizes) == 1:
            [own] = self.sizes.values()
        return own.get(pin_name, 0)


def _log(line: str, facts: TextFacts) -> bool:
    found = facts.log or LogFacts()
    found.writer = facts.writer
    if found.read(line):
        facts.log = found
        return True
    return False


def _monitor(line: str, facts: TextFacts) -> bool:
    if found := _DROP.search(line):
        facts.drops[found[1], found[2] or ""] += 1
    return found is not None


def _counters(line: str, facts: TextFacts) -> bool:
    found = _COUNTED.match(line)
    if found and found[1] not in {"Success", "REASON"}:
        facts.drops[found[1], ""] += int(found[3])
    return found is not None


def _pressure(line: str, facts: TextFacts) -> bool:
    if found := _PRESSURE.search(line):
        # Of several agents the fullest counts: it is the one that is asked about.
        facts.pressure[found[1]] = max(facts.pressure.get(found[1], 0.0), float(found[2]))
    return found is not None


def _drops(line: str, facts: TextFacts) -> bool:
    if found := _DROPS.search(line):
        facts.drops[found[1], ""] += int(float(found[2]))
    return found is not None


def _flow(line: str, facts: TextFacts) -> bool:
    return _counted_as(flow_drop(line), facts)


def _seen(line: str, facts: TextFacts) -> bool:
    return _counted_as(monitor_drop(line), facts)


def _counted_as(reason: str | None, facts: TextFacts) -> bool:
    if reason:
        facts.drops[reason, ""] += 1
    return reason is not None


def _status(line: str, facts: TextFacts) -> bool:
    if found := _CLOCK.match(line):
        facts.clock = ClockSource(found[1], int(found[2] or 0))
    elif found := _RATIO.search(line):
        facts.ratio = float(found[1])
    elif found := _SIZE.match(line):
        sizes = facts.sizes.setdefault(facts.place, {})
        sizes.update(dict.fromkeys(_SIZED[found[1]], int(found[2])))
    elif found := _RELEASE.match(line):
        facts.release = found[1]
    return found is not None


class Text(NamedTuple):
    """One form of text.

    Attributes:
        name: what it is, for a person.
        marks: a line that says something has one of these in it. Each begins with letters, which
            are searched for quickly.
        told: whether a text that begins so is one, though it may say nothing.
        take: takes a line; whether it says something.
    """

    name: str
    marks: tuple[re.Pattern[bytes], ...]
    told: Callable[[str], bool]
    take: Callable[[str, TextFacts], bool]


def _begins_as_log(head: str) -> bool:
    return any(parse_line(line) is not None for line in head.splitlines()[:50])


def _never(head: str) -> bool:
    del head
    return False


TEXTS: Final = (
    Text("an agent's metrics", (re.compile(rb"cilium_bpf_map_pressure\{"),), _never, _pressure),
    Text("an agent's metrics", (re.compile(rb"cilium_drop_count_total\{"),), _never, _drops),
    Text(
        "an agent's status",
        tuple(
            re.compile(mark)
            for mark in (
                rb"Clock Source for BPF:",
                rb"dynamic sizing: on",
                rb"TCP connection tracking ",
                rb"NAT  ",
                rb"Cilium:\s",
            )
        ),
        _never,
        _status,
    ),
    Text(
        "Hubble's flows",
        tuple(
            re.compile(mark) for mark in (rb'drop_reason_desc"', rb'drop_reason"', rb"DROPPED \(")
        ),
        is_flows,
        _flow,
    ),
    Text("what a monitor saw, as JSON", (re.compile(rb'type"'),), is_monitor_json, _seen),
    Text("what a monitor saw", (re.compile(rb"xx drop \("),), _never, _monitor),
    Text(
        "the tool's drop counters",
        tuple(re.compile(mark) for mark in (rb"INGRESS  ", rb"EGRESS  ", rb"SERVICE  ")),
        lambda head: re.search(r"^REASON\s+DIRECTION\s+PACKETS", head, re.MULTILINE) is not None,
        _counters,
    ),
    Text("an agent's log", MATTERS, _begins_as_log, _log),
)
"""Every form."""


def read_text(blocks: Iterable[bytes], facts: TextFacts) -> list[str]:
    """Take what a text tells, whatever else stands in it.

    Args:
        blocks: the text in order.
        facts: takes it.

    Returns:
        What it is, or what is in it; nothing where it tells nothing.
    """
    whole = bundles(blocks, _BLOCK)
    first = next(whole, b"")
    head = first[:_HEAD].decode("utf-8", "replace")
    begun = [one for one in TEXTS if one.told(head)]
    found: list[Text] = []
    if head.lstrip()[:1] in {"[", "{"} and not begun:
        # A document, which may be very large; lines that are carried in JSON are told as a log.
        return []
    for block in chain([first], whole):
        starts = [
            (start, number)
            for number, one in enumerate(TEXTS)
            for start in line_starts(block, one.marks)
        ]
        for start, number in sorted(starts):
            end = block.find(b"\n", start)
            line = block[start : end if end >= 0 else len(block)].decode("utf-8", "replace")
            one = TEXTS[number]
            if one.take(line.rstrip("\r"), facts) and one not in found:
                found.append(one)
    # A monitor and other tools begin with a line or two like those of a log.
    found = found or begun
    if facts.log is None and any(one.take is _log for one in found):
        facts.log = LogFacts()
    return list(dict.fromkeys(one.name for one in TEXTS if one in found))
