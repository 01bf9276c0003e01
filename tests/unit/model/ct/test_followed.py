"""What happens to one entry is told, also after its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.ct.followed import FollowedEntry
from ctconsole.model.ct.layout import TcpFlag
from tests.support.ct_tables import NOW, Entry, ct_table

if TYPE_CHECKING:
    from ctconsole.model.ct.table import CtTable

A, B = "10.0.1.1:40000", "10.0.1.2:40000"


def at(second: int, *entries: Entry) -> CtTable:
    return ct_table(*entries, taken_at=100.0 + second, now=NOW + second)


def followed(*entries: Entry) -> FollowedEntry:
    table = at(0, *entries)
    return FollowedEntry(table, table.keys[0].tobytes())


def told(one: FollowedEntry) -> list[str]:
    return [text for _, text in one.facts]


def test_pace_and_growth_are_told_while_it_is_there() -> None:
    one = followed(Entry(A, packets=10, bytes=1000))
    one.look(at(2, Entry(B), Entry(A, packets=30, bytes=9192)))
    assert told(one)[:2] == ["10 packets/s, 4.0 KiB/s", "8.0 KiB"]
    assert one.there


def test_an_end_says_whether_its_time_was_over_and_a_return_how_long_it_was_away() -> None:
    one = followed(Entry(A, left=300))
    one.look(at(2))
    assert "although 4m 58s were left" in told(one)[1]
    assert not one.there
    assert one.last.keys.tobytes() == one.key
    one.look(at(5, Entry(A)))
    assert any(text.startswith("back after 3s") for text in told(one))
    short = followed(Entry(A, left=1))
    short.look(at(2))
    assert "gone: its lifetime was over" in told(short)


def test_what_changes_in_it_is_told() -> None:
    one = followed(Entry(A))
    table = at(2, Entry(A, flags=0x13))
    values = table.values.copy()
    values["tx_flags_seen"] |= values.dtype["tx_flags_seen"].type(TcpFlag.RST)
    one.look(replace(table, values=values))
    lines = told(one)
    assert any("->" in text for text in lines)
    assert "seen for the first time tx: RST" in lines
    assert any(text.startswith("flags are") for text in lines)


def test_a_map_in_the_place_of_its_own_is_told() -> None:
    one = followed(Entry(A))
    other = at(2)
    one.look(replace(other, info=replace(other.info, id=other.info.id + 1)))
    assert told(one)[1:3] == [
        "gone with the map",
        f"the map was re-created: {other.info.id + 1} is in the place of {other.info.id}",
    ]


def test_another_map_and_an_older_sample_are_no_news() -> None:
    one = followed(Entry(A))
    before = told(one)
    one.look(at(-1))
    other = at(2)
    one.look(replace(other, info=replace(other.info, name="other", pin=None)))
    assert told(one) == before


def test_counters_that_go_back_are_another_connection() -> None:
    one = followed(Entry(A, packets=10))
    one.look(at(2, Entry(A, packets=3)))
    assert any("began anew" in text for text in told(one))


def test_an_entry_that_is_not_there_cannot_be_followed() -> None:
    with pytest.raises(KeyError):
        FollowedEntry(at(0, Entry(A)), at(0, Entry(B)).keys[0].tobytes())
