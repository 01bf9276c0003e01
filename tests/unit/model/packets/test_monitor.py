"""Records of the datapath: their bytes against the C header, and what is said of them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.packets.monitor import (
    DROP,
    HEADER,
    SIGNAL,
    TRACE,
    MonitorKind,
    Notify,
    Point,
    Signal,
    TraceState,
    columns,
    notices,
    signals,
)
from ctconsole.model.packets.monitor_text import as_dict, line, summary
from ctconsole.model.packets.samples import NO_SAMPLES, Samples, joined
from ctconsole.paths import bpf_sources
from tests.support.packets import ECHO, SYN, ethernet, icmp, ipv4, tcp, udp

if TYPE_CHECKING:
    from pathlib import Path

STRUCTS = {
    "capture_header": np.dtype(HEADER),
    "drop_notify": DROP,
    "trace_notify": TRACE,
    "signal_msg": SIGNAL,
}
CONSTANTS = {
    "CILIUM_NOTIFY_DROP": Notify.DROP,
    "CILIUM_NOTIFY_TRACE": Notify.TRACE,
    "TRACE_TO_LXC": Point.TO_LXC,
    "TRACE_TO_STACK": Point.TO_STACK,
    "TRACE_FROM_LXC": Point.FROM_LXC,
    "TRACE_FROM_NETWORK": Point.FROM_NETWORK,
    "TRACE_TO_NETWORK": Point.TO_NETWORK,
    "TRACE_REASON_POLICY": TraceState.NEW,
    "TRACE_REASON_CT_ESTABLISHED": TraceState.ESTABLISHED,
    "TRACE_REASON_CT_REPLY": TraceState.REPLY,
    "TRACE_REASON_CT_RELATED": TraceState.RELATED,
    "TRACE_REASON_CT_REOPENED": TraceState.REOPENED,
    "SIGNAL_NAT_FILL_UP": Signal.NAT_FILL_UP,
    "SIGNAL_CT_FILL_UP": Signal.CT_FILL_UP,
}


def c_name(struct: str, field: str) -> str:
    nested = struct in {"drop_notify", "trace_notify"} and field in dict(HEADER)
    return f"header.{field}" if nested else field


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Sizes, offsets and constants as a C compiler has them."""
    prints = [f'P("{name}", sizeof(struct {name}));' for name in STRUCTS]
    prints += [
        f'P("{struct}.{field}", offsetof(struct {struct}, {c_name(struct, field)}));'
        for struct, dtype in STRUCTS.items()
        for field in dtype.names or ()
        if field != "bits"
    ]
    prints += [f'P("{name}", {name});' for name in CONSTANTS]
    text = '#define P(name, value) printf("%s %ld\\n", name, (long)(value))\n'
    source = f'#include <stddef.h>\n#include <stdio.h>\n#include "ctconsole_abi.h"\n{text}'
    folder: Path = tmp_path_factory.mktemp("abi")
    (folder / "abi.c").write_text(f"{source}int main(void) {{ {' '.join(prints)} return 0; }}")
    subprocess.run(
        ["clang", "-I", bpf_sources(), "-o", folder / "abi", folder / "abi.c"], check=True
    )
    printed = subprocess.run([folder / "abi"], check=True, capture_output=True, text=True).stdout
    return {name: int(number) for name, number in map(str.split, printed.splitlines())}


@pytest.mark.parametrize("struct", STRUCTS)
def test_offsets_are_those_of_the_header(struct: str, header: dict[str, int]) -> None:
    dtype = STRUCTS[struct]
    assert dtype.itemsize == header[struct]
    for name, (_, offset, *_) in (dtype.fields or {}).items():
        if name != "bits":
            assert (name, offset) == (name, header[f"{struct}.{name}"])


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_are_those_of_the_header(name: str, header: dict[str, int]) -> None:
    assert CONSTANTS[name] == header[name]


def drop(packet: bytes, reason: int = 133, **fields: int) -> bytes:
    return _record(DROP, packet, type=Notify.DROP, subtype=reason, **fields)


def trace(packet: bytes, point: Point = Point.TO_LXC, **fields: int) -> bytes:
    return _record(TRACE, packet, type=Notify.TRACE, subtype=point, **fields)


def _record(dtype: np.dtype[np.void], packet: bytes, **fields: int) -> bytes:
    head = np.zeros(1, dtype)
    for name, value in {"len_orig": len(packet), "len_cap": len(packet), **fields}.items():
        head[name] = value
    return head.tobytes() + packet


def samples(*records: bytes) -> Samples:
    """Records as a ring brings them: padded, with times that count up."""
    padded = [record + bytes(-len(record) % 8) for record in records]
    ends = np.cumsum([len(record) for record in padded])
    return Samples(
        data=np.frombuffer(b"".join(padded), np.uint8),
        starts=np.array([0, *ends[:-1]], np.int64),
        sizes=np.array([len(record) for record in padded], np.int64),
        times=np.arange(len(records), dtype=np.uint64),
        cpus=np.ones(len(records), np.uint16),
    )


PACKET = tcp(("10.5.224.91", 51000), ("10.5.5.5", 80), SYN)

LATER_FRAGMENT = ethernet(ipv4("10.0.0.1", "10.0.0.2", 17, b"abcdefgh", fragment=185))
IPV6_HEADER = b"\x60" + bytes(5) + b"\x06\x40" + bytes(31) + b"\x01"


def test_a_drop_reads_as_cilium_monitor_prints_it() -> None:
    record = drop(PACKET, hash=0xABC, src_label=2, dst_label=70000, dst_id=10)
    (notice,) = notices(samples(record))
    assert line(notice) == (
        "xx drop (Policy denied) flow 0xabc to endpoint 10, identity 2->70000: "
        "10.5.224.91:51000 -> 10.5.5.5:80 tcp SYN"
    )
    assert notice.packet == PACKET


def test_a_trace_reads_as_cilium_monitor_prints_it() -> None:
    incoming = trace(PACKET, Point.TO_LXC, source=10, dst_id=10, reason=TraceState.NEW, ifindex=7)
    outgoing = trace(
        icmp("10.5.5.5", "1.1.1.1", ECHO), Point.FROM_LXC, source=10, reason=TraceState.REPLY
    )
    first, second = map(line, notices(samples(incoming, outgoing)))
    assert first == (
        "-> endpoint 10 flow 0x0 identity 0->0 state new ifindex 7: "
        "10.5.224.91:51000 -> 10.5.5.5:80 tcp SYN"
    )
    assert second == (
        "<- endpoint 10 flow 0x0 identity 0->0 state reply ifindex 0: "
        "10.5.5.5 -> 1.1.1.1 icmp EchoRequest"
    )


def test_json_has_the_names_of_cilium_monitor() -> None:
    found = [as_dict(notice) for notice in notices(samples(drop(PACKET, 155), trace(PACKET)))]
    assert [each["type"] for each in found] == ["drop", "trace"]
    assert (found[0]["reason"], found[0]["reasonCode"]) == ("CT: Map insertion failed", 155)
    assert (found[1]["state"], found[1]["observationPoint"]) == ("new", "to-endpoint")
    assert found[1]["summary"]["l4"] == {"src": "51000", "dst": "80"}


def test_what_concerns_the_tables() -> None:
    records = [
        drop(PACKET, 155),
        drop(PACKET, 133),
        trace(PACKET, reason=TraceState.NEW),
        trace(PACKET, reason=TraceState.REPLY),
    ]
    found = list(notices(samples(*records)))
    assert [notice.is_of(frozenset({MonitorKind.CT})) for notice in found] == [
        True,
        False,
        True,
        False,
    ]
    assert [notice.is_of(frozenset({MonitorKind.DROP})) for notice in found] == [
        True,
        True,
        False,
        False,
    ]
    assert all(notice.is_of(frozenset()) for notice in found)


def test_foreign_and_short_records_are_counted_and_left_out() -> None:
    found = columns(samples(drop(PACKET), b"\x02" + bytes(47), b"\x04" + bytes(7)))
    assert (len(found.drops), len(found.traces), found.others) == (1, 0, 2)
    assert columns(NO_SAMPLES).others == 0


def test_signals() -> None:
    found = signals(samples(np.array([(Signal.CT_FILL_UP, 0)], SIGNAL).tobytes()))
    assert found["signal_nr"].tolist() == [Signal.CT_FILL_UP]


def test_reads_are_joined_in_the_order_of_time() -> None:
    one, other = samples(drop(PACKET, 133)), samples(drop(PACKET, 134), drop(PACKET, 135))
    found = joined([other, one], lost=3)
    assert [notice.subtype for notice in notices(found)] == [134, 133, 135]
    assert found.lost == 3


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (udp(("10.0.0.1", 53), ("10.0.0.2", 1024)), "10.0.0.1:53 -> 10.0.0.2:1024 udp"),
        (LATER_FRAGMENT, "10.0.0.1 -> 10.0.0.2 udp fragment"),
        (ethernet(IPV6_HEADER + b"\0\x50\0\x51", 0x86DD), "[::]:80 -> [::1]:81 tcp"),
        (ethernet(bytes(28), 0x0806), "ethertype 0x0806"),
        (PACKET[:20], "ethertype 0x0800"),
        (b"", "[unknown]"),
    ],
)
def test_packets_in_short(packet: bytes, text: str) -> None:
    assert str(summary(packet)) == text


def test_no_captured_bytes_break_the_summary() -> None:
    packet = tcp(("10.0.0.1", 1), ("10.0.0.2", 2), SYN)
    for length in range(len(packet)):
        assert str(summary(packet[:length]))
