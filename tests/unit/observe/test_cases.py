"""Files as operators have them, each with what is in it.

The files of ``tests/data/cases`` are made by hand in the shape of what is posted: every address,
port, id and name is invented. A row tells what `read_offline` finds in one, or in several that
are named together: how many entries on which node, its clock, and what is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ctconsole.observe.offline import read_offline

CASES = Path(__file__).parents[2] / "data" / "cases"
ALONE = ""
"""A node that has no name because there is only one."""


@dataclass(frozen=True)
class Case:
    """What is in a file.

    Attributes:
        files: what their names begin with.
        entries: conntrack entries, by node.
        clock: seconds of each node's clock, in the nodes' order; a lower bound is negative.
        layouts: of the entries.
        told: pieces of what is said though nothing is wrong.
        wrong: pieces of what is said to be wrong; none means that everything was read.
    """

    files: str
    entries: dict[str, int]
    clock: tuple[int, ...] = ()
    layouts: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    wrong: tuple[str, ...] = field(default_factory=tuple)


KUBECTL = 'line 1: Defaulted container "cilium-agent" out of'
ENDED = "command terminated with exit code"

CASES_OF_CONNTRACK = [
    Case("01", {ALONE: 4}, (-29017933,), ("1.18",), (KUBECTL,), (f"line 6: {ENDED} 1",)),
    Case("02", {ALONE: 3}, (-132800,), ("1.9",), ("line 5: 9087",)),
    Case("03", {"cilium-7xk2p": 3}, (-12499387,), ("1.9",), ("1 entries stand in it twice",)),
    Case("04", {ALONE: 3}, (-318663,), ("1.9",)),
    Case("06", {}, wrong=("holds the properties of maps without their entries",)),
    Case("07", {ALONE: 2}, (-2352837,), ("1.9",), ("line 1: (node) $", "line 4: ...")),
    Case("08", {ALONE: 3}, (-370541,), ("1.19",)),
    Case("09", {ALONE: 4}, (240336,), ("1.16",)),
    Case("10", {"cilium-4zq7p": 3}, (1509,), ("1.18",)),
    Case("11", {ALONE: 3}, (1509,), ("1.18",)),
    Case("13", {ALONE: 3}, (1509,), ("1.18",)),
    Case("16", {ALONE: 3}, (1509,), ("1.18",)),
    Case("17", {ALONE: 3}, (1509,), ("1.18",)),
    Case("18", {ALONE: 3}, (1509,), ("1.18",), wrong=("1 line is not read:\n  line 4: TCP OUT",)),
    Case("19", {ALONE: 3}, (1509,), ("1.18",)),
    Case("21", {"node-a": 3, "node-b": 3}, (1509, 872509), ("1.18",), ("on node node-b",)),
    Case("22", {ALONE: 3}, (1509,), ("1.18",), ("line 3: <details>", "line 12: </details>")),
    Case("25", {ALONE: 3}, (1509,), ("1.18",), wrong=("line 4: Error: Failed to open map", ENDED)),
    Case("26", {ALONE: 1}, (1509,), ("1.18",), wrong=("iteration aborted: key not found",)),
    Case("28", {}, wrong=("cilium_ct4_global: no such file or directory",)),
    Case("29", {}, wrong=("can't get map info: Invalid argument",)),
    Case("30", {ALONE: 1}, (-1507,), told=(KUBECTL,), wrong=("an entry of 14 and 32 bytes",)),
    Case("31", {ALONE: 0}),
    Case("32", {ALONE: 0}),
    Case("33", {ALONE: 1}, (-1507,)),
    Case("71", {"cilium-4zq7p": 3}, (1509,), ("1.18",)),
    Case("74", {ALONE: 3}, (1509,), ("1.18",)),
    Case("75", {ALONE: 3}, (-318663,), ("1.9",)),
    Case("81", {ALONE: 1}, (-16899587,), ("1.9",), wrong=("4 lines are not read",)),
    Case("83", {ALONE: 2}, (-240326,), ("1.15",)),
    Case("84", {ALONE: 1}, (-124941,), ("1.14",)),
    Case("85", {ALONE: 7}, (880010,), ("1.16",), (KUBECTL,)),
    Case("87", {ALONE: 9}, (133366,), ("1.9",)),
    Case("90", {ALONE: 2}, (-2352837,), ("1.9",), (KUBECTL,)),
    Case("91", {ALONE: 4}, (240336,), ("1.16",), (KUBECTL,)),
    Case("94", {ALONE: 2}, (-240326,), ("1.15",), wrong=(f"line 3: {ENDED} 137",)),
    Case("95", {ALONE: 3}, (240336,), ("1.16",), wrong=("line 1: 43 expires=248326",)),
    Case("97-folder", {"node-a": 1, "node-b": 1}, (-1507, -1507)),
    Case("97-two-files", {"97-two-files-node-a": 3, "97-two-files-node-b": 3}, (1509,), ("1.18",)),
    Case("99", {ALONE: 4}, (240336,), ("1.16",), ("line 3: --",)),
]


@pytest.mark.parametrize("case", CASES_OF_CONNTRACK, ids=lambda case: case.files)
def test_conntrack(case: Case) -> None:
    paths = sorted(CASES.glob(f"{case.files}*"))
    offline = read_offline(paths)
    found: dict[str, int] = {}
    for one in offline.maps:
        assert one.is_conntrack
        found[one.whose.name] = found.get(one.whose.name, 0) + len(one.keys)
    assert found == case.entries
    moments = {one.node: offline.timed(one).at for one in offline.maps}
    clocks = [one.stamp or -one.least for one in moments.values()]
    assert set(clocks) == set(case.clock or ({0} if found else ()))
    layouts = tuple(dict.fromkeys(one.layout for one in offline.maps if one.layout))
    assert layouts == case.layouts
    for piece in case.told:
        assert any(piece in note for note in offline.notes), offline.notes
    assert offline.notes or not case.told
    wrong = [*offline.problems, *(one.problem for one in offline.maps if one.problem)]
    assert bool(wrong) == bool(case.wrong), wrong
    for piece in case.wrong:
        assert any(piece in text for text in wrong), wrong
