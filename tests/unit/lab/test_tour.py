from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import pytest

from ctconsole.errors import AgentError, DeniedError, UsageError
from ctconsole.lab import lifecycle, tour
from ctconsole.lab.tour import Case, CaseReport, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.folders import Lab


def case(name: str, *, oks: str = "", error: Exception | None = None) -> Case:
    def run(_lab: Lab, report: CaseReport) -> None:
        for number, ok in enumerate(oks):
            report.step(f"step {number}", ok=ok == "y", seen="what was seen")
        if error:
            raise error

    return Case(name, "a case", "9.9", run)


@pytest.fixture(autouse=True)
def no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def owned(base: str, **_: object) -> Iterator[tuple[Lab, None]]:
        assert base == "tour"
        yield cast("Lab", None), None

    monkeypatch.setattr(lifecycle, "owned", owned)


def test_the_registry_finds_the_articles_first_case() -> None:
    inbound = tour.registry()["inbound"]
    assert (inbound.name, inbound.section) == ("inbound", "2.2")
    assert tour.choose([]) == list(tour.registry().values())
    assert tour.choose(["inbound"]) == [inbound]


def test_an_unknown_case_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no case 'x'.*inbound"):
        tour.choose(["inbound", "x"])


def test_all_is_well_when_every_step_is() -> None:
    seen: list[Step] = []
    result = tour.run([case("a", oks="yy"), case("b", oks="y")], on_step=seen.append)
    assert result["ok"]
    assert [found["name"] for found in result["cases"]] == ["a", "b"]
    assert result["cases"][1]["steps"] == [{"name": "step 0", "ok": True, "seen": "what was seen"}]
    assert len(seen) == 3


@pytest.mark.parametrize("bad", [case("b", oks="yn"), case("b")])
def test_one_bad_step_or_none_at_all_is_not_well(bad: Case) -> None:
    result = tour.run([case("a", oks="y"), bad])
    assert [found["ok"] for found in result["cases"]] == [True, False]
    assert not result["ok"]


def test_a_case_that_breaks_off_is_a_bad_step_and_the_next_one_runs() -> None:
    broken = case("a", oks="y", error=AgentError("The agent is gone"))
    result = tour.run([broken, case("b", oks="y")])
    assert [found["ok"] for found in result["cases"]] == [False, True]
    assert result["cases"][0]["steps"][-1]["seen"] == "The agent is gone"


def test_a_node_that_cannot_run_a_lab_is_not_a_result() -> None:
    with pytest.raises(DeniedError):
        tour.run([case("a", error=DeniedError(1, "BPF_MAP_CREATE"))])
