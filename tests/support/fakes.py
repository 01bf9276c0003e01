"""A node that exists only in memory: for the console's tests and its screenshots.

Everything comes from one seed and one clock, so that two runs show the same characters.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ctconsole.errors import CtconsoleError, GoneError
from ctconsole.model.catalogue import group_of
from ctconsole.model.ct.knowledge import Knowledge, ServiceFacts
from ctconsole.model.ct.layout import KEY4, CtFlag, IpProtocol, Layout, value_dtype
from ctconsole.model.ct.table import CtTable
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.memory import map_memory
from ctconsole.model.nodecard import AgentCard, KnownFact
from ctconsole.model.runs import NOT_LOOKED_AT, RunsSeen
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.source import MapRow, NodeSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import PurePath

    import numpy.typing as npt

    from ctconsole.model.ct.turnover import Headcount
    from ctconsole.model.event import Scalar
    from ctconsole.model.fill import Trend
    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.usage import MapUsage

GLOBALS = Path("/sys/fs/bpf/tc/globals")
CT4 = GLOBALS / "cilium_ct4_global"
CT_ANY4 = GLOBALS / "cilium_ct_any4_global"
CPUS = 2
"""Of the node that is made up."""

EPOCH = 1_785_582_150.0
"""2026-08-01 11:02:30 UTC: the frozen clock's time."""
NOW = 300_000
"""CLOCK_MONOTONIC seconds at `EPOCH`."""

_H, _L, _A, _P = MapType.HASH, MapType.LRU_HASH, MapType.ARRAY, MapType.PROG_ARRAY
_MAPS = (
    # name, type, key, value, maximum, entries (None: not counted)
    ("cilium_ct4_global", _L, 14, 56, 524288, 476_102),
    ("cilium_ct_any4_global", _L, 14, 56, 262144, 36_790),
    ("cilium_snat_v4_external", _L, 14, 40, 524288, 385_100),
    ("cilium_lb4_services_v2", _H, 12, 12, 65536, 214),
    ("cilium_lb4_backends", _H, 2, 8, 65536, 130),
    ("cilium_lb4_reverse_nat", _H, 2, 6, 65536, 61),
    ("cilium_lb4_maglev", MapType.HASH_OF_MAPS, 2, 4, 65536, 0),
    ("cilium_policy_00010", _H, 8, 24, 16384, 12),
    ("cilium_policy_00011", _H, 8, 24, 16384, 3),
    ("cilium_ipcache", MapType.LPM_TRIE, 24, 12, 512000, None),
    ("cilium_lxc", _H, 20, 48, 65535, 2),
    ("cilium_tunnel_map", _H, 20, 20, 65536, 1),
    ("cilium_calls_00010", _P, 4, 4, 24, None),
    ("cilium_calls_00011", _P, 4, 4, 24, None),
    ("cilium_call_policy", _P, 4, 4, 65535, None),
    ("cilium_events", MapType.PERF_EVENT_ARRAY, 4, 4, 2, None),
    ("cilium_signals", MapType.PERF_EVENT_ARRAY, 4, 4, 2, None),
    ("cilium_metrics", MapType.PERCPU_HASH, 8, 16, 1024, 9),
    ("cilium_ipv4_frag_datagrams", _L, 12, 4, 8192, 0),
    ("cilium_encrypt_state", _A, 4, 1, 1, None),
)


def map_info(
    number: int, name: str, kind: MapType, sizes: tuple[int, int], maximum: int
) -> MapInfo:
    info = MapInfo(number, name[:15], kind, *sizes, maximum, pin=GLOBALS / name)
    memory = map_memory(info, CPUS) if kind.is_hash else maximum * 8 + 384
    return replace(info, memlock=memory)


def random_table(info: MapInfo, rows: int, *, seed: int = 1, taken_at: float = EPOCH) -> CtTable:
    """A CT table as a busy node has it: mostly established, some closing, expired, services."""
    rng = np.random.default_rng(seed)
    keys: npt.NDArray[Any] = np.zeros(rows, KEY4)
    number = np.arange(rows, dtype=np.uint32)
    pods = np.array([[10, 244, 1, n] for n in (17, 40, 70, 112, 192)], np.uint8)
    keys["saddr"] = pods[rng.integers(0, len(pods), rows)]
    keys["daddr"] = np.stack(
        [
            np.full(rows, 10),
            np.full(rows, 244),
            rng.integers(1, 6, rows),
            rng.integers(2, 250, rows),
        ],
        axis=1,
    )
    # The client port numbers the rows within a block, so that no key comes twice.
    keys["sport"] = 1024 + number % 64000
    keys["dport"] = rng.choice([443, 8080, 5432, 6379, 80, 53], rows) + number // 64000 * 7
    any4 = "any" in info.label
    keys["nexthdr"] = (
        rng.choice([IpProtocol.UDP, IpProtocol.ICMP], rows) if any4 else IpProtocol.TCP
    )
    keys["flags"] = rng.choice([0, 1, 4], rows, p=[0.5, 0.42, 0.08])
    values: npt.NDArray[Any] = np.zeros(rows, value_dtype(Layout.V1_9))
    fate = rng.choice(5, rows, p=[0.78, 0.05, 0.04, 0.03, 0.10])  # State codes, shuffled below
    _fill_values(values, fate, rng, service=keys["flags"] == 4)
    return CtTable(info, Layout.V1_9, keys, values, NOW, taken_at)


def _fill_values(
    values: npt.NDArray[Any],
    fate: npt.NDArray[np.int64],
    rng: np.random.Generator,
    *,
    service: npt.NDArray[np.bool_],
) -> None:
    """Fates: 0 established, 1 opening, 2 one-way, 3 closing, 4 expired."""
    rows = len(values)
    size = rng.lognormal(8, 2, rows).astype(np.uint64)
    size[fate == 1] = 1
    values["tx_bytes"] = size * 66
    values["tx_packets"] = 1 + size // 12
    values["rx_bytes"] = np.where(service, rng.integers(1, 40, rows), size * 300)
    values["rx_packets"] = np.where((fate == 1) | (fate == 2), 0, 1 + size // 9)
    values["lifetime"] = NOW + rng.integers(20_000, 21_600, rows)
    values["lifetime"][fate == 1] = NOW + rng.integers(1, 60, int((fate == 1).sum()))
    values["lifetime"][fate == 3] = NOW + rng.integers(1, 11, int((fate == 3).sum()))
    values["lifetime"][fate == 4] = NOW - rng.integers(1, 900, int((fate == 4).sum()))
    flags = np.where(fate == 1, 0, int(CtFlag.SEEN_NON_SYN))
    flags = np.where(fate == 3, flags | rng.integers(1, 4, rows), flags)
    values["flags"] = flags
    values["last_tx_report"] = NOW - rng.integers(0, 300, rows)
    values["last_rx_report"] = np.where(
        (fate == 1) | (fate == 2), 0, NOW - rng.integers(0, 300, rows)
    )
    values["tx_flags_seen"], values["rx_flags_seen"] = 0x02, 0x12
    values["src_sec_id"] = rng.choice([1, 2, 10017, 24411, 51820], rows)
    values["rev_nat_index"] = np.where(service, rng.integers(1, 61, rows), 0)


def story(start: float = EPOCH) -> list[tuple[int, Event]]:
    """A restart with another size, as the history tells it."""
    old_new: dict[str, Scalar] = {"old": 32768, "new": 524288}
    lines: tuple[tuple[float, EventKind, str, str, str, Level, dict[str, Scalar]], ...] = (
        (-3540.0, EventKind.AGENT_START, "agent", "", "Agent starts", Level.INFO,
         {"pid": 1211}),
        (-3538.5, EventKind.AGENT_READY, "agent", "", "Agent is ready", Level.INFO,
         {"seconds": 1.48}),
        (-1810.0, EventKind.GC_PASS, "agent", str(CT4), "Conntrack GC: 1,204 deleted, 11,402 alive",
         Level.INFO, {"deleted": 1204, "alive": 11402, "seconds": 0.021}),
        (-62.0, EventKind.AGENT_STOP, "agent", "", "Agent stops", Level.INFO, {"pid": 1211}),
        (-61.2, EventKind.AGENT_START, "agent", "", "Agent starts", Level.INFO, {"pid": 2114}),
        (-60.9, EventKind.MAP_MISMATCH, "manager", str(CT4), "Max entries mismatch for BPF map",
         Level.WARNING, {"file-path": str(CT4), **old_new}),
        (-60.9, EventKind.MAP_REMOVED, "manager", str(CT4),
         "Removing map to allow for property upgrade (expect map data loss)",
         Level.WARNING, {"file-path": str(CT4), "old_id": 549, "entries": 12031}),
        (-60.8, EventKind.MAP_CREATED, "manager", str(CT4), "Created map", Level.INFO,
         {"new_id": 588, "max_entries": 524288}),
        (-59.7, EventKind.PROGRAM_REPLACED, "datapath", "lxc00010", "Programs replaced",
         Level.INFO, {"endpoint": 10, "old_id": 301, "new_id": 322}),
        (-59.4, EventKind.AGENT_READY, "agent", "", "Agent is ready", Level.INFO,
         {"seconds": 1.81}),
    )  # fmt: skip
    return [
        (number, Event(start + when, kind, source, subject, message, level, fields))
        for number, (when, kind, source, subject, message, level, fields) in enumerate(lines, 1)
    ]


SERVICES_KNOWN = Knowledge({n: ServiceFacts(1 + n % 3, sticky=False) for n in range(1, 50)})

CARD = AgentCard("Cilium", "1.9.5", 2114, EPOCH - 61.2, cpu=0.034, memory=231 << 20)
FACTS = (
    KnownFact("release", "1.9.5", "its API"),
    KnownFact("layout", "not known", "told by the entries themselves"),
)


@dataclass
class FakeSource:
    """A `Source` over whatever the test puts into it.

    Attributes:
        rows: the maps, by pin.
        tables: CT tables, by pin; made on first use as large as the row says, at most
            ``most_entries``.
        headcounts: what `headcount` answers, by pin, as of the moment it is asked.
        log: events with their ids.
        uses: what `usage` answers.
        arrays: what `calls` answers.
        past: what `fills` answers.
        card: what `agent` answers.
        facts: what `facts_known` answers.
        ran: what `runs` answers while it is asked to count.
        counting: whether it was asked to.
        error: raised by `maps` while it is set.
    """

    live: bool = True
    title: str = "node-1 · Cilium 1.9.5 (pid 2114, up 1m 1s) · /sys/fs/bpf"
    clock: Callable[[], float] = lambda: EPOCH
    most_entries: int = 4000
    rows: dict[PurePath, MapRow] = field(default_factory=dict)
    tables: dict[PurePath, CtTable] = field(default_factory=dict)
    headcounts: dict[PurePath, Headcount] = field(default_factory=dict)
    log: list[tuple[int, Event]] = field(default_factory=story)
    uses: tuple[MapUsage, ...] = ()
    arrays: tuple[CallArray, ...] = ()
    past: Mapping[str, Trend] = field(default_factory=dict)
    card: AgentCard | None = CARD
    facts: tuple[KnownFact, ...] = FACTS
    error: CtconsoleError | None = None
    closed: bool = False
    counting: bool = False
    ran: RunsSeen = NOT_LOOKED_AT

    def __post_init__(self) -> None:
        if not self.rows:
            for number, (name, kind, key, value, maximum, entries) in enumerate(_MAPS, 588):
                info = map_info(number, name, kind, (key, value), maximum)
                self.rows[GLOBALS / name] = MapRow(info, entries, group=group_of(name))

    def maps(self) -> NodeSnapshot:
        if self.error:
            raise self.error
        return NodeSnapshot(tuple(self.rows.values()), self.clock(), 0.0004)

    def table(self, where: PurePath | int, before: CtTable | None = None) -> CtTable:
        del before
        if self.error:
            raise self.error
        if isinstance(where, int) or where not in self.rows:
            raise GoneError(errno.ENOENT, "BPF_OBJ_GET", str(where))
        if where not in self.tables:
            row = self.rows[where]
            rows = min(row.entries or 0, self.most_entries)
            table = random_table(row.info, rows, taken_at=self.clock())
            self.tables[where] = replace(table, knowledge=SERVICES_KNOWN)
        return self.tables[where]

    def headcount(self, where: PurePath | int) -> Headcount | None:
        found = None if isinstance(where, int) else self.headcounts.get(where)
        return replace(found, taken_at=self.clock()) if found else None

    def events(self, since_id: int, limit: int) -> Sequence[tuple[int, Event]]:
        return [line for line in self.log if line[0] > since_id][-limit:]

    def usage(self) -> Sequence[MapUsage]:
        return self.uses

    def calls(self) -> Sequence[CallArray]:
        return self.arrays

    def agent(self) -> AgentCard | None:
        return self.card

    def facts_known(self) -> tuple[KnownFact, ...]:
        return self.facts

    def runs(self, *, wanted: bool) -> RunsSeen:
        self.counting = wanted
        return self.ran if wanted else NOT_LOOKED_AT

    def fills(self) -> Mapping[str, Trend]:
        return self.past

    def close(self) -> None:
        self.closed = True
