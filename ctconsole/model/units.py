"""Numbers for people: counts, sizes, durations, shares, and sizes as people type them."""

from __future__ import annotations

import re
import time
from typing import Final

from ctconsole.errors import UsageError

_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_SUFFIXES: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SHORT: Final = 10
_LONGEST_COUNT: Final = 99_999
_THOUSANDS: Final = 999_999


def count(number: int) -> str:
    """A count with its thousands apart: ``524,288``."""
    return f"{number:,}"


def size(number: float) -> str:
    """Bytes in the largest binary unit that leaves at least 1: ``71.3 MiB``, ``512 B``."""
    unit = 0
    while abs(number) >= _STEP and unit < len(_BINARY) - 1:
        number /= _STEP
        unit += 1
    return f"{number:.0f} {_BINARY[unit]}" if unit == 0 else f"{number:.1f} {_BINARY[unit]}"


def duration(seconds: float) -> str:
    """A duration in its two largest units: ``2h 13m``, ``8s``, ``0.25s``; negative with a sign."""
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds < _SHORT and seconds != int(seconds):
        return f"{sign}{seconds:.2f}s"
    whole = round(seconds)
    for unit, large, small, part in (
        (_DAY, "d", "h", _HOUR),
        (_HOUR, "h", "m", _MINUTE),
        (_MINUTE, "m", "s", 1),
    ):
        if whole >= unit:
            rest = whole % unit // part
            return f"{sign}{whole // unit}{large}" + (f" {rest}{small}" if rest else "")
    return f"{sign}{whole}s"


def day_and_time(moment: float) -> str:
    """A moment, seconds since the Unix epoch, by the local clock: ``2026-11-28 01:36:02``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def share(part: int, whole: int) -> str:
    """A share in percent that never rounds something to nothing nor nearly all to all."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if part and percent < 0.1:  # noqa: PLR2004 - the smallest figure printed
        return "<0.1%"
    return f"{min(percent, 99.9) if part < whole else percent:.1f}%"


def percent(fill: float) -> str:
    """Three characters and the sign; never ``0 %`` for a few entries, nor 100 for nearly all."""
    if 0 < fill < 0.01:  # noqa: PLR2004 - one percent
        return "<1%"
    whole = round(fill * 100)
    return f"{99 if whole == 100 and fill < 1 else whole}%"  # noqa: PLR2004 - a hundred percent


def short_count(number: int) -> str:
    """At most six characters: ``84,112``, then ``655k``, then ``1.2M``."""
    if number <= _LONGEST_COUNT:
        return f"{number:,}"
    if number <= _THOUSANDS:
        return f"{number // 1000}k"
    return _scaled(number, 1000, ("", "k", "M", "G", "T", "P", "E"))


def short_size(number: int) -> str:
    """Bytes in at most eight characters, in units of 1024: ``812 B``, ``61.2 MiB``."""
    if number < 1024:  # noqa: PLR2004 - bytes of a KiB
        return f"{number} B"
    return _scaled(number, 1024, ("", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"))


def _scaled(number: float, step: int, units: tuple[str, ...]) -> str:
    place = 0
    while number >= step and place < len(units) - 1:
        number /= step
        place += 1
    digits = 1 if number < 100 else 0  # noqa: PLR2004 - three digits in all
    return f"{number:.{digits}f}{units[place]}"


def parse_size(text: str) -> int:
    """A number of entries or bytes as people type it.

    ``524288``, ``524,288``, ``512k`` and ``512Ki`` all mean 524288; k, m and g are binary, as map
    sizes are.

    Raises:
        UsageError: the text is no such number.
    """
    found = re.fullmatch(r"\s*([0-9][0-9_,]*)\s*([kmg]?)i?b?\s*", text, re.IGNORECASE)
    if not found:
        raise UsageError(f"{text!r} is not a size", hint="Write a number such as 524288 or 512k")
    return int(re.sub("[_,]", "", found[1])) * _SUFFIXES[found[2].lower()]
