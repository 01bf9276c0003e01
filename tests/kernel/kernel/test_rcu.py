from __future__ import annotations

import time

from ctconsole.kernel import rcu


def waited() -> float:
    started = time.perf_counter()
    rcu.wait_for_readers()
    return time.perf_counter() - started


def test_waiting_for_readers_is_a_grace_period_and_not_a_nap() -> None:
    assert min(waited() for _ in range(3)) < rcu._LONGER_THAN_ANY_PACKET
