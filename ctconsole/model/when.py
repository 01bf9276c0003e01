"""Moments as people name them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from ctconsole.errors import UsageError

_UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_BACK: Final = re.compile(
    r"-\s*(?P<signed>(\d+[dhms]\s*)+)|(?P<ago>(\d+\s*[dhms]\s*)+)\s*ago", re.IGNORECASE
)
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_FORMS: Final = "Write 3m ago, -90s, 01:36, 01:36:05 or 2026-11-28 01:36"


def moment_named(text: str, now: float) -> float:
    """The moment a text names, seconds since the Unix epoch.

    ``3m ago``, ``1h30m ago`` and ``-90s`` count back; ``01:36`` and ``01:36:05`` are the last such
    times of the local clock, ``2026-11-28 01:36`` is that moment of it; ``now`` is now.

    Args:
        text: as typed.
        now: what is counted back from, seconds since the Unix epoch.

    Raises:
        UsageError: it names none.
    """
    asked = text.strip()
    if asked.lower() == "now":
        return now
    back = _BACK.fullmatch(asked)
    if back:
        parts = re.findall(r"(\d+)\s*([dhms])", (back["signed"] or back["ago"]).lower())
        return now - sum(int(number) * _UNITS[unit] for number, unit in parts)
    try:
        clock = _TIME.fullmatch(asked)
        if clock:
            return _last(*(int(part or 0) for part in clock.groups()), now=now)
        return datetime.fromisoformat(asked).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{text!r} names no moment", hint=_FORMS) from error


def _last(hour: int, minute: int, second: int, *, now: float) -> float:
    """The last time the local clock showed this."""
    today = datetime.fromtimestamp(now).astimezone()
    found = today.replace(hour=hour, minute=minute, second=second, microsecond=0, tzinfo=None)
    if found.timestamp() > now:
        found -= timedelta(days=1)
    return found.timestamp()
