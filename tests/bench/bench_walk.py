"""A walk through the console on a table of a million that changes: memory, and time to answer.

Overview, Entries, 60 pages, sorts, a filter, Top, and Entries again, with a sample each second, in
a real pseudo-terminal. The build before walks the same way at another time on the same table. The
curve says how memory and answers go with the entries there are.
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.bench import before
from tests.bench.bench_ct_list import entries
from tests.bench.terminal import Terminal
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.maps import BpfMap

TABLES: Final = {
    "full": ((1_048_576, 1_000_000), (2_097_152, 2_000_000), (4_194_304, 4_000_000)),
    "small": ((131_072, 120_000),),
}
"""Room and entries; the first is also walked by the build before."""

PAGES: Final = 60
SORTS: Final = 3
BETWEEN: Final = 0.1
"""Seconds between two keys, as somebody types who looks at what comes."""

LINGER: Final = {"full": 8.0, "small": 2.0}
"""Seconds in each view, in which it is sampled some times."""

CHANGES: Final = 500
EACH: Final = 0.25
"""So many entries change every so many seconds."""

STEP: Final = 1_000_000
MEMORY_GOAL: Final = 0.4
FLAT: Final = 1.05
P95: Final = 0.030
MOST: Final = 0.100


class Walked(NamedTuple):
    """What one walk showed.

    Attributes:
        peak: the most MB resident.
        again: the same, when it was walked once more in the same console.
        answers: seconds from each key to what it changed, in order of size.
    """

    peak: float
    again: float
    answers: list[float]

    def share(self, part: float) -> float:
        """The time within which this share of the answers came."""
        return self.answers[min(len(self.answers) - 1, int(part * len(self.answers)))]


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    rows: list[dict[str, Any]] = []
    base = before.base()
    for number, (room, count) in enumerate(TABLES[size]):
        with _table(room, count) as root:
            new = _walk(root, before.HERE, count, LINGER[size])
            old = _walk(root, base, count, LINGER[size]) if base and not number else None
        what = f"walk over {count / 1e6:g} million"
        if old is not None:
            rows.append(
                before.row(f"{what}, memory", new.peak, old.peak, goal=MEMORY_GOAL, unit="MB")
            )
            rows.append(
                before.row(
                    f"{what}, p95, against before",
                    new.share(0.95),
                    old.share(0.95),
                    goal=1,
                    told_only=True,
                )
            )
        rows += _rows(what, new, held=not number)
    return rows


def _rows(what: str, new: Walked, *, held: bool) -> list[dict[str, Any]]:
    """The figures of one table; those of larger ones are the curve, and told only."""

    def row(name: str, value: float, unit: str, goal: float, peer: str) -> dict[str, Any]:
        return {
            "name": f"{what}, {name}",
            "value": value,
            "unit": unit,
            "peer": peer,
            "peer_value": goal,
            "ratio": value / goal,
            "goal": f"<= {goal:.3g} {unit}" if held else "told only",
            "ok": not held or value <= goal,
        }

    return [
        row("memory of a second walk", new.again, "MB", new.peak * FLAT, "the first and 5 %"),
        row("key to frame, p95", new.share(0.95), "s", P95, "the goal"),
        row("key to frame, most", new.answers[-1], "s", MOST, "the goal"),
    ]


def _walk(root: Path, build: Path, count: int, linger: float) -> Walked:
    """Walk twice in one console."""
    with (
        tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as state,
        Terminal(root, Path(state), build, interval=1.0).open() as terminal,
    ):
        terminal.wait_for(f"{count:,}"[:3].encode())
        answers = _once(terminal, linger)
        peak = terminal.peak()
        answers += _once(terminal, linger)
        return Walked(peak, terminal.peak(), sorted(answers))


def _once(terminal: Terminal, linger: float) -> list[float]:
    answers = []

    def press(keys: bytes) -> None:
        answers.append(terminal.until_answered(keys))
        time.sleep(BETWEEN)

    press(b"1")
    time.sleep(linger)
    terminal.press(b"2")
    terminal.wait_for(b" entries")
    time.sleep(linger)
    for _ in range(PAGES):
        press(b"\x1b[6~")
    for _ in range(SORTS):
        press(b">")
        time.sleep(linger / 2)
    press(b"/")
    for letter in b"dport:443":
        press(bytes([letter]))
    press(b"\r")
    time.sleep(linger)
    terminal.press(b"\x1b")
    time.sleep(linger / 2)
    terminal.press(b"3")
    time.sleep(linger)
    press(b"2")
    time.sleep(linger)
    return answers


@contextmanager
def _table(room: int, count: int) -> Iterator[Path]:
    """A bpffs with one connection table, of which some entries go and others come all the time."""
    gate = Gate.open()
    with private_bpffs(gate) as root:
        pins.make_folder(gate, root / GLOBALS)
        spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, room)
        with mapwrite.create(gate, spec) as live:
            pins.pin(gate, live, root / GLOBALS / spec.name)
            for start in range(0, count, STEP):
                some = entries(min(STEP, count - start), seed=start)
                mapwrite.update_batch(gate, live, *some)
            over = threading.Event()
            thread = threading.Thread(target=_change, args=(gate, live, over))
            thread.start()
            try:
                yield root
            finally:
                over.set()
                thread.join()


def _change(gate: Gate, live: BpfMap, over: threading.Event) -> None:
    """Swap some entries for others, back and forth."""
    keys, values = entries(CHANGES, seed=-1 % (1 << 32))
    there = False
    while not over.wait(EACH):
        if there:
            mapwrite.delete_batch(gate, live, keys)
        else:
            mapwrite.update_batch(gate, live, keys, values)
        there = not there
