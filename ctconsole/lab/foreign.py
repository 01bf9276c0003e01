"""Starting and stopping the test agent from a tour case or a test."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ctconsole.errors import LabError
from ctconsole.handles import Closing
from ctconsole.kernel import netns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = "Daemon initialization completed"

_PATIENCE = 120.0


class ForeignAgent(Closing):
    """One agent of a node, which may be started again and again; a context manager.

    Args:
        folder: for its configuration, state and log.
        bpf_root: where it pins; a folder on a bpffs.
        namespace: the network namespace of its interface.
        interface: where its programs go.
        generation: ``1.9`` or ``1.18``: whose maps and log it has.
        map_delay: seconds from its start to the maps.
        program_delay: seconds from the maps to the programs.

    Attributes:
        took: seconds of the last start that was waited for: what a window for one has to exceed.
    """

    def __init__(
        self,
        folder: Path,
        bpf_root: Path,
        namespace: str,
        interface: str,
        *,
        generation: str = "1.18",
        map_delay: float = 1.6,
        program_delay: float = 4.0,
    ) -> None:
        self.bpf_root = bpf_root
        self.config_dir = folder / "config"
        self.state_dir = folder / "state"
        self.log = folder / "agent.log"
        self._namespace = namespace
        self._argv = [
            *(sys.executable, "-m", "ctconsole.lab.foreign_agent"),
            f"--bpf-root={bpf_root}",
            f"--config-dir={self.config_dir}",
            f"--state-dir={self.state_dir}",
            f"--interface={interface}",
            f"--generation={generation}",
            f"--map-delay={map_delay}",
            f"--program-delay={program_delay}",
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.took = 0.0
        self.config_dir.mkdir(parents=True)
        self.log.touch()

    @property
    def pid(self) -> int | None:
        """Of the process that runs, None while none does."""
        return self._process.pid if self._process else None

    def configure(self, option: str, value: object) -> None:
        """Write an option's file; it counts from the next start on."""
        (self.config_dir / option).write_text(f"{value}\n", "ascii")

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until its programs are in place unless told not to.

        Raises:
            LabError: it ended, or took too long.
        """
        begun, since = self.log.stat().st_size, time.monotonic()
        with self.log.open("ab") as output:
            self._process = netns.popen(self._namespace, self._argv, stdout=output, stderr=output)
        if wait:
            self.wait_ready(begun)
            self.took = time.monotonic() - since

    @contextmanager
    def held(self) -> Iterator[None]:
        """It does nothing more while the block runs.

        Raises:
            LabError: none runs.
        """
        if self._process is None:
            raise self._not_started("does not run, and cannot be held")
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def wait_ready(self, since: int = 0) -> None:
        """Wait for its last line behind byte ``since`` of the log; raises as `start` does."""
        deadline = time.monotonic() + _PATIENCE
        while READY not in self.log.read_bytes()[since:].decode("utf-8", "replace"):
            if self._process is None or self._process.poll() is not None:
                raise self._not_started("ended before it was ready")
            if time.monotonic() > deadline:
                raise self._not_started(f"is not ready within {_PATIENCE:g} s")
            time.sleep(0.02)

    def _not_started(self, what: str) -> LabError:
        return LabError(f"The test agent on {self.bpf_root} {what}", hint=f"See {self.log}")

    def stop(self) -> None:
        """End it; maps and programs stay."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self, *, wait: bool = True) -> None:
        """Stop and start again."""
        self.stop()
        self.start(wait=wait)

    @contextmanager
    def restarted_by_command(self) -> Iterator[str]:
        """A command for a shell that has it restarted, as an operator would; valid in the block.

        It ends at once; the agent comes back when it comes back.
        """
        fifo = self.config_dir.parent / "restart"
        os.mkfifo(fifo)
        thread = threading.Thread(target=self._restart_when_told, args=(fifo,), name="restarter")
        thread.start()
        try:
            yield f"echo again > {shlex.quote(str(fifo))}"
        finally:
            fifo.write_text("end")
            thread.join()
            fifo.unlink()

    def _restart_when_told(self, fifo: Path) -> None:
        while fifo.read_text().strip() != "end":
            self.restart(wait=False)

    def close(self) -> None:
        """See `stop`."""
        self.stop()
