"""What is known of a node and how, and what the console costs, as rows of a `LineTable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.model.units import size
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.agent_panel import brief
from ctconsole.ui.widgets.rows import Cell, Column, FixedOrder

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from ctconsole.loops import LoopState
    from ctconsole.observe.nodecard import OwnCost
    from ctconsole.observe.sampler import Sample

COLUMNS = (
    Column("part", "PART", 8, sortable=False),
    Column("what", "WHAT", 22, grow=1, most=30, sortable=False),
    Column("value", "VALUE", 22, grow=3, sortable=False),
    Column("origin", "HOW IT IS KNOWN", 18, grow=3, sortable=False),
)

Line = tuple[str, str, str, str]
"""Part, what, value, how it is known."""


class NodeRows(FixedOrder):
    """Lines in parts; keys are part, what and how often that came before."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        seen: dict[tuple[str, str], int] = {}
        self._keys: list[Hashable] = []
        for part, what, _, _ in lines:
            number = seen[part, what] = seen.get((part, what), -1) + 1
            self._keys.append((part, what, number))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return COLUMNS

    def __len__(self) -> int:
        return len(self._lines)

    def key(self, row: int) -> Hashable:
        """See the class."""
        return self._keys[row]

    def find(self, key: Hashable) -> int | None:
        """The row of a key."""
        return self._keys.index(key) if key in self._keys else None

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One line; its part is written where it changes."""
        del widths
        part, what, value, origin = self._lines[row]
        first = row == 0 or self._lines[row - 1][0] != part
        return {
            "part": ((part if first else "", "accent"),),
            "what": ((clean(what), ""),),
            "value": ((clean(value), "dim" if value.startswith("not known") else "strong"),),
            "origin": ((clean(origin), "dim"),),
        }

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""


def node_lines(
    sample: Sample, now: float, cost: OwnCost, loops: Sequence[LoopState]
) -> Iterator[Line]:
    """All there is to say.

    Args:
        sample: what is shown of the node.
        now: the wall clock, seconds since the Unix epoch.
        cost: of this process.
        loops: its threads that go on, and how they are doing.
    """
    for fact in sample.facts:
        yield "node", fact.name, fact.value, fact.origin
    if not sample.facts:
        yield "node", "facts", "not known yet", "they are asked for every 30 seconds"
    yield "agent", "now", brief(sample, now), "its process"
    cpus = sample.node.cpus if sample.node else 0
    yield "node", "CPUs", str(cpus) if cpus else "not known", "possible ones, by the kernel"
    share = "not known yet" if cost.cpu is None else f"{cost.cpu:.1%} of a CPU"
    yield "console", "CPU", share, f"process {cost.pid}, {cost.cpu_seconds:.1f} s since it began"
    yield "console", "memory", size(cost.memory), "resident, by /proc"
    took = f"{sample.cost_seconds * 1000:.0f} ms, {sample.cpu_seconds * 1000:.0f} ms of CPU"
    yield "console", "a sample", took, f"{sample.skipped} left out to keep the budget"
    for loop in loops:
        state = "runs" if loop.running and not loop.error else str(loop)
        yield "loops", loop.name, state, f"{loop.failures} failures in a row"
    for thread in cost.threads:
        yield "threads", thread.name, f"{thread.cpu_seconds:.2f} s of CPU", "by /proc"
