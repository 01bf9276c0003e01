"""What the console can do to a node, as the command line hands it over.

Without an `Actions` object the console can only look: there is nothing to call by mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import PurePath

    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.plan import Plan, Report


class Actions(Protocol):
    """Called in worker threads. All raise `ctconsole.errors.CtconsoleError`.

    Planning changes nothing. Whatever was planned here is done by `carry_out`.
    """

    def plan_recreate(self, path: PurePath, max_entries: int) -> Plan:
        """Say what recreating the map at ``path`` with that maximum costs."""
        ...

    def plan_resize(self, path: PurePath, max_entries: int) -> Plan:
        """Say what giving the map at ``path`` that maximum needs, with everything in it."""
        ...

    def planned_tables(self, plan: Plan) -> Iterable[tuple[CtTable, int]]:
        """Read the conntrack tables that a plan to resize them, or to undo that, is about.

        Returns:
            Each with the number of its entries for which there will be no room.
        """
        ...

    def plan_undo(self, path: PurePath) -> Plan:
        """Say what restoring the size before the last resize of the map needs.

        Raises:
            UsageError: there is nothing to undo, or it is too late.
        """
        ...

    def plan_flush(self, path: PurePath, query: Query, key: bytes | None) -> Plan:
        """Say what deleting entries costs: those the query lets through, or that of the key."""
        ...

    def plan_restart(self, changes: Mapping[str, str]) -> Plan:
        """Say what restarting the agent with these options changed costs."""
        ...

    def carry_out(
        self,
        plan: Plan,
        tell: Callable[[str], None] = ...,
        is_cancelled: Callable[[], bool] = ...,
    ) -> Report:
        """Do what was planned, as far as it is still as it was when it was planned.

        Args:
            plan: what was planned.
            tell: hears how far a resize or a deletion is; must return at once.
            is_cancelled: asked again and again by both; True leads back to the old map, or ends
                the deletion where it is. The error raised says so, and how everything stands.
                Everything else is done whole.
        """
        ...

    def guard(self, folder: PurePath, *, on: bool) -> str:
        """Hold the tables pinned in a folder, so that one that is re-created keeps its entries.

        Args:
            folder: where they are pinned.
            on: begin, or let go of them.

        Returns:
            What was done, in a few words.
        """
        ...

    @property
    def guarding(self) -> str:
        """What the guard does, in a few words; empty while it is off. Answers at once."""
        ...

    def agent_sizes(self) -> Mapping[str, int]:
        """The table sizes the agent runs with, by option name, e.g. ``bpf-ct-global-tcp-max``.

        Raises:
            AgentError: no agent that could be restarted.
        """
        ...
