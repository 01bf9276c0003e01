"""When the agent collects garbage, and what it knows from pass to pass."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from ctconsole.agent import gc, startup
from ctconsole.agent.evictions import Evictions
from ctconsole.agent.listener import Listener
from ctconsole.agent.natgc import NatRules, Orphans
from ctconsole.errors import AgentError
from ctconsole.model.catalogue import classify
from ctconsole.model.packets.monitor import Signal
from ctconsole.model.packets.samples import to_wire
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.agent.gc import GcReport
    from ctconsole.config import AgentConfig
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event


class Collector:
    """Runs passes and listens to the tables that call for one.

    Args:
        gate: the write gate.
        bpf_root: the bpffs of the agent's maps.
        record: stores and logs events.
        stopping: set when the agent is to end.

    Attributes:
        interval: seconds from the last pass to the next.
        last: the last pass.
    """

    def __init__(
        self,
        gate: Gate,
        bpf_root: Path,
        record: Callable[[Iterable[Event]], None],
        stopping: threading.Event,
    ) -> None:
        self.interval = gc.STARTING_INTERVAL
        self.last: GcReport | None = None
        self._gate = gate
        self._root = bpf_root
        self._record = record
        self._stopping = stopping
        self._called = threading.Event()
        self._signals: set[Signal] = set()
        self._listener: Listener | None = None
        self._evictions = Evictions()
        self._orphans = Orphans()

    def listen(self) -> None:
        """Read what the programs tell from now on.

        Raises:
            GoneError: an event array is not pinned.
            DeniedError: without CAP_PERFMON.
        """
        self._listener = Listener(self._gate, self._root / GLOBALS, self._record, self._hear)

    def close(self) -> None:
        """Let go of what it reads."""
        if self._listener:
            self._listener.close()

    def wake(self) -> None:
        """End the wait for the next pass."""
        self._called.set()

    def wait(self) -> str:
        """Wait until the next pass is due; why it is: ``interval`` or ``signal``.

        A table that stays full calls all the time, and a pass that found nothing to delete
        finds nothing right afterwards: passes take a tenth of the time at most.
        """
        ended = time.monotonic()
        if not self._called.wait(self.interval):
            return "interval"
        gap = max(gc.MIN_SIGNAL_GAP, 10 * (self.last.seconds if self.last else 0.0))
        self._stopping.wait(max(0.0, gap - (time.monotonic() - ended)))
        if not self._stopping.is_set():
            self._called.clear()
        return "signal"

    def collect(self, config: AgentConfig, reason: str) -> GcReport:
        """One pass; the wait until the next one follows from it.

        Raises:
            BpfError: a map cannot be read or written.
        """
        called, self._signals = self._signals, set()
        report = gc.collect(
            self._gate,
            self.tables(),
            self._stopping.is_set,
            evictions=self._evictions,
            created=self._created(config),
            nat_rules=NatRules(
                self._orphans,
                config.bpf_ct_timeout_regular_tcp,
                config.bpf_ct_timeout_regular_any,
                purge=Signal.NAT_FILL_UP in called,
            ),
        )
        self.interval = gc.next_interval(
            self.interval,
            report.delete_ratio,
            fixed=config.conntrack_gc_interval,
            longest=config.conntrack_gc_max_interval,
        )
        self.last = report
        self._record([report.event(self.interval, reason)])
        return report

    def tables(self) -> list[Path]:
        """The conntrack maps pinned now; those of one endpoint come and go with it."""
        return [
            path
            for name, (path, info) in startup.pinned(self._root).items()
            if (entry := classify(name, info)) and entry.is_ct and entry.matches(info)
        ]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record of the datapath from now on, for `wire.stream`.

        Raises:
            AgentError: they cannot be read.
        """
        if self._listener is None:
            raise AgentError("The agent does not read the datapath's events")
        with self._listener.follow() as reads:
            for samples in reads:
                yield dict(to_wire(samples))

    def status(self) -> dict[str, Any]:
        """The last pass in numbers, when the next is due, and what was lost on the way."""
        last = self.last
        numbers = dict.fromkeys(("alive", "deleted", "revived", "duration"))
        return {
            "interval": self.interval,
            "time": last.time if last else None,
            **numbers,
            **(last.as_fields() if last else {}),
            "evicted_total": self._evictions.total,
            "records_lost": self._listener.lost if self._listener else None,
        }

    def _hear(self, signal: Signal) -> None:
        self._signals.add(signal)
        self._called.set()

    def _created(self, config: AgentConfig) -> Mapping[tuple[int, bool], int] | None:
        """Connections given an entry since the start; None where programs do not tell."""
        if self._listener is None or not config.enable_monitor:
            return None
        return self._listener.created
