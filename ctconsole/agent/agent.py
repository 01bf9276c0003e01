"""What an agent does: it starts up, answers requests, moves programs and collects garbage."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctconsole import loops
from ctconsole.agent import startup, verbs
from ctconsole.agent.collector import Collector
from ctconsole.agent.jobs import Jobs
from ctconsole.agent.log import recorder
from ctconsole.agent.options import store_options
from ctconsole.agent.plane import Plane
from ctconsole.agent.scrub import scrub
from ctconsole.agent.state import StateDir, load_endpoints
from ctconsole.agent.uplink import masquerade
from ctconsole.errors import AgentError, BusyError, CtconsoleError, EndedEarlyError
from ctconsole.happening import happened
from ctconsole.history import History, Retention
from ctconsole.loops import Loop
from ctconsole.manager.changing import require_unchanged
from ctconsole.manager.endpoints import remove_own_maps
from ctconsole.manager.init_maps import init_endpoint_maps
from ctconsole.manager.resize.journal import journal_of
from ctconsole.manager.resize.recovery import Recovery
from ctconsole.manager.swap import let_go_of_pending
from ctconsole.model.event import EventKind, Level
from ctconsole.model.plane.address_rows import addresses_of
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ctconsole.agent.answers import SwitchState
    from ctconsole.agent.gc import GcReport
    from ctconsole.agent.jobs import Job
    from ctconsole.agent.state import AgentSettings
    from ctconsole.config import AgentConfig
    from ctconsole.kernel.gate import Gate
    from ctconsole.loops import LoopState
    from ctconsole.model.event import Event, Scalar
    from ctconsole.model.plane.endpoint import Endpoint


_STOPPED = "The agent was told to stop"

_TURN = 0.5
"""Seconds between two looks whether it is one's turn, and that an answer may wait for an end."""


class Agent:
    """A running agent. Requests come in other threads; what changes something is serialised.

    Args:
        settings: how it was started.
        gate: the write gate.
        history: where its events are kept; for how long is its options' to say.

    Attributes:
        stopping: set when it is to end.
        plane: services, identities and policy.
    """

    def __init__(self, settings: AgentSettings, gate: Gate, history: History) -> None:
        record = recorder(history)
        self.settings = settings
        self._passes = Loop("gc", self._pass, self._pass_failed)
        self._why = "start"
        self.stopping = self._passes.stopping
        self.plane = Plane(gate, settings.bpf_root, StateDir(settings.state_dir), record)
        self._gate = gate
        self._history = history
        self._record = record
        self._lock = threading.Lock()
        self._started = time.time()
        self._reason = ""
        self._ready = False
        self._config: AgentConfig | None = None
        self._endpoints: tuple[Endpoint, ...] = ()
        self._maps: dict[str, int] = {}
        self._jobs = Jobs()
        self._collector = Collector(gate, settings.bpf_root, record, self.stopping)

    def start_up(
        self, tell: Callable[[int, int, str], None] = lambda *_: None, *, losing: bool = False
    ) -> None:
        """Run the start-up sequence; its settings are kept for the next start when it is begun.

        Args:
            tell: gets how many endpoints of how many are done, and what comes now.
            losing: whether maps that are not as wished may be made anew with entries in them.

        Raises:
            EndedEarlyError: it was told to stop meanwhile.
            AgentError: entries would be lost; no map was changed, and no setting.
            CtconsoleError: see `startup.run_daemon`.
        """

        def step(done: int, of: int, now: str) -> None:
            tell(done, of, now)
            self._unless_stopping(done, of, now)

        with self._lock:
            self._say(EventKind.AGENT_START, "Starting agent", {"pid": os.getpid()})
            # One that a killed process left; pins and options have to agree before maps are made.
            resize = Recovery(self._gate, journal_of(self.settings.bpf_root), self._store)
            resize.prepare()
            if not resize.is_due:
                let_go_of_pending(self._gate, self.settings.bpf_root / GLOBALS)
            config = self._read_config(self.settings)
            if not losing:
                endpoints = load_endpoints(self.settings.state_dir)
                startup.require_kept(config, self.settings.bpf_root, endpoints)
            StateDir(self.settings.state_dir).save_settings(self.settings)
            began = time.perf_counter()
            self.plane.load()
            started = startup.run_daemon(
                self._gate,
                config,
                self.settings.bpf_root,
                load_endpoints(self.settings.state_dir),
                self._record,
                prepare=lambda endpoints: self.plane.prepare(config, endpoints),
                step=step,
            )
            ended = resize.finish()
            self._record(ended.events if ended else ())
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
        self._passes.run()

    def _store(self, options: Mapping[str, str | None]) -> None:
        """Set options as the resize that is ended wants them; for this start, too."""
        if options:
            self.settings = store_options(self.settings, options)

    def _pass(self) -> float:
        try:
            self.collect(self._why)
        except BusyError:
            return _TURN
        self._why = self._collector.wait()
        return 0.0

    def _pass_failed(self, state: LoopState) -> None:
        self._say(
            EventKind.WARNING, "Garbage collection failed", {"error": state.error}, Level.WARNING
        )

    def _listen(self) -> None:
        """Read what programs tell; an agent that cannot goes on without."""
        try:
            self._collector.listen()
        except CtconsoleError as error:
            self.complain("Events of the datapath cannot be read", error)

    def close(self) -> None:
        """Let go of what it reads; returns when nothing is being changed any more."""
        self._jobs.close(_STOPPED)
        with self._lock:
            self._collector.close()

    def collect(self, reason: str = "request") -> GcReport:
        """One GC pass now; the wait until the next one follows from it.

        Raises:
            BusyError: somebody changes the maps: what is being carried from one to another is
                not to be deleted from either.
        """
        with self._lock:
            if self._config is None:
                raise AgentError("The agent is still starting")
            # Programs are moved with this lock held, too, so whoever begins now is not there yet.
            require_unchanged(self.settings.bpf_root)
            return self._collector.collect(self._config, reason)

    def begin_switch(self, asked: Mapping[str, Any]) -> SwitchState:
        """Begin to move every endpoint's programs to the maps pinned now.

        Args:
            asked: ``id`` of the switch; ``pin`` and ``map_id`` of the map it is for, or neither.
        """
        pin = Path(asked["pin"]) if asked.get("pin") else None
        return self._jobs.begin(
            str(asked["id"]), pin, int(asked.get("map_id", 0)), self._regenerate
        )

    def _regenerate(self, job: Job) -> None:
        """Read the configuration again and replace every endpoint's programs.

        The maps are taken as they are pinned: making them fit is a start's work.
        """
        while not self._lock.acquire(timeout=_TURN):
            # A GC pass, a start or another change; it is alive as long as this process is.
            job.step(0, 0, "waiting for other work of the agent")
        try:
            if not self._ready:
                raise AgentError("The agent is still starting")
            settings = self._settings_now()
            config = self._read_config(settings)
            endpoints = startup.restore(load_endpoints(settings.state_dir), self._record)
            endpoints = self.plane.prepare(config, endpoints)
            pinned = startup.pinned(settings.bpf_root)
            paths = {name: path for name, (path, _) in pinned.items()}
            of = len(endpoints)
            startup.regenerate(self._gate, config, paths, endpoints, self._record, step=job.step)
            job.step(of, of, "uplink")
            masquerade(self._gate, config, paths, self._record, lambda: job.step(of, of, "uplink"))
            self._config, self._endpoints = config, tuple(endpoints)
            self._maps = {name: pinned[name][1].id for name in self._maps if name in pinned}
            self.settings = settings
            job.finish()
        finally:
            self._lock.release()

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
            if self.stopping.is_set():
                raise EndedEarlyError(_STOPPED)
            yield self._config

    def reload(self, endpoints: list[Endpoint]) -> None:
        """Load the programs of some endpoints again; in `changing`."""
        if self._config is None:
            raise AgentError("The agent is still starting")
        pinned = startup.pinned(self.settings.bpf_root)
        paths = {name: path for name, (path, _) in pinned.items()}
        startup.regenerate(
            self._gate,
            self._config,
            paths,
            endpoints,
            self._record,
            step=self._unless_stopping,
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
        """Detach an endpoint's programs and remove what was its own; in `changing`.

        Raises:
            BusyError: somebody changes the maps that its entries are deleted from.
        """
        root = self.settings.bpf_root
        require_unchanged(root)
        self._record(startup.detach(self._gate, endpoint, root))
        self._endpoints = tuple(one for one in self._endpoints if one.id != endpoint.id)
        self.plane.forget_endpoint(endpoint.name)
        self.plane.sync_addresses(self._endpoints)
        self._record(remove_own_maps(self._gate, root, endpoint.id))
        scrubbed = scrub(self._gate, self._collector.tables(), addresses_of(endpoint))
        event = startup.endpoint_event(
            EventKind.ENDPOINT_REMOVED, endpoint, "Removed endpoint", scrubbed=scrubbed
        )
        self._record([event])

    def status(self) -> dict[str, Any]:
        """What `control.status` shows; never waits for work under way."""
        return {
            "pid": os.getpid(),
            "started": self._started,
            "ready": self._ready,
            "config": self._config.as_options() if self._config else {},
            "endpoints": [endpoint.id for endpoint in self._endpoints],
            "maps": self._maps,
            "gc": self._collector.status(),
            "loops": [state.as_dict() for state in loops.states()],
        }

    def handlers(self) -> dict[str, Any]:
        """The requests it takes, by verb."""
        return {
            "status": lambda _: self.status(),
            "switch-begin": self.begin_switch,
            "switch-progress": lambda asked: self._jobs.progress(
                str(asked["id"]), min(float(asked.get("wait", 0)), _TURN)
            ),
            "switch-cancel": lambda asked: self._jobs.cancel(
                str(asked["id"]), "it was cancelled", min(float(asked.get("wait", 0)), _TURN)
            ),
            "gc": lambda _: _gc_answer(self.collect()),
            "stop": self._asked_to_stop,
            **verbs.handlers(self),
        }

    def streams(self) -> dict[str, Any]:
        """The requests that have answers without end."""
        return {"monitor": lambda _: self._collector.records()}

    def record(self, events: Iterable[Event]) -> None:
        """Store and log what somebody else has seen of its node."""
        self._record(events)

    def trouble(self, state: LoopState) -> None:
        """Record that one of its loops fails."""
        self._record.trouble(state)

    def complain(self, message: str, error: BaseException) -> None:
        """Record a failure that does not end the agent."""
        self._say(EventKind.WARNING, message, {"error": str(error)}, Level.WARNING)

    def fail(self, error: BaseException) -> None:
        """Record the failure that does."""
        self._say(EventKind.AGENT_FAILED, "Agent failed", {"error": told(error)}, Level.ERROR)

    def stop(self, reason: str) -> None:
        """Have it end; the first reason is the one recorded."""
        self._reason = self._reason or reason
        self._passes.stop(patience=0)
        self._collector.wake()

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
        self._history.keep = Retention(config.history_max_age, config.history_max_events)
        return config

    def _settings_now(self) -> AgentSettings:
        """The settings with the options as ``agent.json`` has them now."""
        kept = StateDir(self.settings.state_dir).load_settings()
        return replace(self.settings, options=kept.options) if kept else self.settings

    def _unless_stopping(self, _done: int, _of: int, _now: str) -> None:
        if self.stopping.is_set():
            raise EndedEarlyError(_STOPPED)

    def _say(
        self,
        kind: EventKind,
        message: str,
        fields: Mapping[str, Scalar],
        level: Level = Level.INFO,
    ) -> None:
        about = self.settings.state_dir
        self._record([happened(kind, "agent", about, message, fields, level=level)])


def told(error: BaseException) -> str:
    """A failure in words; one that this program did not foresee is named with its kind."""
    if isinstance(error, CtconsoleError):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _gc_answer(report: GcReport) -> dict[str, Any]:
    return {**report.as_fields(), "duration": report.seconds}
