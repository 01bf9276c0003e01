"""Waiting until an agent's listener has read all there was."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ctconsole.agent.listener import Listener

PATIENCE = 30.0


def caught_up(listener: Listener) -> None:
    """Wait for a whole pass of a listener's thread that began after this call."""
    said = threading.Semaphore(0)
    say = listener._say

    def say_and_count(quiet: float) -> None:
        say(quiet)
        said.release()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listener, "_say", say_and_count)
        # The first may end a pass that was under way.
        for _ in range(2):
            assert said.acquire(timeout=PATIENCE), "the listener reads no more"
