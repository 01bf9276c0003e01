"""A terminal driver for terminals that go away: a closed window, a lost ssh connection.

Textual's own waits for ever then: the thread that writes dies of the error, its queue fills up,
and whoever writes next never comes back. A console that hangs would keep a lab alive that goes
with it. It also takes every SIGCONT for the end of a suspension of its own: after a plain SIGSTOP
a second thread reads keys beside the first, each waits for what the other has read, and the
console cannot be left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from textual.app import App


class LosableOutput:
    """A text file whose terminal may vanish; from then on writing does nothing.

    Args:
        file: what is written to.
        lost: called once, in the writing thread, when the terminal has gone.
    """

    def __init__(self, file: TextIO, lost: Callable[[], None]) -> None:
        self._file = file
        self._tell_lost = lost
        self._gone = False

    def write(self, text: str) -> int:
        """Write, as far as there is anything to write to."""
        self._try(lambda: self._file.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush likewise."""
        self._try(self._file.flush)

    def fileno(self) -> int:
        """The descriptor below."""
        return self._file.fileno()

    def isatty(self) -> bool:
        """Whether it was a terminal when it was there."""
        return not self._gone and self._file.isatty()

    def _try(self, call: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            call()
        except OSError:
            self._gone = True
            self._tell_lost()


class LosableDriver(LinuxDriver):
    """Textual's driver; ends the app instead of hanging when the terminal has gone."""

    def __init__(self, app: App[Any], **options: Any) -> None:  # noqa: ANN401 - Textual's own options
        super().__init__(app, **options)
        self._file: Any = LosableOutput(self._file, self._lost)

    def run_input_thread(self) -> None:
        """Read keys until the app ends or there is no terminal to read from."""
        try:
            super().run_input_thread()
        except OSError:
            self._lost()

    def _sigcont_application(self, *signal_: object) -> None:
        """Go on after SIGTSTP as Textual does; after a SIGSTOP nothing was put away before."""
        if self._must_signal_resume:
            super()._sigcont_application(*signal_)
        elif self._auto_restart:
            # The signal may have come in the midst of a write: wait for the loop to be free.
            self._loop.call_soon_threadsafe(self._take_terminal_back)

    def _take_terminal_back(self) -> None:
        """Set the terminal up again, which a shell has used meanwhile; its threads end before."""
        if self._key_thread is not None and self._key_thread.is_alive():
            self.suspend_application_mode()
            self.resume_application_mode()
            self._app.refresh(layout=True)

    def _lost(self) -> None:
        leave = getattr(self._app, "leave", None)
        if leave is not None:
            leave()
