"""A log alone, as operators send it: several restarts, days and nodes, with and without times."""

from __future__ import annotations

import gzip
import io
import json
import math
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import UsageError
from ctconsole.model.event import EventKind
from ctconsole.model.readers.agentlog import MEANINGS, LogReader
from ctconsole.observe.savedlog import LogStories, lines_of, mattering

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.model.event import Event

CASES = Path(__file__).parents[2] / "data" / "cases"
PIN = "/sys/fs/bpf/tc/globals/cilium_ct4_global"
MISMATCH = f'level=warning msg="Max entries mismatch for BPF map" file-path={PIN} new=2 old=1'


def never() -> bool:
    return False


def events(path: Path) -> list[Event]:
    stories = LogStories(newest=path.stat().st_mtime)
    return [*stories.tell(lines_of(str(path), never, follow=False)), *stories.finish()]


def stories(path: Path) -> list[Event]:
    return [event for event in events(path) if event.kind is EventKind.STORY]


def day(event: Event) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(event.time))


def test_three_restarts_on_three_days_are_three_stories_with_their_dates() -> None:
    told = stories(CASES / "69-log-dynamic-flapping.log")
    assert [(day(one), one.fields["cilium_ct4_global.new_max"]) for one in told] == [
        ("2024-05-01", 263725),
        ("2024-05-08", 260580),
        ("2024-05-15", 263725),
    ]
    for one in told:
        assert day(one) in one.message
        assert "agent (1.13.4) started" in one.message
        assert "set by dynamic sizing from " in one.message


def test_two_pods_have_a_story_each() -> None:
    told = stories(CASES / "67-log-kubectl-prefix.log")
    assert [one.message.split(":")[0] for one in told] == ["cilium-4zq7p", "cilium-9vv2m"]
    assert [one.fields["writer"] for one in told] == ["cilium-4zq7p", "cilium-9vv2m"]


def test_dynamic_sizing_is_the_cause_and_a_time_that_is_not_told_is_not_known() -> None:
    [told] = stories(CASES / "62-log-1.13-dynamic-sizing.log")
    assert "time not told" in told.message
    assert (
        "bpf-ct-global-tcp-max 260580 -> 263725 (set by dynamic sizing from 30,064,771,072 bytes "
        "of memory)" in told.message
    )
    # It says so of each of its options at every start; of one that is what it was, nothing changed.
    assert "bpf-ct-global-any-max" not in told.message
    assert math.isnan(told.time)
    assert told.fields["begin"] is None
    # A log tells of no entries.
    assert told.fields["lost"] is None


def test_why_an_agent_does_not_start_and_what_its_collector_did_are_part_of_the_story() -> None:
    [told] = stories(CASES / "63-log-gc-mixed.log")
    for part in (
        "agent failed",
        "specified NAT tables size 1042380 must not exceed maximum CT table size 655360",
        "specified CT tables values 1500000/17500000 must not exceed maximum 16777216",
        "GC ipv4 TCP deleted 12 of 524288, not completed",
        "Error while opening/creating BPF maps: unable to create map",
    ):
        assert part in told.message


def test_the_stamp_of_syslog_is_the_time_and_words_stay_as_written() -> None:
    path = CASES / "61-log-journal-1.4.log"
    *told, story = events(path)
    clock = [time.strftime("%m-%d %H:%M:%S", time.localtime(one.time)) for one in told]
    assert clock == ["03-03 04:07:22"] * 3 + ["03-03 04:07:23", "03-03 04:07:29"]
    assert "Map type Hash -> Longest prefix match trie" in story.message
    assert "due to good exit" in told[-1].message


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("60-log-1.5-k8s-stamp.log", "2020-02-11 07:12:40"),
        ("65-log-1.15-string.log", "bpf-ct-global-tcp-max 149796 -> 151765"),
        ("68-log-unknown-old.log", "cilium_ct4_global re-created (Map type Unknown -> LRU hash)"),
    ],
)
def test_old_releases(name: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    [story] = stories(CASES / name)
    assert told in story.message


def test_without_times_a_second_start_is_what_comes_again() -> None:
    told = LogStories()
    lines = [MISMATCH, MISMATCH.replace("new=2 old=1", "new=1 old=2")]
    found = [*told.tell(lines), *told.finish()]
    changed = [one.fields["changed"] for one in found if one.kind is EventKind.STORY]
    assert changed == ["bpf-ct-global-tcp-max 1 -> 2", "bpf-ct-global-tcp-max 2 -> 1"]


def test_a_log_that_is_followed_tells_a_story_when_its_window_is_over() -> None:
    told = LogStories(window=5)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    kinds = [one.kind for one in told.tell([f"time={stamp} {MISMATCH}", ""])]
    assert kinds == [EventKind.MAP_MISMATCH, EventKind.STORY]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_packed_and_however_encoded(
    tmp_path: Path, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    text = "a line of something else\n" * 100 + MISMATCH
    path = tmp_path / "agent.log"
    path.write_bytes(pack(text.encode(encoding)))
    assert [one.kind for one in events(path)] == [EventKind.MAP_MISMATCH, EventKind.STORY]


def test_what_is_no_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        list(lines_of(str(tmp_path / "none"), never, follow=False))
    archive = tmp_path / "sysdump.zip"
    archive.write_bytes(b"PK\x03\x04" + bytes(600))
    with pytest.raises(UsageError, match="There is no agent's log in "):
        list(lines_of(str(archive), never, follow=False))


def sysdump(path: Path, *, cut: int = 0) -> Path:
    """An archive as ``cilium sysdump`` makes it, with the logs of two agents and an operator."""
    stamped = "time=2025-03-01T{}:00:00Z {}\n"
    names = ["cilium-4zq7p-cilium-agent", "cilium-9vv2m-cilium-agent", "cilium-operator-x-operator"]
    with tarfile.open(path, "w:gz") as archive:
        for hour, name in enumerate(names, 10):
            text = (stamped.format(hour, MISMATCH) + "x" * 40 + "\n").encode()
            info = tarfile.TarInfo(f"cilium-sysdump/logs-{name}-20250301-101112.log")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])
    return path


def test_a_sysdump_has_a_story_for_each_agents_log(tmp_path: Path) -> None:
    told = stories(sysdump(tmp_path / "sysdump.tgz"))
    assert [one.fields["writer"] for one in told] == ["cilium-4zq7p", "cilium-9vv2m"]
    at = [time.strftime("%H", time.gmtime(one.time)) for one in told]
    assert at == ["10", "11"]


def test_what_was_read_of_a_cut_archive_is_told_first(tmp_path: Path) -> None:
    path = sysdump(tmp_path / "sysdump.tgz", cut=40)
    read = LogStories()
    told: list[Event] = []
    with pytest.raises(UsageError, match="sysdump"):
        told.extend(read.tell(lines_of(str(path), never, follow=False)))
    told += read.finish()
    assert EventKind.STORY in {one.kind for one in told}


OTHERS = [
    "  --bpf-ct-global-tcp-max='1'",
    "\t--bpf-ct-global-tcp-max='1'",
    "Cilium 1.13.4 4061cdfc go version go1.19.10 linux/amd64",
    "Memory available for map entries (0.003% of 30064771072B): 75161927B",
    "option bpf-ct-global-tcp-max set by dynamic sizing to 263725",
]


@pytest.mark.parametrize("message", [*(start for start, _ in MEANINGS), *OTHERS])
def test_no_line_that_means_something_is_passed_over(message: str) -> None:
    """Plain, as JSON of any tool, and carried in JSON as JSON."""
    logfmt = f"level=info msg={json.dumps(message)}"
    spaced, tight = (
        json.dumps({"msg": message}),
        json.dumps({"msg": message}, separators=(",", ":")),
    )
    for form in (logfmt, spaced, tight):
        for line in (
            form,
            json.dumps({"log": form}),
            json.dumps({"log": json.dumps({"log": form})}),
        ):
            assert list(mattering([line.encode()[:9], line.encode()[9:]], never)) == [line]


@pytest.mark.parametrize("level", ["fatal", "panic", "error", "ERROR", "ERROR+8"])
def test_no_failure_is_passed_over(level: str) -> None:
    for line in (f'level={level} msg="no map"', json.dumps({"level": level, "msg": "no map"})):
        assert list(mattering([line.encode()], never)) == [line]
        assert LogReader().read(line, 0.0)


def test_what_a_migration_says_without_attributes_is_found() -> None:
    for line in (
        "Property mismatch in /sys/fs/bpf/tc/globals/cilium_lxc, migrating node to /a:pending!",
        "Unlinking migrated node /sys/fs/bpf/tc/globals/cilium_lxc:pending due to bad exit.",
        "Re-pinning node /sys/fs/bpf/tc/globals/cilium_lxc:pending after failure",
    ):
        assert list(mattering([line.encode()], never)) == [line]
        assert LogReader().read(line, 0.0)


def test_only_lines_without_events_are_passed_over() -> None:
    """Of all the logs that are at hand, read line by line too."""
    for path in sorted(CASES.glob("6*")):
        text = path.read_bytes()
        found = list(mattering([text], never))
        reader = LogReader()
        lines = text.decode().splitlines()
        assert {line for line in lines if reader.read(line, 0.0)} <= set(found), path.name
