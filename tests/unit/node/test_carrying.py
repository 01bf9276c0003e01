"""What is told of a table that was carried over, number by number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ctconsole.manager.resize.verify import Verified
from ctconsole.node.carrying import Carried, carried_event

TOLD = Carried(
    path=Path("/sys/fs/bpf/cilium_ct4_global"),
    old_id=11,
    new_id=12,
    layout="1.9",
    carried=2013,
    merged=1914,
    verified=Verified(
        entries=3000, there=2919, dropped={"expired": 20, "closing": 21}, no_room=15, missing=16
    ),
    seeded_after=0.1701,
    moved_after=18.0204,
)


def test_every_number_is_in_the_event_and_in_its_words() -> None:
    event = carried_event(TOLD)
    assert event.fields == {
        "file-path": "/sys/fs/bpf/cilium_ct4_global",
        "old_id": 11,
        "new_id": 12,
        "layout": "1.9",
        "carried": 2013,
        "merged": 1914,
        # Chosen to stay behind, or because the new one has filled up.
        "dropped": 20 + 21 + 15,
        "missing": 16,
        "seeded_after": 0.17,
        "moved_after": 18.02,
    }
    for words in (
        "map 11 -> 12",
        "2,013 entries carried over by layout 1.9, all there after 0.17 s",
        "the last program moved after 18.0 s, counts of 1,914 entries were added",
        "2,919 of 3,000 entries were found",
    ):
        assert words in event.message


def test_of_programs_that_have_not_moved_nothing_is_known_to_be_lost() -> None:
    event = carried_event(replace(TOLD, verified=None, moved_after=None))
    fields = {name: event.fields[name] for name in ("dropped", "missing", "moved_after")}
    assert fields == {"dropped": 0, "missing": None, "moved_after": None}
    assert "programs still use the old map, whose counts stay there" in event.message
