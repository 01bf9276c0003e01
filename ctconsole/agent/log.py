"""The agent's log: logfmt in the look of Cilium's, and the same events in the history."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from ctconsole.model.event import Event, Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.history import History


def open_log(stream: TextIO | None = None) -> Any:  # noqa: ANN401 - structlog types its loggers so
    """A logger whose lines read ``level=warning msg="..." file-path=... new=... old=...``.

    Args:
        stream: where to; standard output, which is the log file of a detached agent.
    """
    return structlog.wrap_logger(
        structlog.PrintLogger(stream or sys.stdout),
        processors=[
            structlog.processors.EventRenamer("msg"),
            structlog.processors.LogfmtRenderer(key_order=["level", "msg"], bool_as_flag=False),
        ],
        wrapper_class=structlog.BoundLogger,
    )


class Recorder:
    """Writes every event to the history and, but for debug ones, to the log.

    Args:
        history: the store.
        stream: see `open_log`.
    """

    def __init__(self, history: History, stream: TextIO | None = None) -> None:
        self.history = history
        self._log = open_log(stream)

    def __call__(self, events: Iterable[Event]) -> None:
        """Record events in order; the history first, so that the log never knows more."""
        events = tuple(events)
        self.history.append(events)
        for event in events:
            if event.level is not Level.DEBUG:
                self._log.info(event.message, level=event.level.value, **event.fields)
