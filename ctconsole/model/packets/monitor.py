"""What the records of ``cilium_events`` and ``cilium_signals`` mean, in the layout of 1.9.

Sources: ``bpf/lib/{common,drop,trace,signal}.h`` and ``pkg/monitor/datapath_{drop,trace}.go``.
Whole reads are decoded into columns; `Notice` is one record for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.packets.reasons import reason_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ctconsole.model.packets.samples import Samples

    Records: TypeAlias = npt.NDArray[Any]

HEADER: Final = [
    ("type", "u1"),
    ("subtype", "u1"),
    ("source", "u2"),
    ("hash", "u4"),
    ("len_orig", "u4"),
    ("len_cap", "u2"),
    ("version", "u2"),
]
"""``struct capture_header`` (``NOTIFY_CAPTURE_HDR``), 16 bytes."""

DROP: Final = np.dtype(
    [*HEADER, ("src_label", "u4"), ("dst_label", "u4"), ("dst_id", "u4"), ("unused", "u4")]
)
"""``struct drop_notify``, 32 bytes; the packet follows."""

TRACE: Final = np.dtype(
    [
        *HEADER,
        ("src_label", "u4"),
        ("dst_label", "u4"),
        ("dst_id", "u2"),
        ("reason", "u1"),
        ("bits", "u1"),
        ("ifindex", "u4"),
        ("orig_ip", "u1", (16,)),
    ]
)
"""``struct trace_notify``, 48 bytes; the packet follows."""

SIGNAL: Final = np.dtype([("signal_nr", "u4"), ("proto", "u4")])
"""``struct signal_msg``, 8 bytes."""


class Notify(IntEnum):
    """``type`` of a record: those that this datapath writes."""

    DROP = 1
    TRACE = 4


class Point(IntEnum):
    """``subtype`` of a trace: where the packet was."""

    TO_LXC = 0
    TO_PROXY = 1
    TO_HOST = 2
    TO_STACK = 3
    TO_OVERLAY = 4
    FROM_LXC = 5
    FROM_PROXY = 6
    FROM_HOST = 7
    FROM_STACK = 8
    FROM_OVERLAY = 9
    FROM_NETWORK = 10
    TO_NETWORK = 11


class TraceState(IntEnum):
    """``reason`` of a trace: what connection tracking knew."""

    NEW = 0
    ESTABLISHED = 1
    REPLY = 2
    RELATED = 3
    REOPENED = 4


class Signal(IntEnum):
    """``signal_nr``: which table wants the garbage collector."""

    NAT_FILL_UP = 0
    CT_FILL_UP = 1


class MonitorKind(StrEnum):
    """What can be asked for: ``ct`` is what concerns the conntrack tables themselves."""

    DROP = "drop"
    TRACE = "trace"
    CT = "ct"


POINTS: Final = {
    Point.TO_LXC: "to-endpoint",
    Point.TO_PROXY: "to-proxy",
    Point.TO_HOST: "to-host",
    Point.TO_STACK: "to-stack",
    Point.TO_OVERLAY: "to-overlay",
    Point.FROM_LXC: "from-endpoint",
    Point.FROM_PROXY: "from-proxy",
    Point.FROM_HOST: "from-host",
    Point.FROM_STACK: "from-stack",
    Point.FROM_OVERLAY: "from-overlay",
    Point.FROM_NETWORK: "from-network",
    Point.TO_NETWORK: "to-network",
}
"""``traceObservationPoints`` (``pkg/monitor/api/types.go``)."""

INSERT_FAILED: Final = 155
_ENCRYPTED: Final = 0x80


@dataclass(frozen=True, slots=True)
class PacketColumns:
    """A read's records in three tables; ``*_rows`` say which sample each row is.

    Attributes:
        drops: records of `DROP`.
        drop_rows: their numbers in the samples.
        traces: records of `TRACE`.
        trace_rows: their numbers in the samples.
        others: records of a type, or shorter than a type, that this datapath does not write.
    """

    drops: Records
    drop_rows: npt.NDArray[np.int64]
    traces: Records
    trace_rows: npt.NDArray[np.int64]
    others: int


def columns(samples: Samples) -> PacketColumns:
    """Decode a read of ``cilium_events``."""
    types = samples.heads(1)[:, 0]
    drop_rows = np.flatnonzero((types == Notify.DROP) & (samples.sizes >= DROP.itemsize))
    trace_rows = np.flatnonzero((types == Notify.TRACE) & (samples.sizes >= TRACE.itemsize))
    heads = samples.heads(TRACE.itemsize)
    return PacketColumns(
        drops=_records(heads[drop_rows, : DROP.itemsize], DROP),
        drop_rows=drop_rows,
        traces=_records(heads[trace_rows], TRACE),
        trace_rows=trace_rows,
        others=len(samples) - len(drop_rows) - len(trace_rows),
    )


def signals(samples: Samples) -> Records:
    """Decode a read of ``cilium_signals``: records of `SIGNAL`."""
    return _records(samples.heads(SIGNAL.itemsize), SIGNAL)


def _records(rows: npt.NDArray[np.uint8], dtype: np.dtype[np.void]) -> Records:
    return np.ascontiguousarray(rows).view(dtype).reshape(-1)


@dataclass(frozen=True, slots=True)
class Notice:
    """One record.

    Attributes:
        time: nanoseconds of CLOCK_MONOTONIC.
        cpu: which CPU wrote it.
        type: drop or trace.
        subtype: the reason of a drop, the `Point` of a trace.
        source: id of the endpoint whose program wrote it, 0 for the node's.
        hash: of the flow, as the kernel has it; 0 where it has none.
        length: bytes of the frame.
        src_label: identity of the sender, 0 where it is not known.
        dst_label: identity of the receiver.
        dst_id: endpoint it was for, 0 on the way out.
        state: the `TraceState` of a trace; None for a drop.
        ifindex: interface it goes to, 0 where not known.
        packet: its first bytes, from the Ethernet header on.
    """

    time: int
    cpu: int
    type: Notify
    subtype: int
    source: int
    hash: int
    length: int
    src_label: int
    dst_label: int
    dst_id: int
    state: int | None
    ifindex: int
    packet: bytes

    @property
    def reason(self) -> str:
        """Why it was dropped, in Cilium's words; empty for a trace."""
        return reason_name(self.subtype) if self.type is Notify.DROP else ""

    @property
    def state_name(self) -> str:
        """What conntrack knew (``traceReasons``); empty for a drop."""
        if self.state is None:
            return ""
        known = self.state & ~_ENCRYPTED
        return TraceState(known).name.lower() if known <= max(TraceState) else str(known)

    @property
    def concerns_ct(self) -> bool:
        """Whether it tells of an entry made, or of one that could not be made."""
        if self.type is Notify.DROP:
            return self.subtype == INSERT_FAILED
        return self.state in {TraceState.NEW, TraceState.REOPENED}

    def is_of(self, kinds: frozenset[MonitorKind]) -> bool:
        """Whether one of these kinds was asked for; none means all."""
        if not kinds or (MonitorKind.CT in kinds and self.concerns_ct):
            return True
        return (MonitorKind.DROP if self.type is Notify.DROP else MonitorKind.TRACE) in kinds


def notices(samples: Samples) -> Iterator[Notice]:
    """The records of a read of ``cilium_events`` one by one, in the order of time."""
    found = columns(samples)
    # Plain numbers, converted column by column: a record's fields one at a time are slow.
    data = samples.data.tobytes()
    starts, times, cpus = samples.starts.tolist(), samples.times.tolist(), samples.cpus.tolist()
    ends = (samples.starts + samples.sizes).tolist()
    rows = [*zip(found.drop_rows.tolist(), found.drops.tolist(), strict=True)]
    rows += zip(found.trace_rows.tolist(), found.traces.tolist(), strict=True)
    rows.sort(key=itemgetter(0))
    for row, fields in rows:
        kind, subtype, source, flow, length, captured, _, src_label, dst_label, dst_id, *rest = (
            fields
        )
        trace = kind == Notify.TRACE
        start = starts[row] + (TRACE.itemsize if trace else DROP.itemsize)
        yield Notice(
            time=times[row],
            cpu=cpus[row],
            type=Notify.TRACE if trace else Notify.DROP,
            subtype=subtype,
            source=source,
            hash=flow,
            length=length,
            src_label=src_label,
            dst_label=dst_label,
            dst_id=dst_id,
            state=rest[0] if trace else None,
            ifindex=rest[2] if trace else 0,
            packet=data[start : min(start + captured, ends[row])],
        )
