"""Processes that live in a lab's namespaces and outlast the command that started them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from ctconsole import private
from ctconsole.errors import LabError
from ctconsole.kernel import netns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def spawn(namespace: str, argv: Sequence[str], log: Path, pass_fds: Sequence[int] = ()) -> None:
    """Start ``argv`` inside a network namespace, detached; its output is added to ``log``.

    The process has a session of its own, so that Ctrl-C in the console does not reach it, and no
    parent here, so that it leaves no zombie. `lifecycle.down` finds it by its namespace.

    Raises:
        LabError: the program could not be started.
    """
    with (
        open(log, "ab", opener=private.opener) as output,
        netns.inside(namespace),
    ):
        # A child inherits the namespace of the thread that starts it.
        done = subprocess.run(
            ["setsid", "--fork", *argv],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            cwd="/",
        )
    if done.returncode:
        raise LabError(f"{argv[0]} did not start in {namespace}", hint=f"See {log}")
