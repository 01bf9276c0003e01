"""The agent's log: logfmt in the look of Cilium's, and the same events in the history."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from ctconsole.model.event import Event, Level
from ctconsole.recorder import Recorder

if TYPE_CHECKING:
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


def recorder(history: History, stream: TextIO | None = None) -> Recorder:
    """Writes every event to the history and, but for debug ones, to the log.

    Args:
        history: the store.
        stream: see `open_log`.
    """
    log = open_log(stream)

    def tell(event: Event) -> None:
        if event.level is not Level.DEBUG:
            log.info(event.message, level=event.level.value, **event.fields)

    return Recorder(history.append, source="agent", subject=str(history.path), tell=tell)
