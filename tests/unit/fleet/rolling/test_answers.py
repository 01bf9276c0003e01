"""A node's plan and report: what is read of them, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ctconsole.errors import ClusterError, CtconsoleError
from ctconsole.fleet.rolling.answers import NodeResized, read_look, read_resized
from tests.support.mutations import mutations

PLAN: dict[str, Any] = {
    "maps": [
        {
            "path": "/sys/fs/bpf/tc/globals/cilium_ct4_global",
            "max_entries": 1000,
            "new_max_entries": 2000,
            "differences": ["max_entries"],
            "entries": 300,
            "smallest": 400,
            "dropped": {"expired": 7, "established": 0},
        }
    ],
    "memory_new": 50,
    "memory_passes": 5,
    "memory_old": 40,
    "memory_free": 1000,
    "seconds": 1.5,
    "changed_by": None,
    "cut_off": False,
}
REPORT: dict[str, Any] = {
    "failure": None,
    "seconds": 2.0,
    "maps": [
        {"carried": 5, "verified": {"no_room": 1, "missing": 2}},
        {"carried": 7, "verified": None},
    ],
}


def look(**changed: Any) -> Any:  # noqa: ANN401 - any field's value
    return read_look("n1", json.dumps({**PLAN, **changed}).encode())


def of_map(**changed: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - likewise
    return [{**PLAN["maps"][0], **changed}]


def test_a_plan_is_read() -> None:
    found = look()
    assert (found.map_name, found.entries, found.wished) == ("cilium_ct4_global", 1000, 2000)
    assert (found.held, found.smallest, found.needed, found.memory) == (300, 400, 55, 95)
    assert (found.is_done, found.obstacle, found.foreign) == (False, "", False)


@pytest.mark.parametrize(
    ("changed", "obstacle"),
    [
        ({"changed_by": "process 7 \x1b resizes"}, r"process 7 \x1b resizes"),
        ({"memory_free": 54}, "it needs 55 B and 54 B are free"),
        (
            {"maps": of_map(dropped={"expired": 9, "established": 3})},
            "3 living entries would not fit; 400 is the smallest size that keeps them all",
        ),
    ],
)
def test_what_stands_in_its_way_is_said(changed: dict[str, Any], obstacle: str) -> None:
    assert look(**changed).obstacle == obstacle


@pytest.mark.parametrize(
    "changed", [{}, {"maps": of_map(differences=[]), "changed_by": "x"},
                {"maps": of_map(differences=[]), "cut_off": True}]
)  # fmt: skip
def test_a_node_at_which_something_is_left_to_do_is_not_done(changed: dict[str, Any]) -> None:
    assert not look(**changed).is_done
    assert look(maps=of_map(differences=[])).is_done


def test_settings_of_another_agent_mean_its_restart() -> None:
    assert look(settings={}).foreign


def test_a_report_adds_up_what_is_lost() -> None:
    found = read_resized("n1", json.dumps(REPORT).encode())
    assert found == NodeResized(carried=12, lost=3, seconds=2.0)
    assert found.told == "12 entries carried in 2.0 s, 3 not found again"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000])
def test_what_is_none_is_one_sentence(text: bytes) -> None:
    with pytest.raises(ClusterError, match=r"^n1: its answer is no plan of a resize"):
        read_look("n1", text)
    with pytest.raises(ClusterError, match=r"^n1: its answer is no report of a resize"):
        read_resized("n1", text)


def test_whatever_a_node_answers_is_read_or_one_sentence() -> None:
    told = set()
    for text in mutations([json.dumps(PLAN).encode(), json.dumps(REPORT).encode()], 3000):
        for read in (read_look, read_resized):
            try:
                read("n1", text)
            except CtconsoleError as error:
                told.add(error.message)
    assert told
    assert not [one for one in told if "\n" in one or not one.startswith("n1: ")]
