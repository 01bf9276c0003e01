"""``ctconsole map resize`` where the map belongs to an agent that is not ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctconsole.cli.common import message
from ctconsole.cli.ending import carry_out
from ctconsole.cli.map.affected import print_with_affected
from ctconsole.cli.options import Seconds, restart_command_option
from ctconsole.cli.plans import print_report
from ctconsole.cli.progress import each_once
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.plan import MapWish, ResizePlan
    from ctconsole.model.ct.layout import Layout

_F = TypeVar("_F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Foreigner:
    """The agent that is not ours.

    Attributes:
        bpf_root: its bpffs.
        layout: what the operator says of its entries.
        command: what restarts it, for a shell; empty where somebody does it by hand.
        patience: seconds without a sign of it after which it is given up.
        ways: whose affected entries are listed beside a plan.
    """

    bpf_root: Path
    layout: Layout | None
    command: str
    patience: float
    ways: tuple[str, ...] = ()


def restart_options(function: _F) -> _F:
    """``--restart-command`` and ``--patience``."""
    patience = click.option(
        "--patience",
        type=Seconds(min=1.0),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="Undo it after so long without a sign of that agent.",
    )
    return restart_command_option(patience(function))


def resize_foreign_map(
    gate: Gate | None,
    pin: Path,
    wish: MapWish | None,
    agent: Foreigner,
    *,
    drop: bool,
    only_plan: bool,
    as_json: bool,
) -> int:
    """Plan it, or do it where there is a gate.

    Args:
        gate: the write gate; None only plans.
        pin: the map's.
        wish: what it is to become; None restores the size before.
        agent: whose it is.
        drop: whether living entries may be left behind.
        only_plan: whether a plan alone was asked for.
        as_json: print JSON.

    Returns:
        The exit code.
    """
    from ctconsole.agent.state import default_state_dir
    from ctconsole.node.acts import record
    from ctconsole.node.prestage.plan import plan_for_agent, plan_prestage
    from ctconsole.node.resizing import end_cut_off, plan_undoing, resize_foreign
    from ctconsole.observe.discovery import discover
    from ctconsole.observe.reading import reading_of

    if gate is not None:
        ended = end_cut_off(gate, pin.parent, each_once(), agent.patience)
        if ended:
            message(ended)
            return 0
    facts = discover(agent.bpf_root, layout=agent.layout)
    reading = reading_of(facts)
    if wish is None:
        plan = plan_for_agent(plan_undoing(pin, reading), facts, agent.command)
    else:
        plan = plan_prestage(pin, wish, reading, facts, agent.command)
    if gate is None:
        maps = plan.resize.maps
        print_with_affected(plan, maps, agent.ways, reading, as_json=as_json)
        return 0 if only_plan else 1
    require_room(plan.resize, drop=drop, undo=wish is None)
    for row in plan.agent_rows:
        message(f"{row.label}: {row.text}")

    def act() -> None:
        report = resize_foreign(gate, plan, each_once(), patience=agent.patience)
        report = record(default_state_dir(), report)
        print_report(report, as_json=as_json)
        report.check()

    return carry_out(act)


def require_room(plan: ResizePlan, *, drop: bool, undo: bool) -> None:
    """See that nothing living is left behind unasked.

    Raises:
        UsageError: something would be.
    """
    if plan.drops_living and not drop:
        raise UsageError(
            f"{plan.drops_living} living entries do not fit; nothing was changed",
            hint=(
                "Give --drop to leave them behind"
                if undo or plan.enough is None
                else f"Give {plan.enough} or more, or --drop to leave them behind"
            ),
        )
