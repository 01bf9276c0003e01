"""The conntrack tables of a dump, or of a moment of a recording, to be compared with others."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import UsageError
from ctconsole.model.when import moment_named
from ctconsole.model.whose import called

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.model.ct.table import CtTable


def tables_of(
    asked: str, warn: Callable[[str], None], beside: str = ""
) -> tuple[str, Mapping[str, CtTable]]:
    """Read one side of a comparison.

    Args:
        asked: a file; of a recording also ``FILE@MOMENT`` (see `moment_named`, counted back from
            its end), or ``@MOMENT`` alone for another one of the recording ``beside``.
        warn: told what could not be read, or where a recording breaks off.
        beside: the file of the other side.

    Returns:
        What was read, in words, and its conntrack tables by name.

    Raises:
        UsageError: a file cannot be read, or has no such moment.
        FormatError: there is no conntrack table in it.
    """
    name, _, moment = asked.partition("@") if not Path(asked).exists() else (asked, "", "")
    path = Path(name or beside)
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    from ctconsole.observe.recording.reader import is_recording

    if is_recording(head):
        return _recorded(path, moment, warn)
    if moment:
        raise UsageError(f"{path} is no recording, and has no moment {moment!r}")
    return str(path), _dumped(path, warn)


def _recorded(
    path: Path, moment: str, warn: Callable[[str], None]
) -> tuple[str, Mapping[str, CtTable]]:
    from ctconsole.model.units import day_and_time
    from ctconsole.observe.recording.reader import Recording
    from ctconsole.observe.recording.ring import place_of
    from ctconsole.observe.recording.seeker import Seeker

    with Recording(path) as recording:
        times = recording.times
        at = moment_named(moment, times[-1]) if moment else times[-1]
        # Moments are shown, and so named, in whole seconds.
        if not math.floor(times[0]) <= at <= times[-1]:
            raise UsageError(
                f"{path} reaches from {day_and_time(times[0])} to {day_and_time(times[-1])}",
                hint=f"{moment!r} lies outside",
            )
        if recording.told:
            warn(recording.told)
        found = Seeker(recording.moments).at(place_of(times, at))
    tables = {called(one.info.label, one.whose): one for one in found.tables.values()}
    return f"{path} at {day_and_time(found.taken_at)}", tables


def _dumped(path: Path, warn: Callable[[str], None]) -> Mapping[str, CtTable]:
    from ctconsole.observe.offline_source import OfflineSource

    source = OfflineSource([path])
    for problem in source.offline.problems:
        warn(problem)
    tables = {}
    for row in source.maps().rows:
        if row.is_conntrack:
            tables[row.name] = source.table(row.info.id)
    if not tables:
        raise source.offline.without("a conntrack map", [path])
    return tables
