from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from ctconsole.kernel.procstat import process_state
from ctconsole.lab.owner import Owner


def test_this_process_is_alive() -> None:
    assert Owner.me().alive


def test_a_later_process_with_the_same_number_is_not_the_owner() -> None:
    assert not replace(Owner.me(), start=1).alive


def test_a_process_that_ended_is_dead_even_before_it_is_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = process_state(child.pid)
        assert found
        owner = Owner(child.pid, found.start)
        running = owner.alive
        child.kill()
        # WNOWAIT leaves the zombie there.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        ended = process_state(child.pid)
        assert ended
        assert (ended.letter, ended.start) == ("Z", owner.start)
        waiting = owner.alive
    assert (running, waiting, owner.alive) == (True, False, False)
    assert process_state(child.pid) is None
