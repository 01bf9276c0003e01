"""What giving tables of an agent that is not ours another capacity would change, and who does what.

The plan of the entries is that of every resize. Beside it stand the settings that are written,
with old and new value, the command that restarts the agent, and what there is no way back from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.errors import UsageError
from ctconsole.kernel import procs
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.resize.journal import past_of
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.model.catalogue import option_of, twins_of
from ctconsole.model.ct.joining import counters_told
from ctconsole.model.plan import Row
from ctconsole.node.advising import with_advice
from ctconsole.node.prestage.settings import (
    ANY_MAX,
    NAT_MAX,
    TCP_MAX,
    namespace_of,
    settings_for,
    translations_with,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ctconsole.kernel.procs import Process
    from ctconsole.manager.resize.plan import ResizePlan
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.plan import Memory, Verdict
    from ctconsole.node.prestage.settings import Setting
    from ctconsole.observe.agents import AgentProcess
    from ctconsole.observe.discovery import NodeFacts

NO_WAY_BACK = (
    "once the agent has been told to restart nobody can call it back: if it does not take the "
    "new map over, everything is undone; if it does, there is no going back but by an undo"
)


@dataclass(frozen=True, slots=True)
class PrestagePlan:
    """What it would change and need; a `ctconsole.model.plan.Plan`.

    Attributes:
        resize: of the maps, as for every resize.
        folder: where the maps are pinned.
        agent: whose they are, None where none runs.
        version: its release, empty where that is not known.
        settings: options that have to have other values when it starts.
        command: what restarts it, for a shell; empty where somebody does that by hand.
        advice: what to run where there is no such command.
    """

    resize: ResizePlan
    folder: Path
    agent: Process | None
    version: str
    settings: tuple[Setting, ...]
    command: str
    advice: str

    @property
    def title(self) -> str:
        """What is to be done, to what."""
        return self.resize.title

    @property
    def paths(self) -> tuple[Path, ...]:
        """The pins of the maps whose entries it is about."""
        return self.resize.paths

    @property
    def rows(self) -> Sequence[Row]:
        """Those of the resize, then what concerns the agent."""
        return (*self.resize.rows, *self.agent_rows)

    @property
    def agent_rows(self) -> Sequence[Row]:
        """What concerns the agent."""
        found = [Row("layout", layouts_told(self.resize)), Row("agent", self.agent_told)]
        found += [Row("setting", one.sentence) for one in self.settings]
        if self.command:
            found.append(Row("restart", f"by running: {self.command}"))
        else:
            found.append(Row("restart", f"yours to do when it is asked for: {self.advice}"))
        found.append(Row("no way back", NO_WAY_BACK))
        return tuple(found)

    @property
    def agent_told(self) -> str:
        """``cilium-agent 1.18.0, process 4711``."""
        if self.agent is None:
            return "none can be seen from here; one that starts is waited for"
        version = f" {self.version}" if self.version else ""
        return f"{self.agent.name}{version}, process {self.agent.pid}"

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """What becomes of the connections."""
        return self.resize.verdicts

    @property
    def memory(self) -> Memory:
        """Bytes of all maps."""
        return self.resize.memory

    @property
    def warnings(self) -> Sequence[str]:
        """Those of the resize, and of settings that other nodes share."""
        shared = [one for one in self.settings if one.shared]
        more = []
        if shared:
            names = ", ".join(one.option for one in shared)
            more.append(
                f"{names} in a ConfigMap holds for every node: each other one re-creates its "
                "tables, empty, when its agent restarts next"
            )
        return (*self.resize.warnings, *more)

    @property
    def lasting(self) -> Sequence[str]:
        """None: whatever is warned of is over when it is done."""
        return ()

    @property
    def data_loss(self) -> int:
        """Living entries that will be lost."""
        return self.resize.data_loss

    @property
    def confirm_name(self) -> str:
        """The first map's where something will be lost."""
        return self.resize.confirm_name

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            **self.resize.facts,
            "agent": {"pid": self.agent.pid if self.agent else None, "version": self.version},
            "settings": [
                {
                    "option": one.option,
                    "old": one.now or None,
                    "new": one.value,
                    "file": str(one.file) if one.file else None,
                    "by_hand": one.deed or None,
                }
                for one in self.settings
            ],
            "restart_command": self.command or None,
            "cancellable_once_restarted": False,
        }


def plan_prestage(
    pin: Path, wish: MapWish, reading: Reading, facts: NodeFacts, command: str = ""
) -> PrestagePlan:
    """Say what another capacity of an agent's tables would change, and who has to do what.

    All tables that the same option sizes are resized together, and translations that follow
    them, because the agent's start would re-create those left out.

    Args:
        pin: the map's.
        wish: what it is to become.
        reading: how entries are read and judged.
        facts: what is known of the node.
        command: what restarts the agent, for a shell; empty asks a person to.

    Raises:
        UsageError: the size is out of range, the agent would not start with it, no option of it
            sizes the map, or the pins can be seen only through the agent that goes.
        GoneError: nothing is pinned there.
    """
    option = option_of(pin.name)
    if option is None:
        raise UsageError(
            f"No option of the agent sizes {pin.name}: its next start would make it as it was",
            hint="ctconsole guard carries its entries over when the agent re-creates it",
        )
    if wish.flags is not None:
        raise UsageError(
            f"The agent would re-create {pin.name} with its own flags again",
            hint="Switch bpf-distributed-lru in its configuration, and hold ctconsole guard by",
        )
    wishes = {pin: wish}
    for name in twins_of(pin.name):
        if (pin.parent / name).exists():
            wishes[pin.parent / name] = MapWish(wish.max_entries)
    wishes |= _translations(pin.parent, option, wish.max_entries, facts)
    plan = with_advice(plan_resize(wishes, reading, past_of(pin.parent)), None)
    return plan_for_agent(plan, facts, command)


def plan_for_agent(plan: ResizePlan, facts: NodeFacts, command: str) -> PrestagePlan:
    """A plan of maps, an undo's for one, with all that concerns an agent that is not ours.

    Args:
        plan: of the maps.
        facts: what is known of the node.
        command: what restarts the agent, for a shell; empty asks a person to.

    Raises:
        UsageError: the pins can be seen only through the agent that goes.
    """
    agent, folder = facts.agent, plan.maps[0].path.parent
    if agent is not None and str(folder).startswith(f"/proc/{agent.process.pid}/"):
        raise UsageError(
            f"{folder} can be seen only as long as the agent, process {agent.process.pid}, runs",
            hint="Mount its bpffs on the node too, and name it with --bpf-root",
        )
    sizes = {one.path.name: one.wish.max_entries for one in plan.maps}
    return PrestagePlan(
        resize=plan,
        folder=folder,
        agent=agent.process if agent else None,
        version=facts.version.value if facts.version else "",
        settings=settings_for(agent, facts.options, sizes),
        command=command,
        advice=_advice(agent),
    )


def layouts_told(plan: ResizePlan) -> str:
    """Which fields of the entries are added up, by layout."""
    told = {counters_told(one.layout): None for one in plan.maps if one.layout is not None}
    return "; ".join(told) or "no entries that count anything"


def _translations(
    folder: Path, option: str, max_entries: int, facts: NodeFacts
) -> dict[Path, MapWish]:
    """What the tables of translations have to become for the agent to take them as they are."""
    sizes = {name: _size_of(facts, folder, name) for name in (TCP_MAX, ANY_MAX)}
    sizes[option] = max_entries
    flags = facts.agent.flags if facts.agent else {}
    found = {}
    if option == NAT_MAX or 0 in sizes.values():
        return {}
    for name in ("cilium_snat_v4_external", "cilium_snat_v6_external"):
        path = folder / name
        if path.exists():
            with BpfMap.open(path) as live:
                now = live.info.max_entries
            follows = translations_with(flags, now, sizes)
            if follows is not None:
                found[path] = MapWish(follows)
    return found


_TABLES = {
    TCP_MAX: ("cilium_ct4_global", "cilium_ct6_global"),
    ANY_MAX: ("cilium_ct_any4_global", "cilium_ct_any6_global"),
}


def _size_of(facts: NodeFacts, folder: Path, option: str) -> int:
    """What an option is, by what is pinned; 0 where nothing tells."""
    for name in _TABLES[option]:
        if (folder / name).exists():
            with BpfMap.open(folder / name) as live:
                return live.info.max_entries
    told = facts.options.get(option, "")
    return int(told) if told.isdigit() else 0


def _advice(agent: AgentProcess | None) -> str:
    """What restarts an agent, as far as can be seen from here."""
    if agent is None:
        return "start the agent"
    variables = procs.environment(agent.process.pid)
    node = variables.get("K8S_NODE_NAME", "")
    if re.fullmatch(r"[a-z0-9.-]{1,253}", node):
        return (
            f"kubectl -n {namespace_of(agent)} delete pod -l k8s-app=cilium "
            f"--field-selector spec.nodeName={node}"
        )
    return (
        f"restart {agent.process.name} (process {agent.process.pid}) as you usually do; "
        "--restart-command has it done from here"
    )
