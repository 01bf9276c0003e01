"""What most needs a look in a sample, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.model.advice import Advice, AdviceVerdict, Watched, advise
from ctconsole.model.event import Level
from ctconsole.model.fullness import DEFAULT_THRESHOLDS, Fullness, Thresholds, fullness
from ctconsole.model.units import count, duration, percent
from ctconsole.observe.sampler import standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that needs a look.

    Attributes:
        level: how loud: ERROR or WARNING.
        text: one sentence without a full stop.
        key: `MapRow.key` of the map it is about; empty where it is about none.
    """

    level: Level
    text: str
    key: str = ""


def alarms(sample: Sample, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> tuple[Alarm, ...]:
    """All that needs a look, the worst first.

    Pins that do not show what the node does; then full tables, then those that fill up, the
    fullest first; then pins that cannot be looked at.
    """
    node = sample.node
    split = [
        Alarm(Level.ERROR, f"{one.verdict} · Datapath shows which", key)
        for key, one in standing(sample).items()
        if one.split
    ]
    filled = [] if node is None else list(_filled(sample, node.rows, thresholds))
    return (*split, *filled, *_not_shown(node.passed_over if node else ()))


def _filled(sample: Sample, rows: Sequence[MapRow], thresholds: Thresholds) -> Iterator[Alarm]:
    # What is on its way in or out has a sign behind its name: the old map while a resize goes on,
    # and Cilium's own ":pending". Nobody is to enlarge that.
    found = [
        row
        for row in rows
        if row.fill is not None and row.info.type.is_hash and ":" not in row.info.label
    ]
    told = [(full_of(sample, row), row) for row in found]
    for full, row in sorted(told, key=lambda one: (one[0] is None, -(one[1].fill or 0))):
        fill = row.fill or 0.0
        level = Level.ERROR if full is not None else thresholds.level(row.info.label, fill)
        if level is Level.INFO:
            continue
        state = f"{full.text}" if full is not None else f"{percent(fill)} full"
        more = prospect(advice_of(sample, row))
        yield Alarm(level, f"{row.name} is {state}{more}", row.key)


def full_of(sample: Sample, row: MapRow) -> Fullness | None:
    """How a map is full, None where it is not."""
    if sample.node is None or not row.info.type.is_hash:
        return None
    turnover = sample.turnovers.get(row.key)
    trend = sample.trends.get(row.key, ())
    return fullness(row.info, trend, sample.node.cpus, turnover.evicted if turnover else None)


def advice_of(sample: Sample, row: MapRow) -> Advice | None:
    """What size a map should have; None where nothing of it was counted."""
    trend = sample.trends.get(row.key, ())
    if not trend or sample.node is None:
        return None
    stats, turnover = sample.stats.get(row.key), sample.turnovers.get(row.key)
    return advise(
        Watched(
            row.info,
            trend,
            sample.node.cpus,
            expired=stats.kinds.expired if stats and stats.clock else None,
            came=turnover.new if turnover else None,
            evicted=turnover.evicted if turnover else None,
        )
    )


def prospect(advice: Advice | None) -> str:
    """Where a table's fill goes, and the size it should have, to be put behind its state."""
    if advice is None:
        return ""
    text = ""
    if not advice.full and advice.full_in is not None and advice.grown is not None:
        rate = f"{advice.grown.rate:+,.0f}/s"
        text = f", at {rate} it is full in about {duration(round(advice.full_in))}"
    if advice.verdict is AdviceVerdict.ENLARGE:
        text += f"; {count(advice.wanted or 0)} entries are advised"
    return text


def _not_shown(passed_over: Sequence[str]) -> Iterator[Alarm]:
    """That some pins could not be opened, and why the first of them."""
    if passed_over:
        more = f"; {len(passed_over) - 1} more" if len(passed_over) > 1 else ""
        yield Alarm(Level.WARNING, f"{passed_over[0]}{more}")
