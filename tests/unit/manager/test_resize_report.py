"""Every number of a resize's report, in the shell, as JSON and in the words of the screen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.cli.plans import print_report
from ctconsole.manager.resize.report import MapReport, ResizeReport
from ctconsole.manager.resize.verify import Verified
from ctconsole.manager.running import HookRuns, Running
from ctconsole.model.plan import Row
from ctconsole.ui.widgets.plan_table import report_text

if TYPE_CHECKING:
    import pytest

CT4 = MapReport(
    path=Path("/sys/fs/bpf/cilium_ct4_global"),
    old_id=11,
    new_id=12,
    pinned_id=13,
    old_entries=1014,
    new_entries=1015,
    carried=2016,
    merged=117,
    verified=Verified(
        entries=3018,
        there=2919,
        dropped={"expired": 20, "closing": 21, "alive": 22},
        expired=23,
        no_room=24,
        missing=25,
        counting=26,
    ),
    recreated=27,
    touched=28,
    contended=29,
)
CT6 = replace(
    CT4,
    path=Path("/sys/fs/bpf/cilium_ct6_global"),
    carried=1,
    merged=2,
    recreated=3,
    touched=4,
    contended=5,
    verified=Verified(entries=600, there=593, dropped={"expired": 1}, missing=6),
)
REPORT = ResizeReport(
    maps=(CT4, CT6),
    stages={"stage": 0.31, "seed": 0.32, "switch": 3.33, "settle": 0.34, "verify": 0.35},
    gap=0.361,
    running=Running((HookRuns("ingress of lxc1", 41, 42, (), 0),)),
    left=(51, 52),
    seconds=4.65,
    notes=(Row("agent", "its last program had moved 7.1 s after the restart began"),),
)

TOLD = (
    (
        "Resized cilium_ct4_global from 1,014 to 1,015 entries, cilium_ct6_global from 1,014 to "
        "1,015 entries in 4.65 s: 2,017 entries carried, 64 dropped (21 expired, 21 closing, "
        "22 alive), 55 not found again"
    ),
    "of 119 entries were added to the new map's",
    "at most 0.361 s between an old program's entry and its copy",
    (
        "cilium_ct4_global: 2,919 of 3,018 entries were found in the new map, 26 of them with a "
        "count that only the old one has; 20 expired had been left behind; 21 closing had been "
        "left behind; 22 alive had been left behind; 23 had expired and are gone; 24 have no room "
        "in the new map, which filled up meanwhile; 25 are not there: deleted meanwhile by "
        "somebody else, or lost"
    ),
    (
        "cilium_ct6_global: 593 of 600 entries were found in the new map, and none with a count "
        "that only the old one has; 1 expired had been left behind; 6 are not there: deleted "
        "meanwhile by somebody else, or lost"
    ),
    "stage 0.31 s, seed 0.32 s, switch 3.33 s, settle 0.34 s, verify 0.35 s",
    "1 of 1 seen running",
    "30 entries were made anew meanwhile: their counts cannot be proved",
    "32 entries had flags or times written on both sides, which were joined",
    "34 words kept being written by others and may be the older ones",
    "its last program had moved 7.1 s after the restart began",
    "2 still use an old map",
)


def test_the_shell_prints_each_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(REPORT, as_json=False)
    printed = capsys.readouterr()
    assert (printed.out + printed.err).splitlines() == list(TOLD)


def test_the_screen_shows_each_number() -> None:
    first, *rest = report_text(REPORT).splitlines()
    assert first == f"{TOLD[0]}."
    assert [line.split(": ", 1)[1] for line in rest] == list(TOLD[1:])


def test_json_has_each_number(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(REPORT, as_json=True)
    told = json.loads(capsys.readouterr().out)
    ct4, ct6 = told.pop("maps")
    assert ct4 == {
        "path": "/sys/fs/bpf/cilium_ct4_global",
        "old_id": 11,
        "new_id": 12,
        "pinned_id": 13,
        "old_entries": 1014,
        "new_entries": 1015,
        "carried": 2016,
        "merged": 117,
        "dropped": 63,
        "verified": {
            "entries": 3018,
            "there": 2919,
            "dropped": {"expired": 20, "closing": 21, "alive": 22},
            "expired": 23,
            "no_room": 24,
            "missing": 25,
            "counting": 26,
        },
        "recreated": 27,
        "touched": 28,
        "contended": 29,
    }
    assert (ct6["dropped"], ct6["verified"]["missing"]) == (1, 6)
    assert told == {
        "ok": True,
        "failure": None,
        "stages": dict(REPORT.stages),
        "gap": 0.361,
        "hooks": {"seen": ["ingress of lxc1"], "not_seen": [], "not_known": ""},
        "left_programs": [51, 52],
        "seconds": 4.65,
        "undo_until": None,
        "notes": {"agent": REPORT.notes[0].text},
    }


def test_what_went_well_is_said_in_few_words() -> None:
    fine = replace(CT4, carried=3018, verified=Verified(entries=3018, there=3018))
    report = ResizeReport(maps=(fine,), seconds=1.0)
    assert report.sentence.endswith("3,018 entries carried, none lost")
    [told] = [row.text for row in report.rows if row.label == "verified"]
    assert told == (
        "3,018 of 3,018 entries were found in the new map, and none with a count that only the "
        "old one has"
    )
