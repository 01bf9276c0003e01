"""How soon a watcher sees a pin change, and how right it tells when programs have moved.

The node has a call map of 65,535 places for each of its endpoints, as ``cilium_call_policy`` has:
read key by key such a map takes a tenth of a second. Measured with nothing to wonder about, and
while a pin that nobody uses has every one of them looked into.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel import iproute, mapwrite, netns, pins, tc
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.programs import load_program
from ctconsole.model.event import EventKind
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe.watcher import Watcher
from ctconsole.paths import GLOBALS
from tests.support.bpf_insns import using_maps
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ctconsole.model.event import Event

ARRAYS: Final = {"full": 50, "small": 10}
ROUNDS: Final = {"full": 7, "small": 3}
PLACES: Final = 65_535
TABLE: Final = "cilium_ct4_global"
LONELY: Final = "cilium_ct_any4_global"
SEEN_GOAL, MOVED_GOAL = 0.2, 0.3
PATIENCE: Final = 30.0
AGENT_SECONDS: Final = 0.5
"""Between the new map and the first new program; a real agent takes longer."""

Row = dict[str, Any]


def _spec(name: str, entries: int = 1024) -> MapSpec:
    return MapSpec(name, MapType.LRU_HASH, 14, 56, entries)


@dataclass
class Node:
    """Endpoints whose programs use one table, each with a call map of its own."""

    gate: Gate
    folder: Path
    links: tuple[int, ...]

    def generation(self, table: int, *, arrays: bool) -> float:
        """Load and attach the programs of every endpoint anew; when the last one was replaced.

        Args:
            table: descriptor of the conntrack table they use.
            arrays: whether each has a call map.
        """
        for number in self.links:
            with ExitStack() as stack:
                used = [table]
                if arrays:
                    calls = stack.enter_context(self._calls(number, table))
                    used.append(calls)
                program = load_program(self.gate, using_maps(used), name="cil_from_cont")
                stack.callback(os.close, program)
                tc.replace_filter(self.gate, number, tc.TcHook.INGRESS, program, "cil")
        return time.time()

    @contextmanager
    def _calls(self, number: int, table: int) -> Iterator[int]:
        """A new call map in the place of an endpoint's, with one program in it."""
        name = f"cilium_calls_{number:05}"
        spec = MapSpec(name, MapType.PROG_ARRAY, 4, 4, PLACES)
        with mapwrite.create(self.gate, spec) as live:
            called = load_program(self.gate, using_maps([table, live.fd]), name="tail_handle")
            try:
                key, value = (part.to_bytes(4, "little") for part in (PLACES - 1, called))
                mapwrite.update(self.gate, live, key, value)
            finally:
                os.close(called)
            fresh = self.folder / f"{name}_new"
            pins.pin(self.gate, live, fresh)
            pins.rename(self.gate, fresh, self.folder / name)
            yield live.fd

    def replace(self) -> tuple[float, float, int]:
        """Pin a new table; the moments before and after it was there, and its descriptor."""
        with mapwrite.create(self.gate, _spec(TABLE)) as live:
            fresh = self.folder / "fresh"
            pins.pin(self.gate, live, fresh)
            before = time.time()
            pins.rename(self.gate, fresh, self.folder / TABLE)
            return before, time.time(), os.dup(live.fd)

    @contextmanager
    def lonely(self) -> Iterator[None]:
        """A pinned map that nobody uses, while a program uses another one of its name."""
        with (
            mapwrite.create(self.gate, _spec(LONELY)) as pinned,
            mapwrite.create(self.gate, _spec(LONELY)) as used,
            mapwrite.create(self.gate, _spec(TABLE)) as table,
        ):
            pins.pin(self.gate, pinned, self.folder / LONELY)
            insns = using_maps([used.fd, table.fd])
            program = load_program(self.gate, insns, name="cil_to_cont")
            try:
                tc.replace_filter(self.gate, self.links[0], tc.TcHook.EGRESS, program, "cil")
                yield
            finally:
                os.close(program)
                tc.remove_filter(self.gate, self.links[0], tc.TcHook.EGRESS)
                pins.unpin(self.gate, self.folder / LONELY)


@contextmanager
def node(gate: Gate, endpoints: int) -> Iterator[Node]:
    """The interfaces are in a namespace of their own."""
    name = f"ctb-{os.getpid()}-{secrets.token_hex(2)}"
    with private_bpffs(gate) as root, ExitStack() as stack:
        pins.make_folder(gate, root / GLOBALS)
        # First, for a signal may come between the two.
        stack.callback(netns.delete, gate, name)
        netns.create(gate, name)
        pairs = [f"link add lxc{one} type veth peer name eth{one}\n" for one in range(endpoints)]
        subprocess.run(
            ["ip", "-n", name, "-batch", "-"], input="".join(pairs), text=True, check=True
        )
        with netns.inside(name):
            links = tuple(one.index for one in iproute.links() if one.name.startswith("lxc"))
            for number in links:
                tc.ensure_clsact(gate, number)
            yield Node(gate, root / GLOBALS, links)


@dataclass
class Heard:
    """Events with the moment at which they were told."""

    events: list[tuple[float, Event]] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)

    def take(self, events: Iterable[Event]) -> None:
        now = time.time()
        with self.came:
            self.events += [(now, event) for event in events]
            self.came.notify_all()

    def first(self, kind: EventKind, since: float) -> tuple[float, Event]:
        def found() -> tuple[float, Event] | None:
            return next(
                (
                    (at, event)
                    for at, event in self.events
                    if event.kind is kind and event.subject.endswith(TABLE) and at >= since
                ),
                None,
            )

        with self.came:
            one = self.came.wait_for(found, PATIENCE)
        if one is None:
            raise RuntimeError(f"no {kind} within {PATIENCE} s")
        return one


def _rounds(here: Node, rounds: int, *, arrays: bool) -> tuple[list[float], list[float]]:
    """Seconds until a change was told, and by how many the time of the move was wrong."""
    heard = Heard()
    seen, wrong = [], []
    with Watcher(here.folder, heard.take, window=PATIENCE):
        for _ in range(rounds):
            time.sleep(1.0)
            before, pinned, table = here.replace()
            try:
                told, _ = heard.first(EventKind.MAP_RECREATED, before)
                time.sleep(AGENT_SECONDS)
                last = here.generation(table, arrays=arrays)
            finally:
                os.close(table)
            _, event = heard.first(EventKind.PROGRAM_REPLACED, before)
            seconds = event.fields["seconds"]
            assert isinstance(seconds, float)
            seen.append(told - pinned)
            wrong.append(abs(seconds - (last - pinned)))
    return seen, wrong


def _measured(gate: Gate, size: str, *, arrays: bool, lonely: bool) -> tuple[float, float]:
    with node(gate, ARRAYS[size]) as here, ExitStack() as stack:
        _, _, table = here.replace()
        here.generation(table, arrays=arrays)
        os.close(table)
        if lonely:
            stack.enter_context(here.lonely())
        seen, wrong = _rounds(here, ROUNDS[size], arrays=arrays)
    print(f"  seen {[round(one, 3) for one in seen]} wrong {[round(one, 3) for one in wrong]}")
    return statistics.median(seen), statistics.median(wrong)


def run(size: str) -> list[Row]:
    """The rows of this module; see tests/bench/__main__.py."""
    gate = Gate.open()
    peer = _measured(gate, size, arrays=False, lonely=False)
    rows = []
    for lonely in (False, True):
        beside = " while they are looked into" if lonely else ""
        seen, wrong = _measured(gate, size, arrays=True, lonely=lonely)
        about = f"with {ARRAYS[size]} call maps{beside}"
        rows += [
            _row(f"a pin's change is told, {about}", seen, peer[0], SEEN_GOAL),
            _row(f"'programs moved after' is wrong by, {about}", wrong, peer[1], MOVED_GOAL),
        ]
    return rows


def _row(name: str, value: float, peer: float, goal: float) -> Row:
    return {
        "name": name,
        "value": value,
        "unit": "s",
        "peer": "a node without call maps",
        "peer_value": peer,
        "ratio": value / max(peer, 1e-6),
        "goal": f"value <= {goal:g}",
        "ok": value <= goal,
    }
