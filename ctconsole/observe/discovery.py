"""Finding out about a node without being told: bpffs, agent, version, options, clock, layout.

Every fact says where it comes from. The agent's API is asked first, then the file it leaves of
its configuration, then its command line; where nothing tells, the entries themselves decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from ctconsole.errors import AgentRefusedError, CtconsoleError, FormatError
from ctconsole.model.ct.clock import KTIME, ClockSource
from ctconsole.model.readers import agentjson
from ctconsole.model.sizing import RATIO
from ctconsole.observe import agentapi, agentflags, nodeclock
from ctconsole.observe.agents import (
    RUNTIME_CONFIG,
    find_agent,
    find_globals,
    find_root,
    is_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctconsole.model.ct.layout import Layout
    from ctconsole.observe.agents import AgentProcess

T = TypeVar("T")

STORED_OPTIONS = Path("state/viper-agent-config.yaml")


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """Something known of the node, and how it is known.

    Attributes:
        value: the fact.
        origin: for a person: the API, a file, the command line, a guess and its reason.
        certain: False for guesses and assumptions.
    """

    value: T
    origin: str
    certain: bool = True


ASSUMED_CLOCK = Fact(KTIME, "assumed: what agents count by default", certain=False)
OWN_RELEASE = Fact("ctconsole's own", "it writes what Cilium 1.9 does")
OWN_CLOCK = Fact(KTIME, "what ctconsole's own agent counts")


@dataclass(frozen=True, slots=True)
class OwnAgent:
    """An agent of ours in charge.

    Attributes:
        pid: its process.
        state_dir: what it keeps is in there.
    """

    pid: int
    state_dir: Path


OwnAgentAt: TypeAlias = "Callable[[Path], OwnAgent | None]"
"""Tells which agent of ours looks after a folder of pins; None where none does."""


def nobodys(folder: Path) -> OwnAgent | None:
    """No agent of ours looks after any folder."""
    del folder
    return None


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is known of a node; made anew by `discover`, never changed.

    Attributes:
        bpf_root: the bpffs looked at.
        globals: the folder of pinned maps in it.
        agent: Cilium's agent in charge of it, None where none runs.
        own: the agent of ours that is in charge, None where none is.
        version: the agent's release, None where nothing tells.
        options: its options by kebab-case name.
        options_origin: where they come from.
        clock: what CT lifetimes count.
        layout: how CT values are laid out, None where only the entries can tell.
        notes: sentences for a person; what is missing and why that is all right.
    """

    bpf_root: Path
    globals: Path
    agent: AgentProcess | None = None
    version: Fact[str] | None = None
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    options_origin: str = ""
    clock: Fact[ClockSource] = ASSUMED_CLOCK
    layout: Fact[Layout] | None = None
    notes: tuple[str, ...] = ()
    own: OwnAgent | None = None


def discover(
    bpf_root: Path | None = None,
    *,
    layout: Layout | None = None,
    own: OwnAgentAt = nobodys,
) -> NodeFacts:
    """Look at the node once; takes milliseconds, or the API's patience where it hangs.

    Args:
        bpf_root: the bpffs; None takes the first mounted one that has Cilium's folder.
        layout: what the operator says; wins over everything.
        own: asked where no agent of Cilium's is in charge.
    """
    root = bpf_root or find_root()
    folder = find_globals(root)
    agent = find_agent(folder)
    known = _Known()
    if agent is not None:
        _ask_api(agent, known)
        _read_runtime_config(agent, known)
        origin = f"arguments, environment and config folder of process {agent.process.pid}"
        known.add_options(agent.flags, origin)
        _read_arguments(agent, known)
        _read_stored_options(agent, known)
    ours = own(folder) if agent is None else None
    counted = OWN_CLOCK if ours is not None else None
    clock = known.clock or counted or _clock_of_entries(folder) or ASSUMED_CLOCK
    notes = [*known.notes, *_missing_maps(folder)]
    if agent is None and ours is None:
        notes.append(f"No cilium-agent that uses {folder} is running")
    return NodeFacts(
        bpf_root=root,
        globals=folder,
        agent=agent,
        version=known.version,
        options=MappingProxyType(known.options),
        options_origin=", ".join(known.origins),
        clock=clock,
        layout=_layout(layout, known.version) or (_own_layout() if ours is not None else None),
        notes=tuple(notes),
        own=ours,
    )


def layout_of(version: str) -> Layout | None:
    """The layout a release writes: the newest one known that is not newer than it.

    None for a text without a version, or a release older than all layouts.
    """
    wanted = _release(version)
    if wanted is None:
        return None
    from ctconsole.model.ct.layout import LAYOUTS

    older = [(found, layout) for layout in LAYOUTS if (found := _release(layout)) is not None]
    fitting = [(found, layout) for found, layout in older if found <= wanted]
    return max(fitting)[1] if fitting else None


@dataclass
class _Known:
    """Facts as they come in; the first source of each wins."""

    version: Fact[str] | None = None
    clock: Fact[ClockSource] | None = None
    options: dict[str, str] = field(default_factory=dict)
    origins: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_options(self, found: Mapping[str, str], origin: str) -> None:
        new = {name: value for name, value in found.items() if name not in self.options}
        if new:
            self.options.update(new)
            if origin not in self.origins:
                self.origins.append(origin)

    def add_clock(self, found: ClockSource | None, origin: str, *, certain: bool = True) -> None:
        if found is not None and self.clock is None:
            self.clock = Fact(found, origin, certain)


def _ask_api(agent: AgentProcess, known: _Known) -> None:
    """Ask for health and configuration; who does not answer at all is asked once."""
    origin = f"the agent's API at {agent.socket}"
    for what, take in (("healthz", _take_health), ("config", _take_config)):
        try:
            take(agentapi.ask(agent.socket, what), origin, known)
        except (AgentRefusedError, FormatError) as error:
            known.notes.append(str(error))
        except CtconsoleError as error:
            known.notes.append(str(error))
            return


def _take_health(health: object, origin: str, known: _Known) -> None:
    version = agentjson.version(health)
    if version:
        known.version = Fact(version, origin)
    known.add_clock(agentjson.clock_source(health), origin)
    ratio = agentjson.size_ratio(health)
    if ratio is not None:
        known.add_options({RATIO: f"{ratio:g}"}, origin)


def _take_config(answer: object, origin: str, known: _Known) -> None:
    config = agentjson.daemon_config(answer)
    known.add_options(agentjson.flags(config), origin)
    known.add_clock(agentjson.runtime_clock(config), origin)


def _read_runtime_config(agent: AgentProcess, known: _Known) -> None:
    file = agent.state_dir / RUNTIME_CONFIG
    text = agentflags.read_text(agent.state_dir, RUNTIME_CONFIG)
    if text is None:
        return
    try:
        config: Any = agentjson.document(text.encode(), str(file))
    except CtconsoleError as error:
        known.notes.append(str(error))
        return
    known.add_options(agentjson.flags(config), str(file))
    known.add_clock(agentjson.runtime_clock(config), str(file))


def _read_stored_options(agent: AgentProcess, known: _Known) -> None:
    """Every option, as it was given or by its default; what became of it is not in there."""
    file = agent.state_dir / STORED_OPTIONS
    known.add_options(
        agentflags.stored(agentflags.read_text(agent.state_dir, STORED_OPTIONS) or ""), str(file)
    )


def _read_arguments(agent: AgentProcess, known: _Known) -> None:
    """The clock probe is off unless asked for, and asks for jiffies where it is on."""
    probe = agent.flags.get("enable-bpf-clock-probe")
    if probe in {"true", "false"}:
        origin = f"--enable-bpf-clock-probe={probe} of process {agent.process.pid}"
        if probe == "false":
            known.add_clock(KTIME, origin)
        elif (hertz := nodeclock.kernel_hertz()) is not None:
            # The probe falls back to ktime where HZ is 1 or jiffies cannot be read.
            known.add_clock(ClockSource("jiffies", hertz), origin, certain=False)


def _clock_of_entries(folder: Path) -> Fact[ClockSource] | None:
    found = nodeclock.clock_of_entries(folder)
    return Fact(found[0], found[1], certain=False) if found else None


def _layout(override: Layout | None, version: Fact[str] | None) -> Fact[Layout] | None:
    if override is not None:
        return Fact(override, "as asked for with --layout")
    if version is None:
        return None
    layout = layout_of(version.value)
    if layout is None:
        return None
    certain, doubt = version.certain, doubt_of(version.value, layout)
    origin = f"Cilium {version.value}, from {version.origin}{doubt}"
    return Fact(layout, origin, certain=certain and not doubt)


def _own_layout() -> Fact[Layout]:
    from ctconsole.model.ct.layout import Layout

    return Fact(Layout.V1_9, "what ctconsole's own agent writes")


def doubt_of(version: str, layout: Layout) -> str:
    """What is to be said where a release has no layout of its own here; else empty."""
    if _release(version) == _release(layout):
        if _SNAPSHOT.search(version):
            return f"; a snapshot from before {layout} may still have the formats of the one before"
        return ""
    return f"; that release was never looked at, and {layout} is the nearest that is known"


def _missing_maps(folder: Path) -> Iterable[str]:
    if not is_folder(folder):
        yield f"There is no folder {folder}: no agent has pinned maps there"
        return
    for family in ("4", "6"):
        if not _is_there(folder / f"cilium_ct{family}_global"):
            other = "IPv6" if family == "6" else "IPv4"
            yield f"No {other} conntrack tables are pinned: the agent runs without {other}"


def _is_there(path: Path) -> bool:
    """Whether a path exists; what may not be looked at does not."""
    try:
        return path.exists()
    except OSError:
        return False


_SNAPSHOT = re.compile(r"\d-(dev|pre|snapshot)\b")


def _release(text: str) -> tuple[int, int] | None:
    found = re.search(r"([0-9]{1,4})\.([0-9]{1,4})", text)
    return (int(found[1]), int(found[2])) if found else None
