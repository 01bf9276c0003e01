"""The agent's process: it becomes the agent, and ends when told to.

Stopping removes nothing: programs stay attached and maps pinned, so that the datapath keeps
forwarding until the next agent takes over, as with Cilium.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ctconsole.agent.agent import Agent, told
from ctconsole.agent.state import StateDir
from ctconsole.agent.wire import Server, Teller
from ctconsole.errors import ConfigError, EndedEarlyError
from ctconsole.history import History
from ctconsole.kernel import netns
from ctconsole.kernel.counting import Counting
from ctconsole.kernel.gate import Gate
from ctconsole.loops import Loop
from ctconsole.manager.changing import adopt, changing
from ctconsole.model.event import EventKind
from ctconsole.paths import GLOBALS
from ctconsole.private import make_folder
from ctconsole.settings.read import read_settings

if TYPE_CHECKING:
    from ctconsole.agent.state import AgentSettings


def run(
    settings: AgentSettings,
    *,
    ready_fd: int | None = None,
    lock_fd: int | None = None,
    detach: bool = False,
    losing: bool = False,
) -> None:
    """Be the agent until SIGTERM, SIGINT or a stop request; in the foreground or detached.

    Args:
        settings: how to start.
        ready_fd: a pipe that gets lines of JSON: ``{"progress": [done, of, now]}`` any number of
            times, at last ``{"ready": true}`` or ``{"error": ...}``.
        lock_fd: the lock of whoever changes maps, which the starter hands over; without it the
            agent takes it itself.
        detach: leave the caller's process and session first.
        losing: begin also where entries are lost with maps that are not as the options say.

    Raises:
        AgentError: another agent runs on the state folder.
        BusyError: somebody else changes the maps.
        CtconsoleError: the start-up failed; it is in history and log as well.
    """
    if detach and os.fork():
        # The first process only made the second one, which nobody has to wait for.
        os._exit(0)
    tell = Teller(ready_fd)
    try:
        _run(settings, tell, lock_fd, losing=losing)
    except BaseException as error:
        tell({"error": told(error), "config": isinstance(error, ConfigError)})
        raise


def _run(settings: AgentSettings, tell: Teller, lock_fd: int | None, *, losing: bool) -> None:
    gate = Gate.open()
    state = StateDir(settings.state_dir)
    make_folder(state.root)
    lock = state.acquire()
    try:
        with History(state.history) as history:
            agent = Agent(settings, gate, history)
            try:
                _live(agent, history, state, tell, lock_fd, losing=losing)
            except EndedEarlyError as error:
                tell({"error": told(error)})
            except BaseException as error:
                agent.fail(error)
                raise
            agent.say_goodbye()
    finally:
        os.close(lock)


def _live(
    agent: Agent,
    history: History,
    state: StateDir,
    tell: Teller,
    lock_fd: int | None,
    *,
    losing: bool,
) -> None:
    """Start up, serve and work until told to stop."""
    settings = agent.settings
    _stop_on_signals(agent)
    if settings.netns:
        netns.enter(settings.netns)
    with ExitStack() as stack:
        root, what = settings.bpf_root, "starts an agent"
        with adopt(lock_fd, root, what) if lock_fd is not None else changing(root, what):
            server = Server(state.socket, agent.handlers(), agent.streams(), agent.trouble)
            stack.callback(agent.close)
            stack.callback(server.close)
            agent.start_up(tell.progress, losing=losing)
        told = [event for _, event in history.read(kinds=[EventKind.MAP_FULL])]
        counting = Counting(
            root / GLOBALS,
            history.append_fills,
            agent.record,
            agent.trouble,
            told,
            # Of whoever started the agent, whose environment it has.
            thresholds=read_settings().thresholds,
        )
        stack.callback(counting.stop)
        counting.start()
        tell({"ready": True})
        agent.work()


def _stop_on_signals(agent: Agent) -> None:
    """Let SIGTERM and SIGINT end the agent between two steps of its work.

    They are waited for in a thread of their own: a handler runs in the main thread, which may
    hold the very lock that an event's set() wants, and one that comes just before that thread
    goes to sleep would be looked at when it wakes. To be called before there are other threads.
    """
    numbers = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def listen() -> None:
        agent.stop(signal.Signals(signal.sigwait(numbers)).name)

    Loop("signals", listen, agent.trouble).start()
