from __future__ import annotations

import pytest

from ctconsole.model.ct.layout import IpProtocol
from ctconsole.model.ct.query import Query, entry_fields
from ctconsole.model.ct.seen import Seen
from ctconsole.model.event import Event, EventKind
from ctconsole.model.filter.complete import completions, term_at
from ctconsole.model.filter.events import Happened, event_fields
from ctconsole.model.filter.maps import Maps, map_fields
from ctconsole.model.names import Names
from tests.support.ct_tables import Entry, ct_table

TABLE = ct_table(
    Entry(source="10.0.1.1:40000", destination="10.0.2.2:443"),
    Entry(source="10.0.1.2:40001", destination="10.0.2.2:443"),
    Entry(source="10.0.3.1:5353", destination="8.8.8.8:53", protocol=IpProtocol.UDP),
)
NAMES = Names(endpoints={bytes([10, 0, 1, 1]): "shop/a web"}, services={3: "shop/web"})


def ended(text: str, rows: Seen | None = None, **saved: str) -> list[str]:
    return [one.text for one in completions(text, entry_fields(), rows, saved)]


def test_a_field_that_is_written_out_is_offered_its_operators() -> None:
    assert ended("left") == ["left<", "left:", "left>", "left<=", "left>=", "left!="]
    assert ended("proto") == ["proto:", "proto!=", "protocol:"][:2]
    assert ended("tcp !sta") == ["tcp !state:"]
    assert ended("(l") == ["(left<"]


def test_a_word_that_needs_no_field_is_offered_too() -> None:
    assert ended("est") == ["established"]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("dport:", ["dport:443", "dport:53"]),
        ("dport:4", ["dport:443"]),
        ("src:10.0.1", ["src:10.0.1.2", "src:10.0.1.1"]),
        ("pod:", ['pod:"shop/a web"']),
        ('pod:"sh', ['pod:"shop/a web"']),
        ("svc:", ["svc:shop/web"]),
        ("map:", ["map:cilium_ct4_glob"]),
    ],
)
def test_values_that_occur_are_offered_the_frequent_ones_first(
    text: str, offered: list[str]
) -> None:
    found = ended(text, Seen(TABLE, NAMES))
    assert sorted(found) == sorted(offered)
    assert found[0] == offered[0] or len(offered) > 1
    for one in found:
        assert Query.parse(one)


def test_saved_filters_are_offered_with_what_they_say() -> None:
    found = completions("in @w", entry_fields(), saved={"web": "dport:80", "x": "in"})
    assert [(one.text, one.about) for one in found] == [("in @web", "dport:80")]


def test_events_and_maps_are_completed_by_their_own_fields() -> None:
    events = Happened([Event(1.0, EventKind.STORY, "observe", "/bpf/ct4", "Told")], 2.0)
    assert [one.text for one in completions("map:", event_fields(), events)] == ["map:ct4"]
    assert [one.text for one in completions("lev", event_fields())] == ["level>="]
    maps = Maps([{"name": "ct4", "group": "tail call"}])
    assert [one.text for one in completions("group:t", map_fields(), maps)] == ['group:"tail call"']


def test_the_field_whose_value_is_typed() -> None:
    rule = term_at("tcp left<3", entry_fields())
    assert rule is not None
    assert rule.asked.name == "left"
    assert term_at("tcp lef", entry_fields()) is None
