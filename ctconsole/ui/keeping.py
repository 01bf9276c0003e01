"""A recording that the console writes beside what it shows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ctconsole.errors import CtconsoleError
from ctconsole.model.units import size
from ctconsole.ui.console import console_of
from ctconsole.ui.screens.ask import AskScreen

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App


IN_BROWSER: Final = "in a browser nothing is written on the node"
"""What whoever looks from elsewhere is told: files of the node's user are none of theirs."""


class Recorded(Protocol):
    """How it is doing; as a text: how many moments and bytes."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def bytes(self) -> int:
        """How large it is."""
        ...

    @property
    def over(self) -> str:
        """Why it has ended; empty while it goes on."""
        ...


class BegunRecording(Protocol):
    """What goes on in the background."""

    @property
    def progress(self) -> Recorded:
        """How it is doing."""
        ...

    def stop(self) -> Recorded:
        """End it; takes as long as a moment under way."""
        ...


class Keeping:
    """Begins and ends a recording.

    Args:
        app: where it is asked for.
        begin: begins one into a file; None where there is nothing to record.
        say: says something in the status line.
    """

    def __init__(
        self,
        app: App[None],
        begin: Callable[[Path], BegunRecording] | None,
        say: Callable[[str], None],
    ) -> None:
        self._app = app
        self._begin = begin
        self._say = say
        self._recorder: BegunRecording | None = None

    def told(self) -> str:
        """For the status line; empty while nothing is recorded."""
        if self._recorder is None:
            return ""
        progress = self._recorder.progress
        if progress.over:
            self._recorder = None
            self._say(f"{progress.path}: {progress}; {progress.over}")
            return ""
        return f"◉ REC {size(progress.bytes)}"

    def toggle(self) -> None:
        """Ask for a file and begin, or end the one under way."""
        if self._nothing():
            self._say(self._nothing())
        elif self._recorder is not None:
            self._end()
        else:
            name = time.strftime("ctconsole-%Y%m%d-%H%M%S.ctrec")
            self._app.push_screen(
                AskScreen("Record into", "a file that is not there", str(Path.cwd() / name)),
                self.begin,
            )

    def _nothing(self) -> str:
        """Why nothing can be recorded; empty where something can."""
        if self._app.is_web:
            return IN_BROWSER
        return "" if self._begin else "there is nothing here to record"

    def end(self) -> str:
        """End what is under way, since the console does; a sentence, empty where nothing was."""
        if self._recorder is None:
            return ""
        recorder, self._recorder = self._recorder, None
        progress = recorder.stop()
        return f"{progress.path}: {progress}; {progress.over}"

    def _end(self) -> None:
        assert self._recorder is not None  # noqa: S101 - the caller has looked
        recorder, self._recorder = self._recorder, None
        self._app.run_worker(
            lambda: self._stop(recorder), name="recording", thread=True, exit_on_error=False
        )

    def _stop(self, recorder: BegunRecording) -> None:
        progress = recorder.stop()
        self._app.call_from_thread(self._say, f"{progress.path}: {progress}")

    def begin(self, text: str | None) -> None:
        """Begin one into a file, unless one is under way."""
        if text is None:
            return
        if self._begin is None or self._nothing():
            self._say(self._nothing())
            return
        ends = console_of(self._app).keyed("; {app.record} ends it")
        if self._recorder is not None:
            self._say(f"one is under way{ends}")
            return
        try:
            self._recorder = self._begin(Path(text).expanduser())
        except (CtconsoleError, OSError) as error:
            self._say(str(error))
        else:
            self._say(f"recording into {text}{ends}")
