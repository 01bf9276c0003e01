"""What is heard all the time is told once, with its count, and hides nothing louder."""

from __future__ import annotations

from dataclasses import replace

from ctconsole.model.event import Event, EventKind, Level, as_it_happened, folded, marks_of

NOON = 1_785_582_000.0


def heard(when: float, count: int = 10, kind: EventKind = EventKind.CONNECTIONS) -> Event:
    return Event(
        NOON + when, kind, "datapath", "datapath", "New connections", Level.DEBUG, {"count": count}
    )


def restarted(when: float) -> Event:
    return Event(NOON + when, EventKind.AGENT_START, "agent", "", "Starting agent")


def numbered(*events: Event) -> list[tuple[int, Event]]:
    return as_it_happened(list(enumerate(events, 1)))


def test_what_goes_on_all_the_time_is_one_line_with_the_sum_of_its_counts() -> None:
    told = folded(numbered(*(heard(10 * n, n) for n in range(1, 5))))
    [(number, event)] = told
    assert number == 1
    assert event.time == NOON + 40
    assert event.message == "New connections, 10 in all: 4 times in 30s"
    assert (event.fields["count"], event.fields["times"]) == (10, 4)


def test_a_restart_parts_what_was_heard_before_it_from_what_came_after() -> None:
    told = folded(numbered(heard(0), heard(10), restarted(15), heard(20)))
    assert [(number, event.kind) for number, event in told] == [
        (1, EventKind.CONNECTIONS),
        (3, EventKind.AGENT_START),
        (4, EventKind.CONNECTIONS),
    ]
    assert told[2][1] == heard(20)


def test_two_things_that_are_heard_in_turn_are_two_lines() -> None:
    drops = [heard(5 + 10 * n, 1, EventKind.DROP) for n in range(3)]
    told = folded(numbered(heard(0), drops[0], heard(10), drops[1], heard(20), drops[2]))
    assert [event.fields["count"] for _, event in told] == [30, 3]


def test_a_louder_report_that_comes_every_while_is_one_line_too() -> None:
    drops = [replace(heard(5 + 10 * n, 1, EventKind.DROP), level=Level.WARNING) for n in range(3)]
    told = folded(numbered(heard(0), drops[0], heard(10), drops[1], heard(20), drops[2]))
    assert [(event.level, event.fields["count"]) for _, event in told] == [
        (Level.DEBUG, 30),
        (Level.WARNING, 3),
    ]


def test_marks_are_what_happened_to_the_map_or_to_the_node() -> None:
    other = Event(NOON, EventKind.MAP_CREATED, "agent", "/bpf/other", "Created map")
    own = Event(NOON + 2, EventKind.MAP_CREATED, "agent", "/bpf/ct4", "Created map")
    events = numbered(heard(0), restarted(1), other, own)
    assert sorted(marks_of(events, "/bpf/ct4")) == [NOON + 1, NOON + 2]
