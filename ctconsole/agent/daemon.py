"""The agent's process: starts up, serves requests, collects garbage, stops when told to.

Stopping removes nothing: programs stay attached and maps pinned, so that the datapath keeps
forwarding until the next agent takes over, as with Cilium.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ctconsole.agent import gc, startup, verbs
from ctconsole.agent.evictions import Evictions
from ctconsole.agent.listener import Listener
from ctconsole.agent.log import Recorder
from ctconsole.agent.natgc import NatRules, Orphans
from ctconsole.agent.plane import Plane
from ctconsole.agent.scrub import scrub
from ctconsole.agent.state import StateDir, load_endpoints
from ctconsole.agent.uplink import masquerade
from ctconsole.agent.wire import Server, Teller
from ctconsole.errors import AgentError, ConfigError, CtconsoleError, ReadOnlyError
from ctconsole.history import History
from ctconsole.kernel import netns
from ctconsole.kernel.gate import Gate
from ctconsole.manager.catalogue import classify
from ctconsole.manager.endpoints import remove_own_maps
from ctconsole.manager.init_maps import init_endpoint_maps
from ctconsole.model.addressrows import addresses_of
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.monitor import Signal
from ctconsole.model.samples import to_wire
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.agent.gc import GcReport
    from ctconsole.agent.state import AgentSettings
    from ctconsole.config import AgentConfig
    from ctconsole.model.endpoint import Endpoint
    from ctconsole.model.event import Scalar


class Agent:
    """A running agent. Requests come in other threads; what changes something is serialised.

    Args:
        settings: how it was started.
        gate: the write gate.
        record: stores and logs events.

    Attributes:
        stopping: set when it is to end.
        plane: services, identities and policy.
    """

    def __init__(self, settings: AgentSettings, gate: Gate, record: Recorder) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self.plane = Plane(gate, settings.bpf_root, StateDir(settings.state_dir), record)
        self._gate = gate
        self._record = record
        self._lock = threading.Lock()
        self._started = time.time()
        self._reason = ""
        self._ready = False
        self._config: AgentConfig | None = None
        self._endpoints: tuple[Endpoint, ...] = ()
        self._maps: dict[str, int] = {}
        self._called = threading.Event()
        self._listener: Listener | None = None
        self._signals: set[Signal] = set()
        self._evictions = Evictions()
        self._orphans = Orphans()
        self._interval = gc.STARTING_INTERVAL
        self._last_gc: GcReport | None = None

    def start_up(self) -> None:
        """Run the start-up sequence.

        Raises:
            CtconsoleError: see `startup.run_daemon`.
        """
        with self._lock:
            self._say(EventKind.AGENT_START, "Starting agent", {"pid": os.getpid()})
            config = self._read_config(self.settings)
            began = time.perf_counter()
            self.plane.load()
            started = startup.run_daemon(
                self._gate,
                config,
                self.settings.bpf_root,
                load_endpoints(self.settings.state_dir),
                self._record,
                prepare=lambda endpoints: self.plane.prepare(config, endpoints),
                wait=self.stopping.wait,
            )
            self._config, self._endpoints = config, started.endpoints
            self._maps = {name: info.id for name, info in started.maps.opened.items()}
            self._ready = True
            self._listen()
            self._say(
                EventKind.AGENT_READY,
                "Agent is ready",
                {
                    "endpoints": len(started.endpoints),
                    "maps": len(started.maps.opened),
                    "created": len(started.maps.created),
                    "duration": round(time.perf_counter() - began, 3),
                },
            )

    def work(self) -> None:
        """Collect garbage at once, then by the interval or when a table calls, until `stopping`.

        A pass that fails is an event; the next one is tried all the same.
        """
        reason = "start"
        while not self.stopping.is_set():
            try:
                self.collect(reason)
            except CtconsoleError as error:
                self.complain("Garbage collection failed", error)
            reason = self._wait_for_next()

    def _wait_for_next(self) -> str:
        """Wait until the next pass is due; why it is.

        A table that stays full calls all the time, and a pass that found nothing to delete
        finds nothing right afterwards: passes take a tenth of the time at most.
        """
        ended = time.monotonic()
        if not self._called.wait(self._interval):
            return "interval"
        last = self._last_gc.seconds if self._last_gc else 0.0
        gap = max(gc.MIN_SIGNAL_GAP, 10 * last)
        self.stopping.wait(max(0.0, gap - (time.monotonic() - ended)))
        if not self.stopping.is_set():
            self._called.clear()
        return "signal"

    def _listen(self) -> None:
        """Read what programs tell; an agent that cannot goes on without."""
        try:
            self._listener = Listener(
                self._gate,
                self.settings.bpf_root / GLOBALS,
                self._record,
                self._hear_signal,
            )
        except CtconsoleError as error:
            self.complain("Events of the datapath cannot be read", error)

    def _hear_signal(self, signal: Signal) -> None:
        self._signals.add(signal)
        self._called.set()

    def close(self) -> None:
        """Let go of what it reads."""
        if self._listener:
            self._listener.close()

    def monitor(self, _request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Every record of the datapath from now on, for `wire.stream`."""
        if self._listener is None:
            raise AgentError("The agent does not read the datapath's events")
        with self._listener.follow() as reads:
            for samples in reads:
                yield dict(to_wire(samples))

    def collect(self, reason: str = "request") -> GcReport:
        """One GC pass now; the wait until the next one follows from it."""
        with self._lock:
            config = self._config
            if config is None:
                raise AgentError("The agent is still starting")
            before = self._interval
            report = gc.collect(
                self._gate,
                self._ct_paths(),
                self.stopping.is_set,
                evictions=self._evictions,
                created=self._created(config),
                nat_rules=NatRules(
                    self._orphans,
                    config.bpf_ct_timeout_regular_tcp,
                    config.bpf_ct_timeout_regular_any,
                    purge=Signal.NAT_FILL_UP in self._signals,
                ),
            )
            self._signals.clear()
            self._interval = gc.next_interval(
                before,
                report.delete_ratio,
                fixed=config.conntrack_gc_interval,
                longest=config.conntrack_gc_max_interval,
            )
            self._last_gc = report
            self._record([report.event(self._interval, reason)])
            return report

    def _created(self, config: AgentConfig) -> Mapping[tuple[int, bool], int] | None:
        """Connections given an entry since the start; None where programs do not tell."""
        if self._listener is None or not config.enable_monitor:
            return None
        return self._listener.created

    def regenerate(self, options: Mapping[str, str]) -> int:
        """Read the configuration again and replace every endpoint's programs.

        The maps are taken as they are pinned: making them fit is a start's work.

        Args:
            options: options that changed; kept where the settings override the config folder.

        Returns:
            How many endpoints there are.
        """
        with self._lock:
            if not self._ready:
                raise AgentError("The agent is still starting")
            settings = self._with_options(options)
            config = self._read_config(settings)
            endpoints = startup.restore(load_endpoints(settings.state_dir), self._record)
            endpoints = self.plane.prepare(config, endpoints)
            pinned = startup.pinned(settings.bpf_root)
            paths = {name: path for name, (path, _) in pinned.items()}
            startup.regenerate(
                self._gate, config, paths, endpoints, self._record, wait=self.stopping.wait
            )
            masquerade(self._gate, config, paths, self._record)
            self._config, self._endpoints = config, tuple(endpoints)
            self._maps = {name: pinned[name][1].id for name in self._maps if name in pinned}
            if settings != self.settings:
                self.settings = settings
                StateDir(settings.state_dir).save_settings(settings)
            return len(endpoints)

    @property
    def state_dir(self) -> Path:
        """Its state folder."""
        return self.settings.state_dir

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those whose programs it loaded."""
        return self._endpoints

    @contextmanager
    def changing(self) -> Iterator[AgentConfig]:
        """Nobody else changes anything in this block; its configuration."""
        with self._lock:
            if self._config is None:
                raise AgentError("The agent is still starting")
            yield self._config

    def reload(self, endpoints: list[Endpoint]) -> None:
        """Load the programs of some endpoints again; in `changing`."""
        if self._config is None:
            raise AgentError("The agent is still starting")
        pinned = startup.pinned(self.settings.bpf_root)
        paths = {name: path for name, (path, _) in pinned.items()}
        startup.regenerate(
            self._gate, self._config, paths, endpoints, self._record, wait=self.stopping.wait
        )
        known = {one.id: one for one in (*self._endpoints, *endpoints)}
        self._endpoints = tuple(known[number] for number in sorted(known))

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Make an endpoint's maps, load and attach its programs; in `changing`."""
        if self._config is None:
            raise AgentError("The agent is still starting")
        present = startup.restore([endpoint], self._record)
        if not present:
            raise AgentError(f"Endpoint {endpoint.id} has no interface {endpoint.ifname}")
        init_endpoint_maps(self._gate, self._config, self.settings.bpf_root, endpoint, self._record)
        flagged = self.plane.prepare(self._config, [*self._endpoints, endpoint])
        self.reload(flagged[-1:])
        self._record([startup.endpoint_event(EventKind.ENDPOINT_ADDED, endpoint, "New endpoint")])

    def remove_endpoint(self, endpoint: Endpoint) -> None:
        """Detach an endpoint's programs and remove what was its own; in `changing`."""
        root = self.settings.bpf_root
        self._record(startup.detach(self._gate, endpoint, root))
        self._endpoints = tuple(one for one in self._endpoints if one.id != endpoint.id)
        self.plane.forget_endpoint(endpoint.name)
        self.plane.sync_addresses(self._endpoints)
        self._record(remove_own_maps(self._gate, root, endpoint.id))
        scrubbed = scrub(self._gate, self._ct_paths(), addresses_of(endpoint))
        event = startup.endpoint_event(
            EventKind.ENDPOINT_REMOVED, endpoint, "Removed endpoint", scrubbed=scrubbed
        )
        self._record([event])

    def status(self) -> dict[str, Any]:
        """What `control.status` shows; never waits for work under way."""
        last = self._last_gc
        return {
            "pid": os.getpid(),
            "started": self._started,
            "ready": self._ready,
            "config": self._config.as_options() if self._config else {},
            "endpoints": [endpoint.id for endpoint in self._endpoints],
            "maps": self._maps,
            "gc": {
                "interval": self._interval,
                "time": last.time if last else None,
                "alive": None,
                "deleted": None,
                "revived": None,
                "duration": None,
                **(last.as_fields() if last else {}),
                "evicted_total": self._evictions.total,
            },
            "monitor": {
                "lost": self._listener.lost if self._listener else None,
            },
        }

    def handlers(self) -> dict[str, Any]:
        """The requests it takes, by verb."""
        return {
            "status": lambda _: self.status(),
            "regenerate": lambda asked: {
                "endpoints": self.regenerate(dict(asked.get("options", {})))
            },
            "gc": lambda _: _gc_answer(self.collect()),
            "stop": self._asked_to_stop,
            **verbs.handlers(self),
        }

    def complain(self, message: str, error: BaseException) -> None:
        """Record a failure that does not end the agent."""
        self._say(EventKind.WARNING, message, {"error": str(error)}, Level.WARNING)

    def fail(self, error: BaseException) -> None:
        """Record the failure that does."""
        self._say(EventKind.AGENT_FAILED, "Agent failed", {"error": str(error)}, Level.ERROR)

    def stop(self, reason: str) -> None:
        """Have it end; the first reason is the one recorded."""
        self._reason = self._reason or reason
        self.stopping.set()
        self._called.set()

    def say_goodbye(self) -> None:
        """Record the stop."""
        uptime = round(time.time() - self._started, 3)
        fields: dict[str, Scalar] = {"reason": self._reason, "uptime": uptime}
        self._say(EventKind.AGENT_STOP, "Stopping agent", fields)

    def _asked_to_stop(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        self.stop("request")
        return {}

    def _read_config(self, settings: AgentSettings) -> AgentConfig:
        config, unknown = settings.read_config()
        if unknown:
            self._say(
                EventKind.WARNING,
                "Ignoring files in the config folder that are no option",
                {"files": ",".join(unknown)},
                Level.WARNING,
            )
        return config

    def _with_options(self, options: Mapping[str, str]) -> AgentSettings:
        """The settings with changed options that the config folder cannot hold."""
        given = self.settings.options
        kept = {
            name: value
            for name, value in options.items()
            if name in given or self.settings.config_dir is None
        }
        return replace(self.settings, options={**given, **kept}) if kept else self.settings

    def _ct_paths(self) -> list[Path]:
        """The conntrack maps pinned now; those of one endpoint come and go with it."""
        return [
            path
            for name, (path, info) in startup.pinned(self.settings.bpf_root).items()
            if (entry := classify(name, info)) and entry.is_ct and entry.matches(info)
        ]

    def _say(
        self,
        kind: EventKind,
        message: str,
        fields: Mapping[str, Scalar],
        level: Level = Level.INFO,
    ) -> None:
        self._record(
            [
                Event(
                    time=time.time(),
                    kind=kind,
                    source="agent",
                    subject=str(self.settings.state_dir),
                    message=message,
                    level=level,
                    fields=fields,
                )
            ]
        )


def run(settings: AgentSettings, *, ready_fd: int | None = None, detach: bool = False) -> None:
    """Be the agent until SIGTERM, SIGINT or a stop request; in the foreground or detached.

    Args:
        settings: how to start.
        ready_fd: a pipe that gets one JSON line, ``{"ready": true}`` or ``{"error": ...}``.
        detach: leave the caller's process and session first.

    Raises:
        AgentError: another agent runs on the state folder.
        CtconsoleError: the start-up failed; it is in history and log as well.
    """
    if detach and os.fork():
        # The first process only made the second one, which nobody has to wait for.
        os._exit(0)
    tell = Teller(ready_fd)
    try:
        _run(settings, tell)
    except CtconsoleError as error:
        tell({"error": str(error), "config": isinstance(error, ConfigError)})
        raise


def _run(settings: AgentSettings, tell: Teller) -> None:
    gate = Gate.open(read_only=False)
    if gate is None:
        raise ReadOnlyError("Running an agent")
    state = StateDir(settings.state_dir)
    state.root.mkdir(parents=True, exist_ok=True)
    lock = state.acquire()
    try:
        with History(state.history) as history:
            agent = Agent(settings, gate, Recorder(history))
            _stop_on_signals(agent)
            if settings.netns:
                netns.enter(settings.netns)
            state.save_settings(settings)
            server = Server(state.socket, agent.handlers(), {"monitor": agent.monitor})
            try:
                _live(agent, tell)
            finally:
                server.close()
                agent.close()
            agent.say_goodbye()
    finally:
        os.close(lock)


def _live(agent: Agent, tell: Teller) -> None:
    try:
        agent.start_up()
    except CtconsoleError as error:
        agent.fail(error)
        raise
    tell({"ready": True})
    agent.work()


def _stop_on_signals(agent: Agent) -> None:
    """Let SIGTERM and SIGINT end the agent between two steps of its work."""

    def stop(number: int, _frame: object) -> None:
        agent.stop(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _gc_answer(report: GcReport) -> dict[str, Any]:
    return {**report.as_fields(), "duration": report.seconds}
