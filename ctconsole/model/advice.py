"""What size a table should have, and why: from its fill, its past, and the memory there is.

The rule is simple on purpose, so that everybody can check it. A table should be `TARGET` full at
its worst moment. That is the most entries it was seen with, or what it holds once as many have
come again as came while it was watched, or, where a full table throws entries out, what it would
hold if it threw none out. The size is the next power of two that takes this before it evicts,
because there a hash costs least memory for each entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ctconsole.model.catalogue import RECREATABLE, size_limits
from ctconsole.model.fill import full_in, growth
from ctconsole.model.memory import is_full, map_memory, room, smallest
from ctconsole.model.spec import spec_of
from ctconsole.model.units import count, duration, share, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.fill import Growth, Trend
    from ctconsole.model.spec import MapInfo

TARGET: Final = 0.7
"""How full a table should be at its worst moment; there the console begins to warn."""

WINDOW: Final = 600.0
"""Seconds over which growth is measured."""

LONG: Final = 86_400.0
"""Seconds a table has to be watched before a smaller size is thought of: nights are quiet."""

_MUCH: Final = 4
"""A table is worth making smaller where it is so many times as large as it should be."""

_MOST_TIMES: Final = 4
"""A table that throws out nearly all that comes is advised to grow by so much at first."""


class AdviceVerdict(StrEnum):
    """What should be done."""

    ENLARGE = "enlarge"
    KEEP = "keep"
    SHRINK = "may shrink"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of one table.

    Attributes:
        info: the map; a maximum of 0 is not known.
        trend: its counts, oldest first, the newest of now.
        cpus: possible CPUs of the machine, 0 where not known.
        expired: of the entries now, those that wait for the collector; None where not known.
        came: entries that came each second, None where not known.
        evicted: entries that a full table threw out each second, None where not known.
        memory_free: bytes that a new map may take now, None where not known.
    """

    info: MapInfo
    trend: Trend
    cpus: int
    expired: int | None = None
    came: float | None = None
    evicted: float | None = None
    memory_free: int | None = None

    @property
    def entries(self) -> int:
        """Entries now."""
        return self.trend[-1][1]


@dataclass(frozen=True, slots=True)
class Advice:
    """What one table should be.

    Attributes:
        watched: what it rests on.
        verdict: what to do.
        wanted: the size it should have, None where that is not known.
        peak: the most entries it was seen with, and when.
        grown: how fast it grows, None where only one count is known.
        full: whether it evicts or refuses what comes.
        full_in: seconds until it is, None where it does not get there.
        memory_now: bytes it is charged, None where not known.
        memory_wanted: bytes it would be charged at the size wanted.
        reasons: sentences.
        unknown: sentences: what is not known, and why.
    """

    watched: Watched
    verdict: AdviceVerdict
    wanted: int | None
    peak: tuple[float, int]
    grown: Growth | None
    full: bool
    full_in: float | None
    memory_now: int | None
    memory_wanted: int | None
    reasons: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def fill(self) -> float:
        """Entries over maximum; 0 where that is not known."""
        most = self.watched.info.max_entries
        return self.watched.entries / most if most else 0.0

    @property
    def line(self) -> str:
        """``cilium_ct4_global should have 1,048,576 entries: full in 14m at this rate``."""
        name = self.watched.info.label
        if self.verdict is AdviceVerdict.ENLARGE:
            return f"{name} should have {count(self.wanted or 0)} entries: {self.state}"
        return f"{name}: {self.state}"

    @property
    def state(self) -> str:
        """How full it is and where that goes, in a few words."""
        info, entries = self.watched.info, self.watched.entries
        if not info.max_entries:
            return "its maximum is not known"
        text = f"{share(entries, info.max_entries)} full"
        if self.full:
            what = "throws entries out" if info.type.is_lru else "refuses new entries"
            rate = self.watched.evicted
            return f"full: it {what}" + (f", about {rate:,.0f}/s" if rate else "")
        if self.full_in is not None and self.full_in < LONG:
            return f"{text}, and full in {duration(round(self.full_in))} at this rate"
        return text


def advise(watched: Watched) -> Advice:
    """Say what size a table should have."""
    info, entries = watched.info, watched.entries
    cpus = max(1, watched.cpus)
    peak = max(reversed(watched.trend), key=lambda point: point[1])
    grown = growth(watched.trend, WINDOW)
    space = room(info, cpus) if info.max_entries else 0
    full = is_full(info, entries, cpus)
    ahead = max(0.0, grown.rate) * min(grown.seconds, LONG) if grown else 0.0
    worst = max(peak[1], round(entries + ahead), _without_evictions(watched) if full else 0)
    wanted = _size(info, worst, cpus) if info.max_entries else None
    verdict = _verdict(watched, wanted, full=full)
    if verdict is AdviceVerdict.KEEP:
        wanted = info.max_entries
    return Advice(
        watched=watched,
        verdict=verdict,
        wanted=wanted,
        peak=peak,
        grown=grown,
        full=full,
        full_in=None if full else full_in(space - entries, grown.rate if grown else None),
        memory_now=info.memlock
        or (map_memory(info, cpus, entries) if info.max_entries and watched.cpus else None),
        memory_wanted=map_memory(spec_of(info, max_entries=wanted), cpus, entries)
        if wanted and watched.cpus
        else None,
        reasons=tuple(_reasons(watched, verdict, peak, worst, full=full)),
        unknown=tuple(_unknown(watched, full=full)),
    )


def _without_evictions(watched: Watched) -> int:
    """What a full table would hold if it threw nothing out.

    What leaves by itself is what came less what was thrown out, from the entries there are now.
    At the same share of them a table holds so many more as more leave than do now.
    """
    came, evicted = watched.came, watched.evicted
    if not evicted:
        return watched.entries
    if came is None or came <= evicted:
        return watched.entries * _MOST_TIMES
    return round(watched.entries * min(_MOST_TIMES, came / (came - evicted)))


def _size(info: MapInfo, worst: int, cpus: int) -> int:
    """The next power of two that is `TARGET` full with so many entries, within the limits."""
    low, high = size_limits(info.label)
    needed = smallest(spec_of(info), -int(-worst // TARGET), cpus)
    return max(low, min(high, 1 << max(0, needed - 1).bit_length()))


def _verdict(watched: Watched, wanted: int | None, *, full: bool) -> AdviceVerdict:
    info = watched.info
    if wanted is None:
        return AdviceVerdict.UNKNOWN
    if info.type not in RECREATABLE:
        return AdviceVerdict.KEEP
    if wanted > info.max_entries or (full and wanted == info.max_entries):
        return AdviceVerdict.ENLARGE if wanted > info.max_entries else AdviceVerdict.KEEP
    long = watched.trend[-1][0] - watched.trend[0][0] >= LONG
    return (
        AdviceVerdict.SHRINK if long and wanted * _MUCH <= info.max_entries else AdviceVerdict.KEEP
    )


def _reasons(
    watched: Watched, verdict: AdviceVerdict, peak: tuple[float, int], worst: int, *, full: bool
) -> Iterator[str]:
    info, entries, now = watched.info, watched.entries, watched.trend[-1][0]
    span = now - watched.trend[0][0]
    if span:
        ago = duration(round(now - peak[0]))
        when = "now" if now == peak[0] else f"{ago} ago"
        yield f"Counted for {duration(round(span))}: at most {count(peak[1])} entries, {when}"
    if verdict in {AdviceVerdict.ENLARGE, AdviceVerdict.SHRINK}:
        yield f"{count(worst)} entries at its worst should fill no more than {TARGET:.0%}"
    if verdict is AdviceVerdict.KEEP and info.max_entries and not full:
        yield f"{count(worst)} entries at its worst fill {share(worst, info.max_entries)}"
    if full and watched.evicted:
        came = f" of {watched.came:,.0f} that come" if watched.came is not None else ""
        yield f"It throws out about {watched.evicted:,.0f} entries a second{came}"
    if watched.expired and watched.expired * 2 > entries:
        yield (
            f"{count(watched.expired)} of its {count(entries)} entries have expired and wait for "
            "the garbage collector: a shorter conntrack-gc-interval frees them without a new size"
        )


def _unknown(watched: Watched, *, full: bool) -> Iterator[str]:
    if not watched.info.max_entries:
        yield "Its maximum is not known: the files have its entries, not its size"
        return
    if len(watched.trend) < 2:  # noqa: PLR2004 - growth needs two counts
        yield "How it grows is not known: only one count of it was found"
    if full and watched.evicted is None:
        yield "How much it throws out is not known: nobody counts what comes and goes"
    if not watched.cpus:
        yield "The machine's CPUs are not known: sizes and memory are for one"
    if watched.memory_free is None:
        yield "Free memory is not known"


def fits(advice: Advice) -> bool | None:
    """Whether the new map can be made beside the old one, None where that is not known."""
    free, wanted = advice.watched.memory_free, advice.memory_wanted
    return wanted <= free if free is not None and wanted is not None else None


def memory_told(advice: Advice) -> str:
    """``71.3 MiB -> 143.0 MiB, both together 214.3 MiB, free 6.1 GiB``; empty where unknown."""
    now, wanted, free = advice.memory_now, advice.memory_wanted, advice.watched.memory_free
    if now is None:
        return ""
    if wanted is None or advice.verdict is AdviceVerdict.KEEP:
        return size(now)
    text = f"{size(now)} -> {size(wanted)}, both together {size(now + wanted)}"
    if free is not None:
        text += f", free {size(free)}" + ("" if fits(advice) else ": the new one does not fit")
    return text
