"""Starting, asking and stopping an agent that runs in a process of its own."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ctconsole import private
from ctconsole.agent import wire
from ctconsole.agent.options import change_options
from ctconsole.agent.state import AgentSettings, StateDir, agent_of, load_endpoints
from ctconsole.agent.ticket import AgentTicket
from ctconsole.errors import AgentError, ConfigError, CtconsoleError
from ctconsole.loops import LoopState
from ctconsole.manager.changing import changing, is_orphaned
from ctconsole.model.ct.knowledge import PolicyFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctconsole.agent.options import OptionChange
    from ctconsole.manager.changing import Changing

__all__ = [
    "AgentSettings",
    "AgentStatus",
    "agent_of",
    "collect",
    "policy",
    "regenerate",
    "restart",
    "start",
    "status",
    "stop",
    "stop_for_good",
]

SILENCE = 90.0
"""How long a start may say nothing: compiling programs on a busy machine takes long. The start
itself may take any time."""

STOP_SECONDS = 30.0
"""How long a stop may take: a GC pass looks up between batches, a compilation does not."""


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What is known of an agent.

    Attributes:
        running: whether its process holds the state folder.
        ready: whether it has started up.
        pid: its process id, None where it does not run.
        started: when, seconds since the Unix epoch; None where it does not run or not answer.
        settings: those of the last start, None where there was none.
        config: the options it runs with, by kebab-case name; empty unless it answers.
        endpoints: ids of the endpoints whose programs it loaded.
        maps: kernel ids of the maps it opened at its start, by pin name.
        gc: interval (seconds), and time, alive, deleted, revived and duration of the last pass.
        loops: how its threads are doing.
    """

    running: bool
    ready: bool = False
    pid: int | None = None
    started: float | None = None
    settings: AgentSettings | None = None
    config: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    endpoints: tuple[int, ...] = ()
    maps: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    gc: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    loops: tuple[LoopState, ...] = ()


def start(settings: AgentSettings, *, losing: bool = False) -> AgentStatus:
    """Start an agent in a process of its own and wait until it is ready.

    It belongs to no terminal and no caller; what it says goes to ``agent.log``. However long the
    start takes, only silence ends the wait for it.

    Args:
        settings: how to start it.
        losing: start it also where maps are not as its options say and entries of them would be
            lost.

    Raises:
        ConfigError: an option out of its range; nothing was started.
        BusyError: somebody else changes the maps; nothing was started.
        AgentError: an agent runs already, or the start-up failed; carries its sentence.
    """
    require_none(settings)
    with _changing(settings, "starts an agent") as lock:
        return _start(settings, StateDir(settings.state_dir), lock, losing=losing)


def require_none(settings: AgentSettings) -> None:
    """See that an agent can be started with these settings because none runs.

    Raises:
        ConfigError: an option out of its range.
        AgentError: one runs already.
    """
    settings.read_config()
    state = StateDir(settings.state_dir)
    pid = state.running_pid()
    if pid is not None:
        raise AgentError(
            f"An agent (process {pid}) already runs on {state.root}",
            hint="Restart it, or give another --state-dir",
        )


def _start(
    settings: AgentSettings, state: StateDir, lock: Changing | None, *, losing: bool
) -> AgentStatus:
    outcome = _spawn(settings, state, lock, losing=losing)
    if outcome.get("ready"):
        return status(settings)
    if outcome.get("config"):
        raise ConfigError(str(outcome["error"]))
    reason = outcome.get("error") or "its process ended without a word"
    raise AgentError(f"The agent did not start: {reason}", hint=f"See {state.log}")


@contextmanager
def _changing(settings: AgentSettings, what: str) -> Iterator[Changing | None]:
    """Hold the lock of whoever changes maps; None where there is no bpffs to hold it for."""
    if not settings.bpf_root.exists():
        yield None
        return
    with changing(settings.bpf_root, what) as lock:
        yield lock


def stop(settings: AgentSettings) -> bool:
    """Stop the agent and wait until it is gone; programs and maps stay.

    Returns:
        False where none was running.

    Raises:
        AgentError: it does not end.
    """
    state = StateDir(settings.state_dir)
    end = time.monotonic() + STOP_SECONDS
    pid = state.running_pid()
    if pid is None:
        return False
    if pid:
        # A process id read under a held lock is the agent's, not a later process's.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    while state.running_pid() is not None:
        if time.monotonic() > end:
            raise AgentError(
                f"The agent (process {pid}) did not stop within {STOP_SECONDS:.0f} s",
                hint=f"See {state.log}",
            )
        time.sleep(0.01)
    return True


def stop_for_good(settings: AgentSettings) -> None:
    """Stop the agent, also one that is being started and whose starter was killed.

    Raises:
        AgentError: it does not end.
    """
    end = time.monotonic() + STOP_SECONDS
    while is_orphaned(settings.bpf_root) and time.monotonic() < end:
        stop(settings)
        time.sleep(0.02)
    stop(settings)


def restart(
    settings: AgentSettings, changes: Mapping[str, str] | None = None, *, losing: bool = True
) -> AgentStatus:
    """Stop the agent if it runs and start it with these settings; see `start` and `stop`.

    The configuration is checked before the old agent is stopped. If the agent then does not
    start, its options are put back as they were, unless it re-created a map with them already.

    Args:
        settings: how to start it.
        changes: options that are to have other values, where each is set: in the config folder,
            or among the settings.
        losing: restart it also where entries would be lost; else it is refused before the agent
            is stopped (AgentError).
    """
    with _changing(settings, "restarts the agent") as lock:
        state = StateDir(settings.state_dir)
        if not losing:
            _require_kept(replace(settings, options={**settings.options, **(changes or {})}))
        before = _pinned_ids(settings)
        change = change_options(settings, changes or {})
        try:
            stop(settings)
            return _start(change.settings, state, lock, losing=True)
        except (CtconsoleError, KeyboardInterrupt) as error:
            said = _put_back(change, state, before)
            if said and isinstance(error, AgentError):
                raise AgentError(f"{error.message}. {said}", hint=error.hint) from error
            raise


def _put_back(change: OptionChange, state: StateDir, before: Mapping[str, int]) -> str:
    """Undo a change of options after a start that failed; what became of it, in words.

    A map that was re-created already has the new size, and putting back its option would have
    the next start delete it once more. An agent that still starts goes by the new ones.
    """
    if not change:
        return ""
    if state.running_pid() is not None:
        return "Its options stay changed, because it still runs"
    now = _pinned_ids(change.settings)
    anew = [name for name, number in before.items() if now.get(name, number) != number]
    if anew:
        return f"Its options stay changed, because {', '.join(anew)} were re-created by then"
    change.undo()
    return "Its options are as they were before"


def _require_kept(settings: AgentSettings) -> None:
    """See that a start with these settings loses no entry; see `_pinned_ids`."""
    from ctconsole.agent.startup import require_kept

    config, _ = settings.read_config()
    require_kept(config, settings.bpf_root, load_endpoints(settings.state_dir))


def _pinned_ids(settings: AgentSettings) -> dict[str, int]:
    """Kernel ids of the maps pinned now, by name; none where there is no bpffs yet."""
    # What starts an agent up is much to load for whoever only asks one.
    from ctconsole.agent.startup import pinned

    try:
        return {name: info.id for name, (_, info) in pinned(settings.bpf_root).items()}
    except CtconsoleError:
        return {}


def status(settings: AgentSettings) -> AgentStatus:
    """What is known of the agent of a state folder; one that does not run is no error.

    Raises:
        FormatError: the folder's ``agent.json`` is damaged.
    """
    state = StateDir(settings.state_dir)
    last, pid = state.load_settings(), state.running_pid()
    if pid is None:
        return AgentStatus(running=False, settings=last)
    try:
        found = wire.request(state.socket, "status", total=5.0)
    except AgentError:
        # It starts or ends just now.
        return AgentStatus(running=True, pid=pid or None, settings=last)
    return AgentStatus(
        running=True,
        ready=found["ready"],
        pid=found["pid"],
        started=found["started"],
        settings=last,
        config=MappingProxyType(found["config"]),
        endpoints=tuple(found["endpoints"]),
        maps=MappingProxyType(found["maps"]),
        gc=MappingProxyType(found["gc"]),
        loops=tuple(map(LoopState.from_dict, found["loops"])),
    )


def check_ready(settings: AgentSettings) -> None:
    """See that an agent answers and can be asked to change something.

    Raises:
        AgentError: it does not answer, not as an agent does, or is still starting.
    """
    found = wire.request(StateDir(settings.state_dir).socket, "status", total=30.0)
    if not found["ready"]:
        raise AgentError("The agent is still starting", hint="Try again when it is ready")


def regenerate(settings: AgentSettings) -> None:
    """Have the agent read its configuration and replace every endpoint's programs.

    Raises:
        AgentError: no agent runs, or it failed; carries its sentence.
    """
    ticket = AgentTicket(settings)
    ticket.begin()
    ticket.wait()


def collect(settings: AgentSettings) -> Mapping[str, Any]:
    """Have the agent run a GC pass now.

    Returns:
        alive, deleted, revived, and duration in seconds.

    Raises:
        AgentError: no agent runs, or the pass failed.
    """
    return wire.request(StateDir(settings.state_dir).socket, "gc")


def policy(settings: AgentSettings) -> PolicyFacts:
    """Which of the agent's endpoints let everything through.

    Raises:
        AgentError: no agent runs, or it does not answer.
    """
    answer = wire.request(StateDir(settings.state_dir).socket, "endpoint-list")
    endpoints = answer["endpoints"]

    def unless(rule: str) -> frozenset[bytes]:
        return frozenset(
            ip_address(one[family]).packed
            for one in endpoints
            if not one[rule]
            for family in ("ipv4", "ipv6")
            if one[family]
        )

    return PolicyFacts(unless("enforce_ingress"), unless("enforce_egress"))


def _spawn(
    settings: AgentSettings, state: StateDir, lock: Changing | None, *, losing: bool
) -> Mapping[str, Any]:
    """Start the process; the last line it sent through its pipe, empty where it sent none."""
    try:
        private.make_folder(state.root)
        log = open(state.log, "ab", opener=private.opener)  # noqa: SIM115 - closed below
    except OSError as error:
        raise AgentError(f"Cannot write {state.log}: {error.strerror}") from error
    package = Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
    }
    heard, told = os.pipe()
    handed = [told] if lock is None else [told, lock.fd]
    try:
        with log:
            subprocess.run(
                [
                    *(sys.executable, "-m", "ctconsole", "agent", "run", "--detach"),
                    *("--ready-fd", str(told), "--settings", settings.to_json()),
                    *(() if lock is None else ("--lock-fd", str(lock.fd))),
                    *(("--yes",) if losing else ()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=handed,
                env=environment,
                cwd="/",
                start_new_session=True,
                check=False,
                timeout=SILENCE,
            )
        os.close(told)
        told = -1
        return _hear(heard)
    except subprocess.TimeoutExpired as error:
        raise AgentError("The agent's process does not start", hint=f"See {state.log}") from error
    finally:
        os.close(heard)
        if told >= 0:
            os.close(told)


def _hear(fd: int) -> Mapping[str, Any]:
    """Read what the agent tells until it lets go of the pipe; what it said last.

    Each line is a sign of life; how many there are, and how long it all takes, has no limit.
    """
    text, last = b"", ""
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while selector.select(SILENCE):
            part = os.read(fd, 1 << 16)
            if not part:
                break
            *lines, text = (text + part).split(b"\n")
            for line in lines:
                found = _told(line)
                if "progress" not in found:
                    return found
                last = str(found["progress"][-1])
        else:
            where = f" after {last}" if last else ""
            return {"error": f"it has said nothing for {SILENCE:.0f} s{where}; it still runs"}
    return {"error": f"its process ended without a word after {last}"} if last else {}


def _told(line: bytes) -> Mapping[str, Any]:
    """One line of the agent's pipe."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {"error": line.decode("utf-8", "replace").strip()}
    return found
