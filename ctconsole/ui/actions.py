"""What the console can do to a node, as the command line hands it over.

Without an `Actions` object the console can only look: there is nothing to call by mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

    from ctconsole.agent.flush import FlushPlan, FlushReport
    from ctconsole.manager.recreate import RecreatePlan, RecreateReport
    from ctconsole.model.ct.query import Query


class Actions(Protocol):
    """Called in worker threads. All raise `ctconsole.errors.CtconsoleError`."""

    def plan_recreate(self, path: PurePath, max_entries: int) -> RecreatePlan:
        """Say what recreating the map at ``path`` with that maximum costs; changes nothing."""
        ...

    def recreate(self, plan: RecreatePlan) -> RecreateReport:
        """Remove the map with all its entries and create it anew, as planned."""
        ...

    def plan_flush(self, path: PurePath, query: Query, key: bytes | None) -> FlushPlan:
        """Say what deleting entries costs: those the query lets through, or that of the key."""
        ...

    def flush(self, plan: FlushPlan) -> FlushReport:
        """Delete what was planned, as far as it still matches."""
        ...

    def agent_sizes(self) -> Mapping[str, int]:
        """The table sizes the agent runs with, by option name, e.g. ``bpf-ct-global-tcp-max``.

        Raises:
            AgentError: no agent that could be restarted.
        """
        ...

    def restart_agent(self, changes: Mapping[str, str]) -> str:
        """Restart the agent with these options changed; returns one sentence on the outcome."""
        ...
