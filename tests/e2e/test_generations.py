"""Endpoints are regenerated one by one: for a while old and new maps are both in use."""

from __future__ import annotations

import threading
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.config import write_option
from ctconsole.errors import GoneError
from ctconsole.history import History
from ctconsole.kernel.maps import all_programs
from ctconsole.lab import look, pods
from ctconsole.model.event import EventKind

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab

DELAY = 1.5
SECONDS = 60.0
"""For a start on a busy machine."""

PODS = 3


def users(*ids: int) -> tuple[int, ...]:
    """How many programs use each map."""
    programs = all_programs()
    return tuple(sum(number in one.map_ids for one in programs) for number in ids)


def pinned_id(lab: Lab) -> int:
    """The map pinned now; 0 in the moment between the old pin and the new one."""
    with suppress(GoneError):
        return look.map_info(lab, look.TCP_MAP).id
    return 0


def test_both_generations_can_be_watched_between_two_endpoints(lab: Lab) -> None:
    pods.add(lab, "shop")
    old = look.map_info(lab, look.TCP_MAP).id
    (every,) = users(old)
    write_option(lab.config_dir, "endpoint-regeneration-delay", f"{int(DELAY * 1000)}ms")
    write_option(lab.config_dir, "bpf-ct-global-tcp-max", "131072")
    restarting = threading.Thread(target=control.restart, args=(lab.settings,))
    restarting.start()
    try:
        assert look.until(lambda: pinned_id(lab) not in {0, old}, SECONDS)
        new = pinned_id(lab)
        seen = set()
        while restarting.is_alive():
            seen.add(users(old, new))
            restarting.join(0.02)
    finally:
        restarting.join()
    each = every // PODS
    assert {(every - done * each, done * each) for done in (1, 2)} <= seen
    assert look.until(lambda: users(old, new) == (0, every))
    with History(lab.state_dir / "history.db") as history:
        times = [
            event.time
            for _, event in history.read()
            if event.kind is EventKind.ENDPOINT_REGENERATED
        ][-PODS:]
    assert all(later - earlier >= DELAY for earlier, later in pairwise(times))
