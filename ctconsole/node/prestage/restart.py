"""The restart of an agent that is not ours: by an operator's command, or by the operator."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Final, Self

from ctconsole.errors import AgentError
from ctconsole.kernel import procs
from ctconsole.observe.agents import find_agent

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from ctconsole.kernel.procs import Process

_LAST: Final = 300
"""Bytes of what a command that failed said last."""


class Restart:
    """Has an agent restarted and sees it come back. A context manager.

    The command is let go on when it is left: an agent that is half restarted helps nobody.

    Args:
        folder: where its maps are pinned.
        before: the process that is to go, None where none ran.
        command: for a shell; empty where somebody restarts the agent by hand.

    Attributes:
        now: the agent's process as it was last seen, None where none ran.
    """

    def __init__(self, folder: Path, before: Process | None, command: str) -> None:
        self.now = before
        self.command = command
        self._folder = folder
        self._before = before
        self._output: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0

    @property
    def begun(self) -> bool:
        """Whether it cannot be called back: the command was started, or the agent restarted."""
        return self._process is not None or self.happened

    @property
    def happened(self) -> bool:
        """Whether the agent that runs now is another process than before."""
        now, before = self.now, self._before
        if now is None or before is None:
            return now is not None
        return (now.pid, now.ticks) != (before.pid, before.ticks)

    def happened_before(self, seconds: float) -> bool:
        """Whether it happened, and the agent that runs now has done so for that long."""
        return self.happened and self.now is not None and time.time() - self.now.started > seconds

    @property
    def waited(self) -> float:
        """Seconds since the command was started; 0 without one."""
        return time.monotonic() - self._began if self._process else 0.0

    def begin(self) -> None:
        """Start the command, if there is one.

        Raises:
            OSError: there is no shell, or no place for what the command says.
        """
        if not self.command:
            return
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._began = time.monotonic()
        # A session of its own: who presses Ctrl-C here does not leave the agent half restarted.
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", self.command],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,
        )

    def look(self) -> None:
        """See who runs now.

        Raises:
            AgentError: the command failed and the agent is not another one.
        """
        agent = find_agent(self._folder)
        self.now = agent.process if agent else None
        ended = self._process.poll() if self._process else None
        if ended and not self.happened:
            raise AgentError(f"The restart command ended with {ended}{self._said()}")

    def holds(self, *map_ids: int) -> bool:
        """Whether the agent that runs now has opened one of these maps."""
        return self.now is not None and bool(procs.held_maps(self.now.pid).intersection(map_ids))

    def _said(self) -> str:
        if self._output is None:
            return ""
        size = self._output.seek(0, 2)
        self._output.seek(max(0, size - _LAST))
        lines = self._output.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1]}" if said else ""

    def close(self) -> None:
        """Let go of the command."""
        if self._process is not None and self._process.poll() is None:
            # It may go on for as long as it likes, and leaves no zombie when it ends.
            threading.Thread(target=self._process.wait, name="restart", daemon=True).start()
        if self._output is not None:
            self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
