"""What events can be asked for: kind, level, map, who says so, text and time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.model.event import EventKind, Level
from ctconsole.model.filter import rules
from ctconsole.model.filter.asking import EVENTS
from ctconsole.model.filter.parse import NONE_SAVED
from ctconsole.model.filter.query import Filter
from ctconsole.model.filter.rules import Fields, FilterRule, Test, UnmeantError
from ctconsole.model.filter.syntax import Compare, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from ctconsole.model.event import Event
    from ctconsole.model.filter.asking import Asked

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Rule: TypeAlias = FilterRule["Happened"]


@dataclass(frozen=True, slots=True)
class Happened:
    """Events as rows.

    Attributes:
        events: in any order.
        now: seconds since the Unix epoch, for what is asked by the time of day or by age.
    """

    events: Sequence[Event]
    now: float

    def __len__(self) -> int:
        return len(self.events)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Happened:
        """Some of them."""
        if isinstance(rows, slice):
            return Happened(self.events[rows], self.now)
        return Happened([self.events[row] for row in rows], self.now)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """When each happened; NaN where that was not told."""
        return np.array([event.time for event in self.events], np.float64)


EventFilter: TypeAlias = Filter[Happened]

_LEVELS: Final = tuple(Level)
_TIME: Final = re.compile(
    r"(?:(?P<day>\d{4}-\d{2}-\d{2})(?:[T ](?=\d)|$))?(?P<clock>\d{2}:\d{2}(?P<s>:\d{2})?)?",
    re.ASCII,
)
_TIME_TAKES: Final = "a time as 01:36, 01:36:10, 2026-11-28 or 2026-11-28T01:36"


def event_fields() -> Fields[Happened]:
    """What can be asked of events."""
    return Fields(
        "events", (_kinds(), _levels(), _subjects(), _sources(), _texts(), _times(), _ages())
    )


def parse_events(text: str, saved: Mapping[str, str] = NONE_SAVED) -> EventFilter:
    """A filter for events.

    Raises:
        FilterError: points at what cannot be meant, and says what could be.
    """
    return Filter.parse(text, event_fields(), saved)


def _each(holds: Callable[[Event], bool]) -> Test[Happened]:
    """A test that is asked of one event after the other."""
    return Test(lambda rows: np.fromiter(map(holds, rows.events), np.bool_, len(rows)))


def _occurring(of: Callable[[Event], str]) -> Callable[[Happened], Iterator[str]]:
    """The texts that events have, those of the newest first."""
    return lambda rows: iter(dict.fromkeys(filter(None, map(of, reversed(rows.events)))))


def _kinds() -> Rule:
    words = tuple(kind.value for kind in EventKind)

    def read(_compare: Compare, value: Value) -> Test[Happened]:
        matches = rules.name_is(value)
        found = frozenset(word for word in words if matches(word))
        if not found:
            raise UnmeantError(f"a kind, or several as map-*: {', '.join(words)}", words)
        return _each(lambda event: event.kind.value in found)

    takes = f"a word; * and ? stand for any letters: {', '.join(words)}"
    return FilterRule(
        EVENTS["kind"],
        read,
        takes,
        words,
        bare=True,
        cost=1,
        occurring=_occurring(lambda event: event.kind.value),
    )


def _levels() -> Rule:
    words = tuple(level.value for level in _LEVELS)

    def read(compare: Compare, value: Value) -> Test[Happened]:
        word = value.text.lower()
        if word not in words:
            raise UnmeantError(", ".join(words), words)
        place = words.index(word)

        def holds(rows: Happened) -> Bools:
            levels = (_LEVELS.index(event.level) for event in rows.events)
            return compare.holds(np.fromiter(levels, np.int64, len(rows)), place)

        return Test(holds)

    return FilterRule(
        EVENTS["level"], read, f"one of {', '.join(words)}", words, ordered=True, bare=True
    )


def _named(asked: Asked, of: Callable[[Event], str], shown: Callable[[Event], str]) -> Rule:
    def read(_compare: Compare, value: Value) -> Test[Happened]:
        matches = rules.name_is(value)
        return _each(lambda event: matches(of(event)))

    return FilterRule(asked, read, rules.NAME_TAKES, occurring=_occurring(shown))


def _subjects() -> Rule:
    return _named(
        EVENTS["map"],
        lambda event: event.subject,
        lambda event: event.subject.rpartition("/")[2],
    )


def _sources() -> Rule:
    return _named(EVENTS["source"], lambda event: event.source, lambda event: event.source)


def _texts() -> Rule:
    def read(_compare: Compare, value: Value) -> Test[Happened]:
        has = rules.text_has(value)
        return _each(lambda event: any(map(has, _said(event))))

    return FilterRule(EVENTS["text"], read, rules.TEXT_TAKES, cost=4)


def _said(event: Event) -> Iterable[str]:
    yield event.message
    yield event.subject
    for name, value in event.fields.items():
        yield f"{name}={value}"


def _told(rows: Happened) -> Bools:
    """Events whose time was told."""
    return ~np.isnan(rows.times)


def _times() -> Rule:
    def read(compare: Compare, value: Value) -> Test[Happened]:
        _moments(value, 0.0)

        def holds(rows: Happened) -> Bools:
            first, end = _moments(value, rows.now)
            times = rows.times
            match compare:
                case Compare.LESS:
                    return np.asarray(times < first)
                case Compare.AT_MOST:
                    return np.asarray(times < end)
                case Compare.MORE | Compare.AT_LEAST:
                    return np.asarray(times >= first)
                case _:
                    return np.asarray((times >= first) & (times < end))

        return Test(holds, known=_told)

    return FilterRule(EVENTS["time"], read, f"{_TIME_TAKES}; > is from then on", ordered=True)


def _moments(value: Value, now: float) -> tuple[float, float]:
    """When the day, minute or second that is meant begins and ends, seconds since the epoch.

    A time of day is the last one there was.

    Raises:
        UnmeantError: it is no time.
    """
    found = _TIME.fullmatch(value.text)
    if found is None or not value.text:
        raise UnmeantError(f"{_TIME_TAKES}; for how long ago there is age")
    here = datetime.fromtimestamp(now, UTC).astimezone()
    lasts = timedelta(seconds=1) if found["s"] else timedelta(minutes=1)
    if not found["clock"]:
        lasts = timedelta(days=1)
    text = f"{found['day'] or here.date().isoformat()}T{found['clock'] or '00:00'}"
    try:
        start = datetime.fromisoformat(text).astimezone()
        if not found["day"] and start > here:
            start -= timedelta(days=1)
        return start.timestamp(), (start + lasts).timestamp()
    except (ValueError, OverflowError) as error:
        raise UnmeantError(_TIME_TAKES) from error


def _ages() -> Rule:
    return rules.measured(
        EVENTS["age"],
        lambda rows: rows.now - rows.times,
        rules.SECONDS,
        rules.TIME_TAKES,
        known=_told,
    )
