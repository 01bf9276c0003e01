"""The lab that ``make demo`` shows: it goes with this process and has traffic of its own."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctconsole.lab import lifecycle, topology
from ctconsole.lab.spawn import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.signals import Stop

CONNECTIONS = 500
RATE = 25.0
"""Enough that every second something moves, and little enough for a laptop."""


@contextmanager
def running(
    *,
    connections: int = CONNECTIONS,
    rate: float = RATE,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Lab, Stop]]:
    """A lab with traffic for as long as a ``with`` block runs (see `lifecycle.owned`).

    Args:
        connections: TCP connections kept open.
        rate: new TCP connections per second.
        say: told each stage before it starts.
    """
    with lifecycle.owned("demo", say=say) as (lab, stop):
        say(f"Starting traffic: {connections} connections, {rate:g} new ones a second")
        traffic_in_background(lab, connections, rate)
        yield lab, stop


def traffic_in_background(lab: Lab, connections: int, rate: float) -> None:
    """Start ``lab traffic`` on node2; it ends with the lab and logs to ``traffic.log``."""
    # fmt: off
    spawn(lab.namespace(topology.NODE2), [
        sys.executable, "-m", "ctconsole", "lab", "traffic", "--lab", lab.name,
        "--connections", str(connections), "--rate", str(rate),
    ], lab.root / "traffic.log")
    # fmt: on
