"""What happens now, as an event: the one place where events get their time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ctconsole.model.event import Event, Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.event import EventKind, Scalar


def happened(
    kind: EventKind,
    source: str,
    subject: object,
    message: str,
    fields: Mapping[str, Scalar] | None = None,
    *,
    level: Level = Level.INFO,
    at: float | None = None,
) -> Event:
    """An event (see `Event`) of this moment.

    Args:
        kind: what happened.
        source: the room that says so.
        subject: the path, endpoint or thing it happened to.
        message: one line for a person.
        fields: details by name.
        level: how loud.
        at: seconds since the Unix epoch, where it happened at another moment.
    """
    when = time.time() if at is None else at
    return Event(when, kind, source, str(subject), message, level, fields or {})
