"""Waiting for a ticket in a thread of its own, while entries are carried."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError

if TYPE_CHECKING:
    from ctconsole.manager.switch import SwitchProgress, Ticket


class Waiting:
    """Waits until a switch is over; begins at once.

    Args:
        ticket: of the switch, which has begun.
    """

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._error: BaseException | None = None
        # A daemon: where the wait is given up, the ticket's other side ends it or its silence.
        self._thread = threading.Thread(target=self._wait, name="switch", daemon=True)
        self._thread.start()

    def is_over(self, seconds: float) -> bool:
        """Whether every program is replaced, waiting so many seconds for it.

        Raises:
            CtconsoleError: it failed, or the other side is silent.
        """
        self._thread.join(seconds)
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def progress(self) -> SwitchProgress | None:
        """How far it is, None where that is not to be had just now."""
        with suppress(CtconsoleError, OSError):
            return self._ticket.progress()
        return None

    def _wait(self) -> None:
        try:
            self._ticket.wait()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self._error = error
