"""What is at hand in a recording to answer an operator's questions, as of one of its moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctconsole.errors import UsageError
from ctconsole.model.advice import Watched, advise
from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.explain.facts import ContentTally, Known
from ctconsole.model.explain.log import LogFacts
from ctconsole.model.units import day_and_time
from ctconsole.node.advising import Advised, in_order, worth_telling
from ctconsole.node.explaining import named, table_known
from ctconsole.observe.usage import in_use

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ctconsole.model.fill import Trend
    from ctconsole.observe.recording.moment import NodeMoment
    from ctconsole.observe.recording.reader import Recording

_HEAD: Final = 8


def recording_among(paths: Sequence[Path]) -> Path | None:
    """The recording that is asked about; None where the files are others.

    Raises:
        UsageError: it is one of several files.
    """
    from ctconsole.observe.recording.reader import is_recording

    for path in paths:
        try:
            with path.open("rb") as file:
                found = path.is_file() and is_recording(file.read(_HEAD))
        except OSError:
            # Whoever reads it says what is wrong.
            continue
        if found and len(paths) > 1:
            raise UsageError(f"{path} is a recording: it is asked about alone")
        if found:
            return path
    return None


def known_of_recording(path: Path) -> Known:
    """What is at hand in a recording at its last moment.

    Raises:
        UsageError: the file cannot be read.
        FormatError: it is no recording, or damaged.
    """
    from ctconsole.observe.recording.reader import Recording

    with Recording(path) as recording:
        return known_at(recording, recording.times[-1])


def known_at(recording: Recording, when: float) -> Known:
    """What is at hand in a recording at a moment; may be asked by any thread.

    Args:
        recording: which.
        when: seconds since the Unix epoch.

    Raises:
        FormatError: what was recorded of it cannot be made sense of.
    """
    from ctconsole.observe.recording.counted import fills_of_frames
    from ctconsole.observe.recording.ring import place_of
    from ctconsole.observe.recording.seeker import Seeker

    moment = Seeker(recording.moments).at(place_of(recording.times, when))
    return _known(recording, moment, fills_of_frames(recording.moments))


def _known(recording: Recording, moment: NodeMoment, fills: Mapping[str, Trend]) -> Known:
    """What is at hand at one moment; what comes after it is not looked at."""
    contents = {}
    for key, table in moment.tables.items():
        contents[key] = ContentTally()
        contents[key].add(table)
    found = []
    cpus = moment.node.cpus if moment.node else 0
    for row in moment.node.rows if moment.node else ():
        before = [point for point in fills.get(row.key, ()) if point[0] <= moment.taken_at]
        trend = tuple(before) or ((moment.taken_at, row.entries or 0),)
        if row.entries is None or not worth_telling(row.info, trend):
            continue
        tally = contents.get(row.key)
        content = tally.content() if tally else None
        expired = content.expired if content is not None and content.now else None
        found.append((Advised("", advise(Watched(row.info, trend, cpus, expired)), None), tally))
    tallies = {one.advice.watched.info.id: tally for one, tally in found}
    tables = [
        table_known(one, tallies[one.advice.watched.info.id])
        for one in in_order([one for one, _ in found], ())
    ]
    log = LogFacts()
    log.take_all(event for _, event in recording.events if event.time <= moment.taken_at)
    hertz = next((table.hertz for table in moment.tables.values() if table.hertz), 0)
    told = any(table.now for table in moment.tables.values())
    known = Known(
        live=False,
        tables=tuple(tables),
        clock=ClockSource("jiffies" if hertz else "ktime", hertz) if told else None,
        clock_origin="the one that was recorded with the entries" if told else "",
        log=log,
        gc_interval=log.gc_interval,
        gc_last=log.gc_last,
        gc_deleted=log.gc_deleted,
        sources=(f"{recording.path} at {day_and_time(moment.taken_at)}: {recording.head.title}",),
        now=moment.taken_at,
        older={one.path.name: in_use(one) for one in moment.usage if one.older},
    )
    return named(known, recording.names, {})
