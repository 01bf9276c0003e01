from __future__ import annotations

import time
from dataclasses import replace

import pytest

from ctconsole.model.event import Event, EventKind, Level, Scalar
from ctconsole.model.readers.agentlog import LogReader
from ctconsole.observe.story import StoryTeller

PIN = "/sys/fs/bpf/tc/globals/cilium_ct4_global"
ANY = "/sys/fs/bpf/tc/globals/cilium_ct_any4_global"
# Eleven o'clock, two minutes and 31 seconds in whatever zone the test runs.
START = time.mktime((2026, 11, 23, 11, 2, 31, 0, 0, -1))


def event(
    kind: EventKind, after: float, subject: str = PIN, source: str = "observe", **fields: Scalar
) -> Event:
    return Event(START + after, kind, source, subject, "", Level.INFO, fields)


def restart() -> list[Event]:
    return [
        event(EventKind.AGENT_STOP, 0, "cilium-agent", pid=100),
        event(EventKind.AGENT_START, 0.2, "cilium-agent", pid=200),
        event(EventKind.AGENT_OPTION, 0.3, "bpf-ct-global-tcp-max", old="32768", new="8192"),
        event(EventKind.MAP_MISMATCH, 0.0, source="agent-log", old=32768, new=8192),
        event(
            EventKind.MAP_RECREATED,
            0.8,
            old_id=549,
            new_id=588,
            old_max_entries=32768,
            max_entries=8192,
            lost=12031,
        ),
        event(EventKind.PROGRAM_REPLACED, 5.1, seconds=4.3, programs=12),
        event(EventKind.ENTRIES_RETURNED, 60.8, returned=11204, lost=12031, seconds=60.0),
    ]


def test_a_restart_is_told_in_one_sentence() -> None:
    teller = StoryTeller(window=60)
    for one in restart():
        teller.feed(one)
    story = teller.due(START + 61)
    assert story
    assert (story.kind, story.level) == (EventKind.STORY, Level.WARNING)
    assert story.message == (
        "agent restarted 11:02:31-11:02:36, bpf-ct-global-tcp-max 32768 -> 8192, "
        "cilium_ct4_global re-created (549 -> 588), 12,031 entries lost, "
        "programs moved after 4.3 s, 11,204 entries came back within 60 s"
    )
    assert story.fields["lost"] == 12031
    assert story.fields["returned"] == 11204
    assert (story.fields["old_pid"], story.fields["new_pid"]) == (100, 200)
    assert story.fields["cilium_ct4_global.new_id"] == 588
    assert story.fields["log_lines"] == 1


@pytest.mark.parametrize("log_first", [True, False])
def test_the_agents_log_tells_the_moment_of_a_re_creation(log_first: bool) -> None:  # noqa: FBT001 - a case
    stop, start, option, _, recreated, moved, returned = restart()
    logged = event(EventKind.MAP_MISMATCH, 0.482, source="agent-log", old=32768, new=8192)
    teller = StoryTeller(window=60)
    seen = [logged, recreated] if log_first else [recreated, logged]
    for one in (stop, start, option, *seen, moved, returned):
        teller.feed(one)
    story = teller.due(START + 61)
    assert story
    # It was seen 0.318 s after that, and programs had moved 4.3 s after it was seen.
    assert "cilium_ct4_global re-created at 11:02:31.482 (549 -> 588)" in story.message
    assert "programs moved after 4.6 s" in story.message
    assert story.fields["cilium_ct4_global.at"] == START + 0.482
    assert story.fields["cilium_ct4_global.moved_after"] == 4.618


@pytest.mark.parametrize("when", [0.0, -40.5, 0.9], ids=["whole seconds", "another", "too late"])
def test_a_log_that_is_not_exact_leaves_what_was_seen(when: float) -> None:
    stop, start, option, _, recreated, moved, returned = restart()
    logged = event(EventKind.MAP_MISMATCH, when, source="agent-log", old=32768, new=8192)
    teller = StoryTeller(window=60)
    for one in (stop, start, option, logged, recreated, moved, returned):
        teller.feed(one)
    story = teller.due(START + 61)
    assert story
    assert "cilium_ct4_global re-created (549 -> 588)" in story.message
    assert "programs moved after 4.3 s" in story.message
    assert story.fields["cilium_ct4_global.at"] == START + 0.8


def test_there_is_one_story_for_one_restart() -> None:
    teller = StoryTeller(window=60)
    *early, last = restart()
    for one in early:
        teller.feed(one)
        assert teller.due(one.time) is None
    # Without the last count the story waits for it, but not for ever.
    assert teller.due(START + 61) is None
    teller.feed(last)
    assert teller.due(START + 61)
    assert teller.due(START + 200) is None


def test_a_size_nobody_explains_is_told_with_the_map() -> None:
    teller = StoryTeller(window=1)
    for one in restart():
        if one.kind is not EventKind.AGENT_OPTION:
            teller.feed(one)
    story = teller.due(START + 99)
    assert story
    assert "cilium_ct4_global re-created (549 -> 588, Max entries 32768 -> 8192)" in story.message


def test_a_restart_that_touches_no_map_says_so() -> None:
    teller = StoryTeller(window=5)
    for one in restart()[:2]:
        teller.feed(one)
    story = teller.due(START + 6)
    assert story
    assert story.level is Level.INFO
    assert story.message == "agent restarted 11:02:31-11:02:31, no map was re-created"


def test_an_agent_that_does_not_come_back_is_a_warning() -> None:
    teller = StoryTeller(window=5)
    teller.feed(restart()[0])
    story = teller.due(START + 6)
    assert story
    assert story.message == "agent went at 11:02:31 and did not come back"
    assert story.level is Level.WARNING


def test_an_agent_that_comes_back_late_was_restarted_from_when_it_went() -> None:
    stop, *others = restart()
    teller = StoryTeller(window=5)
    teller.feed(stop)
    teller.feed(event(EventKind.AGENT_OPTION, 2, "bpf-ct-global-tcp-max", old=1000, new=2000))
    assert teller.due(START + 6)
    for one in others:
        teller.feed(replace(one, time=one.time + 90))
    story = teller.due(START + 200)
    assert story
    assert story.message.startswith("agent restarted 11:02:31-11:04:")
    assert "bpf-ct-global-tcp-max 1000 -> " in story.message
    assert story.fields["begin"] == stop.time


def test_the_next_time_it_goes_is_a_story_of_its_own() -> None:
    stop = restart()[0]
    teller = StoryTeller(window=5)
    for after in (0, 90):
        teller.feed(replace(stop, time=stop.time + after))
        story = teller.due(START + after + 6)
        assert story
        assert story.fields["begin"] == stop.time + after


def test_maps_that_change_without_an_agent_have_a_story_too() -> None:
    teller = StoryTeller(window=5)
    teller.feed(event(EventKind.MAP_RECREATED, 0, old_id=1, new_id=2, lost=0))
    teller.feed(event(EventKind.MAP_RECREATED, 0, ANY, old_id=3, new_id=4, lost=7))
    story = teller.due(START + 20)
    assert story
    assert story.message == (
        "maps were re-created 11:02:31-11:02:31, cilium_ct4_global re-created (1 -> 2), "
        "0 entries lost; cilium_ct_any4_global re-created (3 -> 4), 7 entries lost"
    )


def test_programs_that_stay_behind_are_told() -> None:
    teller = StoryTeller(window=5)
    for one in restart()[:5]:
        teller.feed(one)
    teller.feed(event(EventKind.SPLIT_BRAIN, 5, left=3))
    story = teller.due(START + 20)
    assert story
    assert "3 programs still use the old map" in story.message


def test_the_log_alone_makes_a_story() -> None:
    teller = StoryTeller(window=5)
    teller.feed(
        event(EventKind.MAP_MISMATCH, 0, source="agent-log", property="Max entries", old=9, new=12)
    )
    teller.feed(event(EventKind.AGENT_READY, 3, "cilium-agent", "agent-log"))
    story = teller.due(START + 20)
    assert story
    assert story.message == (
        "maps were re-created 11:02:31-11:02:34, bpf-ct-global-tcp-max 9 -> 12, "
        "cilium_ct4_global re-created"
    )


MISMATCHES = {
    "1.9": (
        f'level=warning msg="Max entries mismatch for BPF map" file-path={PIN} new=8192 old=32768 '
        "subsys=bpf"
    ),
    "1.14": (
        f'level=info msg="Unpinning map with incompatible properties" file-path={PIN} '
        'new="Type:LRUHash KeySize:14 ValueSize:56 MaxEntries:8192 Flags:0" '
        'old="Type:LRUHash KeySize:14 ValueSize:56 MaxEntries:32768 Flags:0" subsys=bpf'
    ),
    "1.18": (
        'level=info msg="Unpinning map with incompatible properties" module=agent.datapath '
        f"bpfMapName=cilium_ct4_global file-path={PIN} "
        'old="[type LRUHash keySize 14 valueSize 56 maxEntries 32768 flags 0]" '
        'new="[type LRUHash keySize 14 valueSize 56 maxEntries 8192 flags 0]"'
    ),
}


@pytest.mark.parametrize("line", MISMATCHES.values(), ids=MISMATCHES)
def test_each_generations_log_tells_which_option_was_changed(line: str) -> None:
    teller = StoryTeller(window=5)
    for one in LogReader().read(line, START):
        teller.feed(one)
    story = teller.due(START + 20)
    assert story
    assert "bpf-ct-global-tcp-max 32768 -> 8192" in story.message
    assert story.fields["changed"] == "bpf-ct-global-tcp-max 32768 -> 8192"


def test_a_line_that_counts_the_endpoints_counts_none_twice() -> None:
    teller = StoryTeller(window=5)
    teller.feed(event(EventKind.AGENT_START, 0, "cilium-agent"))
    teller.feed(event(EventKind.ENDPOINT_REGENERATED, 1, "endpoint 7", "agent-log"))
    teller.feed(event(EventKind.ENDPOINT_REGENERATED, 2, "cilium-agent", regenerated="12"))
    story = teller.due(START + 20)
    assert story
    assert story.fields["regenerated"] == 12


def test_what_opens_no_restart_is_left_alone() -> None:
    teller = StoryTeller(window=5)
    teller.feed(event(EventKind.GC_PASS, 0))
    teller.feed(event(EventKind.ENDPOINT_REGENERATED, 0))
    assert teller.finish(START + 99) is None
