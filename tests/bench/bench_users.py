"""``map users`` on a node of a thousand endpoints, against listing its programs alone."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel import iproute, mapwrite, netns, pins, tc
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import all_programs
from ctconsole.kernel.programs import load_program
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe.inventory import Inventory
from ctconsole.observe.usage import map_usage
from ctconsole.paths import GLOBALS
from tests.support.bpf_insns import using_map
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENDPOINTS: Final = {"full": 1000, "small": 100}
REPEATS: Final = 3
GOAL: Final = 60.0
GOAL_AGAIN: Final = 20.0


@contextmanager
def node(gate: Gate, endpoints: int) -> Iterator[Path]:
    """A bpffs with a map and a program array for each endpoint, and its programs on tc.

    The interfaces are in one namespace, as the host's ends of the pods' veths are.
    """
    name = f"ctb-{os.getpid()}-{secrets.token_hex(2)}"
    with private_bpffs(gate) as root, ExitStack() as stack:
        # First, for a signal may come between the two.
        stack.callback(netns.delete, gate, name)
        netns.create(gate, name)
        pairs = [f"link add lxc{one} type veth peer name eth{one}\n" for one in range(endpoints)]
        subprocess.run(
            ["ip", "-n", name, "-batch", "-"], input="".join(pairs), text=True, check=True
        )
        with netns.inside(name):
            for one in iproute.links():
                if one.name.startswith("lxc"):
                    _endpoint(gate, root / GLOBALS, one.index)
        yield root


def _endpoint(gate: Gate, folder: Path, index: int) -> None:
    tc.ensure_clsact(gate, index)
    for side, kind in ((tc.TcHook.INGRESS, MapType.HASH), (tc.TcHook.EGRESS, MapType.PROG_ARRAY)):
        word = "policy" if kind is MapType.HASH else "calls"
        with mapwrite.create(gate, MapSpec(f"cilium_{word}", kind, 4, 4, 16)) as live:
            pins.pin(gate, live, folder / f"cilium_{word}_{index:05}")
            program = load_program(gate, using_map(live.fd), name=f"cil_{word}")
        try:
            tc.replace_filter(gate, index, side, program, "cil")
        finally:
            os.close(program)


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    gate = Gate.open()
    count = ENDPOINTS[size]
    with node(gate, count) as root:
        first = _best(lambda: map_usage(root))
        inventory = Inventory()
        map_usage(root, inventory=inventory)
        again = _best(lambda: map_usage(root, inventory=inventory))
        listed = _best(all_programs)
    return [
        _row(f"map users, {count} endpoints", first, listed, GOAL),
        _row(f"map users again, {count} endpoints", again, listed, GOAL_AGAIN),
    ]


def _row(name: str, value: float, peer: float, goal: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": value * 1e3,
        "unit": "ms",
        "peer": "listing all programs",
        "peer_value": peer * 1e3,
        "ratio": value / peer,
        "goal": f"<= {goal:g}",
        "ok": value <= goal * peer,
    }


def _best(call: Callable[[], object]) -> float:
    """Shortest of a few runs, seconds."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)
