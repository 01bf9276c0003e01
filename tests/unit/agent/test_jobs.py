from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control, jobs
from ctconsole.agent.jobs import Job, Jobs
from ctconsole.agent.wire import Teller
from ctconsole.errors import AgentError, DatapathError

if TYPE_CHECKING:
    from pathlib import Path


def endless(job: Job) -> None:
    """Work that goes on until its next step is refused."""
    while True:
        job.step(1, 3, "loading")
        threading.Event().wait(0.01)


def test_a_job_tells_how_far_it_is_and_ends_when_it_is_told_to() -> None:
    made = Jobs()
    assert made.begin("one", None, 0, endless)["state"] == "running"
    while made.progress("one", 0.0)["now"] != "loading":
        threading.Event().wait(0.001)
    told = made.progress("one", 0.0)
    assert (told["done"], told["of"]) == (1, 3)
    assert made.cancel("one", "enough", 10)["state"] == "cancelled"
    assert made.progress("one", 0)["error"] == "enough"


def test_one_that_was_cancelled_before_it_began_never_begins() -> None:
    made, ran = Jobs(), threading.Event()
    assert made.cancel("one", "enough", 0)["state"] == "cancelled"
    assert made.begin("one", None, 0, lambda _: ran.set())["state"] == "cancelled"
    assert not ran.is_set()


def test_a_cancellation_is_answered_only_when_nothing_more_will_be_loaded() -> None:
    made, busy, done = Jobs(), threading.Event(), threading.Event()

    def load(job: Job) -> None:
        job.step(0, 1, "loading")
        busy.set()
        assert done.wait(10)
        job.step(0, 1, "attaching")

    made.begin("one", None, 0, load)
    assert busy.wait(10)
    assert made.cancel("one", "enough", 0.05)["state"] == "running"
    done.set()
    assert made.cancel("one", "enough", 10)["state"] == "cancelled"


def test_what_is_done_cannot_be_cancelled_any_more() -> None:
    made = Jobs()
    made.begin("one", None, 0, lambda job: job.finish())
    assert made.progress("one", 10)["state"] == "done"
    assert made.cancel("one", "enough", 0)["state"] == "done"


@pytest.mark.parametrize(
    ("error", "said"),
    [(DatapathError("It does not compile"), "It does not compile"),
     (TypeError("an int"), "TypeError: an int")],
)  # fmt: skip
def test_whatever_ends_a_job_is_told(error: Exception, said: str) -> None:
    def fail(_job: Job) -> None:
        raise error

    made = Jobs()
    made.begin("one", None, 0, fail)
    told = made.progress("one", 10)
    assert (told["state"], told["error"]) == ("failed", said)


def test_there_is_one_at_a_time_and_none_when_the_agent_ends() -> None:
    made = Jobs()
    made.begin("one", None, 0, endless)
    with pytest.raises(AgentError, match="is moving programs already"):
        made.begin("two", None, 0, endless)
    made.close("it was told to stop")
    assert made.progress("one", 0)["state"] == "cancelled"
    with pytest.raises(AgentError, match="loads no programs any more"):
        made.begin("three", None, 0, endless)


def test_another_map_at_the_pin_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"id": 7}
    monkeypatch.setattr(jobs, "pinned_id", lambda _: found["id"])
    made = Jobs()
    made.begin("one", tmp_path / "cilium_ct4_global", 7, endless)
    while made.progress("one", 0.0)["now"] != "loading":
        threading.Event().wait(0.001)
    found["id"] = 8
    told = made.progress("one", 10)
    assert told["state"] == "cancelled"
    assert "was to be map 7, and map 8 is pinned there now" in told["error"]


def test_an_agent_unknown_to_a_switch_says_so() -> None:
    with pytest.raises(AgentError, match="started anew"):
        Jobs().progress("one", 0)


def test_a_start_may_take_any_time_while_it_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "SILENCE", 0.5)
    heard, told = os.pipe()

    def work() -> None:
        tell = Teller(told)
        for number in range(12):
            tell.progress(number, 12, f"endpoint {number}")
            threading.Event().wait(0.1)
        tell({"ready": True})

    thread = threading.Thread(target=work)
    thread.start()
    assert control._hear(heard) == {"ready": True}
    thread.join()
    os.close(heard)


def test_a_silent_start_says_where_it_fell_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SILENCE", 0.2)
    heard, told = os.pipe()
    Teller(told).progress(1, 2, "loading the programs of endpoint 7")
    outcome = control._hear(heard)
    assert "nothing for 0 s after loading the programs of endpoint 7; it still" in outcome["error"]
    os.close(heard)
    os.close(told)
