from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.loops import LoopState
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable


def event(message: str) -> Event:
    return Event(1.5, EventKind.STORY, "test", "/pin", message)


class Store:
    """Keeps events, unless it was told to fail."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.error: Exception | None = None

    def __call__(self, events: Iterable[Event]) -> None:
        if self.error:
            raise self.error
        self.kept.extend(events)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.mark.parametrize("error", [CtconsoleError("disk is full"), MemoryError(), TypeError("x")])
def test_what_could_not_be_stored_is_counted_and_told_when_it_can_be(
    store: Store, error: Exception
) -> None:
    record = Recorder(store, source="test", subject="/history.db")
    record([event("one")])
    store.error = error
    record([event("two"), event("three")])
    record([event("four")])
    assert record.missed == 3
    assert record.reason == (str(error) or repr(error))
    store.error = None
    record([event("five")])
    first, lost, last = store.kept
    assert (first.message, last.message) == ("one", "five")
    assert lost.kind is EventKind.WARNING
    assert lost.subject == "/history.db"
    assert lost.message == f"Events were lost: {str(error) or repr(error)}"
    assert lost.fields["count"] == 3
    assert record.missed == 0
    record([event("six")])
    assert len(store.kept) == 4


def test_the_log_hears_everything_and_of_a_new_reason_once(store: Store) -> None:
    said: list[str] = []
    record = Recorder(
        store, source="test", subject="/h", tell=lambda event: said.append(event.message)
    )
    store.error = CtconsoleError("disk is full")
    record([event("one")])
    record([event("two")])
    store.error = None
    record([event("three")])
    assert said == [
        "Events cannot be stored: disk is full",
        "one",
        "two",
        "Events were lost: disk is full",
        "three",
    ]


def test_a_log_that_fails_is_no_reason_to_stop(store: Store) -> None:
    def tell(event: Event) -> None:
        raise OSError(event.message)

    Recorder(store, source="test", subject="/h", tell=tell)([event("one"), event("two")])
    assert len(store.kept) == 2


def test_nothing_to_record_is_no_reason_to_write(store: Store) -> None:
    store.error = CtconsoleError("disk is full")
    record = Recorder(store, source="test", subject="/h")
    record([])
    assert record.missed == 0


def test_trouble_of_a_loop_becomes_an_event(store: Store) -> None:
    record = Recorder(store, source="test", subject="/h")
    record.trouble(LoopState("listener", running=True, failures=1, error="gone", since=1.0))
    record.trouble(LoopState("listener", running=False, failures=2, error="gone", since=1.0))
    assert [(event.level, event.fields["loop"]) for event in store.kept] == [
        (Level.WARNING, "listener"),
        (Level.ERROR, "listener"),
    ]
