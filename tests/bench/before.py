"""The build before, named with ``make bench BASE=``, beside this one.

Both run in turn or at once under the same interpreter, so that other load meets both alike;
compared is CPU time, user and system, which waiting for a core does not lengthen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).resolve().parents[2]
VARIABLE: Final = "BASE"


@contextmanager
def prepared() -> Iterator[None]:
    """For the time of a run the build before is a folder, also where a revision is named."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        yield
        return
    with _folder(named) as folder:
        # Without them it would count by walking, which is another build's figure.
        script = folder / "deploy" / "build_iterators.py"
        subprocess.run([sys.executable, str(script)], check=True, stdout=subprocess.DEVNULL)
        os.environ[VARIABLE] = str(folder)
        try:
            yield
        finally:
            os.environ[VARIABLE] = named


def base() -> Path | None:
    """The folder of the build before; None, and a word of it, where none is named."""
    named = os.environ.get(VARIABLE, "")
    if named:
        return Path(named)
    print("  no BASE= named: the figures against the build before are left out", file=sys.stderr)
    return None


@contextmanager
def _folder(named: str) -> Iterator[Path]:
    """As given, or the files of a revision for the time."""
    if Path(named).is_dir():
        yield Path(named).resolve()
        return
    # No worktree: the repository would still know of it if this process were killed.
    with tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as folder:
        packed = Path(folder, "base.tar")
        git = ["git", "-C", str(HERE), "archive", "--output", str(packed)]
        subprocess.run([*git, f"{named}^{{commit}}"], check=True)
        subprocess.run(["tar", "-xf", str(packed), "-C", folder], check=True)
        packed.unlink()
        yield Path(folder)


def environment(folder: Path) -> dict[str, str]:
    """For a process of the build in ``folder``, which finds its bytecode compiled."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(folder)}


class Once(NamedTuple):
    """CPU and wall seconds of a process that has ended, and what it printed."""

    cpu: float
    wall: float
    said: str


def once(arguments: list[str], folder: Path) -> Once:
    """Run Python with these arguments and the build in ``folder``, to its end.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, *arguments]
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        with subprocess.Popen(
            command, stdout=said, stderr=subprocess.PIPE, cwd=folder, env=environment(folder)
        ) as process:
            try:
                assert process.stderr
                trouble = process.stderr.read().decode(errors="replace")
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(
                f"{' '.join(command)} in {folder} ended with {process.returncode}: {trouble}"
            )
        said.seek(0)
        text = said.read().decode(errors="replace")
        return Once(usage.ru_utime + usage.ru_stime, wall, text)


def row(
    name: str, value: float, peer: float, *, goal: float, unit: str = "s", told_only: bool = False
) -> dict[str, Any]:
    """A row whose peer is the build before; ``told_only`` is for the reader and has no goal."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": "the build before",
        "peer_value": peer,
        "ratio": value / peer,
        "goal": "told only" if told_only else f"<= {goal:g}",
        "ok": told_only or value <= goal * peer,
    }
