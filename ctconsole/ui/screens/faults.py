"""A fault in a worker of a screen is told to the person, whichever screen it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.worker import Worker

if TYPE_CHECKING:
    from textual.app import App


class TellsFaults:
    """To be mixed into a screen that has workers.

    Textual tells of a worker only to the screen that started it, and no further; the console's
    status line says what failed (see `ConsoleApp`).
    """

    app: App[object]

    def on_worker_state_changed(self, message: Worker.StateChanged) -> None:
        """Hand it on to the console."""
        self.app.post_message(Worker.StateChanged(message.worker, message.state))
