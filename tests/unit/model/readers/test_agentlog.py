from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.readers.agentlog import LogReader, properties
from ctconsole.model.readers.logline import parse_line

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1000.0
PIN = "/sys/fs/bpf/tc/globals/cilium_ct4_global"
OLD_GENERATION = (
    f'level=warning msg="Max entries mismatch for BPF map" file-path={PIN} new=624288 old=524288'
)
NEW_GENERATION = (
    "time=2026-11-23T11:02:32.123456789Z level=info source=/go/x.go:12 "
    'msg="Unpinning map with incompatible properties" bpfMapName=cilium_ct4_global '
    f'file-path={PIN} old="[type LRUHash keySize 14 valueSize 56 maxEntries 32768 flags 0]" '
    'new="[type LRUHash keySize 14 valueSize 56 maxEntries 8192 flags 0]"'
)


def only(line: str) -> Event:
    (event,) = LogReader().read(line, NOW)
    return event


def test_the_older_generation_names_one_property_with_plain_numbers() -> None:
    event = only(OLD_GENERATION)
    assert (event.kind, event.level, event.time) == (EventKind.MAP_MISMATCH, Level.WARNING, NOW)
    assert event.subject == PIN
    assert event.message == "Max entries mismatch for BPF map"
    assert {name: event.fields[name] for name in ("property", "old", "new")} == {
        "property": "Max entries",
        "old": 524288,
        "new": 624288,
    }


def test_the_newer_generation_writes_all_five_of_which_one_differs() -> None:
    event = only(NEW_GENERATION)
    assert (event.kind, event.level) == (EventKind.MAP_MISMATCH, Level.INFO)
    assert event.time == datetime(2026, 11, 23, 11, 2, 32, 123456, UTC).timestamp()
    assert (event.subject, event.fields["property"]) == (PIN, "Max entries")
    assert (event.fields["old"], event.fields["new"]) == (32768, 8192)
    assert "source" not in event.fields


def test_properties_are_read_in_every_form_they_are_written_in() -> None:
    wanted = {
        "Map type": "LRU_HASH",
        "Key-size": 14,
        "Value-size": 56,
        "Max entries": 32768,
        "Flags": 0,
    }
    assert properties("[type LRUHash keySize 14 valueSize 56 maxEntries 32768 flags 0]") == wanted
    assert properties("Type:LRUHash KeySize:14 ValueSize:56 MaxEntries:32768 Flags:0") == wanted
    in_turn = ["type", 9, "keySize", 14, "valueSize", 56, "maxEntries", 32768, "flags", 0]
    assert properties(in_turn) == wanted
    listed = {"type": "LRUHash", "keySize": 14, "valueSize": 56, "maxEntries": 32768, "flags": 0}
    assert properties(listed) == wanted
    assert properties("524288") == {}


def test_several_differences_are_all_named() -> None:
    line = NEW_GENERATION.replace("valueSize 56 maxEntries 8192", "valueSize 60 maxEntries 8192")
    event = only(line)
    assert event.fields["property"] == "Value-size, Max entries"
    assert (event.fields["old"], event.fields["new"]) == ("56, 32768", "60, 8192")


MOMENT = datetime(2026, 11, 23, 11, 2, 32, 500000, UTC).timestamp()
OLD_AS_JSON = json.dumps(
    {
        "level": "warning",
        "msg": "Max entries mismatch for BPF map",
        "file-path": PIN,
        "old": 524288,
        "new": 624288,
        "subsys": "bpf",
    }
)


@pytest.mark.parametrize("line", [OLD_GENERATION, OLD_AS_JSON])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda line: f"2026-11-23T11:02:32.5Z stderr F {line}",
        lambda line: f"2026-11-23T11:02:32.5Z {line}",
        lambda line: f"[pod/cilium-7x2lq/cilium-agent] 2026-11-23T11:02:32.500Z {line}",
        lambda line: f"2026-11-23T12:02:32.5+0100 node1 cilium-agent[18719]: {line}",
        lambda line: json.dumps({"log": line + "\n", "time": "2026-11-23T11:02:32.5Z"}),
        lambda line: json.dumps({"MESSAGE": line, "__REALTIME_TIMESTAMP": "1795431752500000"}),
    ],
)
def test_what_carries_a_line_tells_its_time_where_the_line_does_not(
    wrap: Callable[[str], str], line: str
) -> None:
    event = only(wrap(line))
    assert (event.kind, event.subject) == (EventKind.MAP_MISMATCH, PIN)
    assert (event.fields["old"], event.fields["new"]) == (524288, 624288)
    assert event.time == MOMENT


@pytest.mark.parametrize("line", [OLD_GENERATION, OLD_AS_JSON])
@pytest.mark.parametrize(
    ("prefix", "writer"),
    [
        ("[pod/cilium-7x2lq/cilium-agent] ", "cilium-7x2lq"),
        ("cilium-7x2lq cilium-agent ", "cilium-7x2lq"),
        ("cilium-agent-1  | ", "cilium-agent-1"),
    ],
)
def test_what_carries_a_line_tells_who_wrote_it(prefix: str, writer: str, line: str) -> None:
    event = only(prefix + line)
    assert (event.fields["new"], event.fields["writer"], event.time) == (624288, writer, NOW)


@pytest.mark.parametrize(
    "stamp", ["Apr 09 18:21:00", "Apr  9 18:21:00.123456", "Thu 2026-04-09 18:21:00 UTC"]
)
def test_the_stamp_of_syslog_and_the_journal_is_the_lines_time(stamp: str) -> None:
    line = f"{stamp} k8s2 cilium-agent[18719]: {OLD_GENERATION}"
    told = parse_line(line, datetime(2026, 11, 28, tzinfo=UTC).timestamp())
    assert told
    assert told.time
    moment = datetime.fromtimestamp(told.time, UTC)
    assert (moment.year, moment.month, moment.day) in {(2026, 4, 9), (2026, 4, 10)}
    assert (told.writer, told.no_year) == ("k8s2", "2026" not in stamp)


def test_a_stamp_without_a_year_is_of_the_last_one_it_may_be_of() -> None:
    newest = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    for stamp, year in (("Dec 31 23:59:59", 2025), ("Feb 29 12:00:00", 2024)):
        told = parse_line(f"{stamp} n cilium[1]: {OLD_GENERATION}", newest)
        assert told
        assert told.time
        assert datetime.fromtimestamp(told.time, UTC).year == year


def test_a_line_of_slog_in_json_tells_its_lists() -> None:
    event = only(
        json.dumps(
            {
                "time": "2026-11-23T11:02:32.5Z",
                "level": "info",
                "source": {"function": "x", "file": "y", "line": 1},
                "msg": "Unpinning map with incompatible properties",
                "module": "agent.datapath.maps",
                "file-path": PIN,
                "old": ["type", 9, "keySize", 14, "valueSize", 56, "maxEntries", 32768, "flags", 0],
                "new": ["type", 9, "keySize", 14, "valueSize", 56, "maxEntries", 8192, "flags", 0],
            }
        )
    )
    assert (event.subject, event.fields["property"]) == (PIN, "Max entries")
    assert (event.fields["old"], event.fields["new"]) == (32768, 8192)
    assert event.time == MOMENT


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [("Unknown", "Hash", ("Unknown", "Hash")), (1, 9, ("HASH", "LRU_HASH"))],
)
def test_map_types_stay_as_written_and_numbers_are_named(
    old: object, new: object, told: tuple[str, str]
) -> None:
    event = only(
        json.dumps(
            {"msg": "Map type mismatch for BPF map", "file-path": PIN, "old": old, "new": new}
        )
    )
    assert (event.fields["old"], event.fields["new"]) == told


def test_the_form_of_1_14_to_1_17_tells_what_differs() -> None:
    event = only(
        'level=info msg="Unpinning map with incompatible properties" '
        f"file-path={PIN} "
        'new="Type:LRUHash KeySize:14 ValueSize:56 MaxEntries:8192 Flags:0" '
        'old="Type:LRUHash KeySize:14 ValueSize:56 MaxEntries:32768 Flags:0" subsys=bpf'
    )
    assert (event.fields["property"], event.fields["old"], event.fields["new"]) == (
        "Max entries",
        32768,
        8192,
    )


@pytest.mark.parametrize("prefix", ["", "Nov 23 11:02:32 node1 cilium-map-migrate[77]: "])
def test_a_line_of_the_migration_tool_has_no_attributes(prefix: str) -> None:
    pin = "/sys/fs/bpf/tc/globals/cilium_calls_00123"
    event = only(f"{prefix}Property mismatch in {pin}, migrating node to {pin}:pending!")
    assert (event.kind, event.subject, event.level) == (EventKind.MAP_MISMATCH, pin, Level.WARNING)


def test_levels_above_slogs_own_are_errors() -> None:
    event = only('time=2026-11-23T11:02:32.5Z level=error+8 msg="Rewrote endpoint BPF program"')
    assert event.level is Level.ERROR


def test_the_line_that_ends_a_restoration_counts_the_endpoints() -> None:
    event = only(
        'time=2026-11-23T11:02:32.5Z level=info msg="Finished regenerating restored endpoints" '
        "module=agent.controlplane regenerated=12 failed=0 total=12"
    )
    assert (event.kind, event.fields["regenerated"]) == (EventKind.ENDPOINT_REGENERATED, "12")


def test_json_lines_are_read() -> None:
    line = {"level": "warning", "msg": "Key-size mismatch for BPF map", "old": 8, "new": 12}
    event = only(json.dumps({**line, "file-path": PIN, "time": "2026-11-23T11:02:32Z"}))
    assert (event.fields["old"], event.fields["new"]) == (8, 12)
    assert event.fields["property"] == "Key-size"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Removing map to allow for property upgrade (expect map data loss)", "map-removed"),
        ("CT Map upgraded, expect brief disruption of ongoing connections", "warning"),
        ("Re-pinning map with ':pending' suffix", "map-pinned"),
        ("Unpinning map after successful recreation", "map-unpinned"),
        ("Starting GC of connection tracking", "gc-pass"),
        ("Initial scan of connection tracking completed", "gc-pass"),
        ("Garbage collection on IPv4 TCP CT map failed to finish", "warning"),
        ("initial gc of ct and nat maps completed", "gc-pass"),
        ("Timeout while waiting for initial conntrack scan", "agent-failed"),
        ("Rewrote endpoint BPF program", "endpoint-regenerated"),
        ("Regenerated endpoint BPF program", "endpoint-regenerated"),
        ("Removed new pinned map after failed migration", "map-removed"),
        ("Daemon initialization completed", "agent-ready"),
        ("option bpf-ct-global-tcp-max set by dynamic sizing to 131072", "agent-option"),
    ],
)
def test_lines_worth_an_event(message: str, kind: str) -> None:
    assert only(f'level=info msg="{message}" subsys=daemon').kind == EventKind(kind)


def test_other_lines_are_left_alone() -> None:
    reader = LogReader()
    for line in ("", "no log line", 'level=info msg="Serving cilium API"', "{}", "{", '{"msg":1}'):
        assert reader.read(line, NOW) == []


def test_flags_that_differ_between_two_starts_are_events() -> None:
    reader = LogReader()
    ready = 'level=info msg="Daemon initialization completed"'

    def start(size: int) -> list[Event]:
        lines = (
            f"level=info msg=\"  --bpf-ct-global-tcp-max='{size}'\" subsys=daemon",
            "level=info msg=\"  --enable-ipv4='true'\" subsys=daemon",
            ready,
        )
        return [event for line in lines for event in reader.read(line, NOW)]

    assert [event.kind for event in start(32768)] == [EventKind.AGENT_READY]
    changed, _ = start(8192)
    assert (changed.kind, changed.subject) == (EventKind.AGENT_OPTION, "bpf-ct-global-tcp-max")
    assert dict(changed.fields) == {"old": "32768", "new": "8192"}


@given(st.text())
def test_no_text_makes_the_reader_fail(text: str) -> None:
    assert isinstance(LogReader().read(text, NOW), list)


FRAGMENTS = st.sampled_from(
    [
        "old=",
        "new=",
        '"',
        "\\",
        "[type ",
        "maxEntries 9",
        "{",
        "}",
        '"msg":',
        " msg=",
        PIN,
        "\ud800",
    ]
)


@given(st.lists(st.one_of(FRAGMENTS, st.text(max_size=3)), max_size=20), st.integers(0, 300))
def test_no_mutation_of_a_real_line_makes_the_reader_fail(pieces: list[str], at: int) -> None:
    for line in (OLD_GENERATION, NEW_GENERATION):
        damaged = line[:at] + "".join(pieces) + line[at:]
        for event in LogReader().read(damaged, NOW):
            json.dumps(dict(event.fields))


def test_a_long_line_takes_no_time() -> None:
    parsed = parse_line('level=info msg="x" ' + "a=" * 10_000_000)
    assert parsed is not None
    assert parsed.message == "x"
