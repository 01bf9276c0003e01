"""View 7: what is known of the node and how, and what the console itself costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole import loops
from ctconsole.observe.nodecard import CostMeter
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.base import View
from ctconsole.ui.text import plural
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.node_rows import NodeRows, node_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample


class NodeScreen(View):
    """Facts with their origins; loops, threads and cost of this process."""

    VIEW = "node"

    BINDINGS = bindings("node")

    def __init__(self) -> None:
        super().__init__()
        self._meter = CostMeter()

    def compose_body(self) -> Iterable[Widget]:
        """The table."""
        yield LineTable(id="facts-known", empty="Asking the node …")

    def show_sample(self, sample: Sample) -> None:
        """Show what is known by now."""
        lines = node_lines(sample, self.console.now(), self._meter.look(), loops.states())
        # Parts stand together, in the order in which each is first told of.
        parts = ("node", "agent", "console", "loops", "threads")
        ordered = sorted(lines, key=lambda line: parts.index(line[0]))
        self.query_one(LineTable).set_rows(NodeRows(ordered))

    def shown(self) -> str:
        """How many facts."""
        return plural(len(self.console.sample.facts), "fact")
