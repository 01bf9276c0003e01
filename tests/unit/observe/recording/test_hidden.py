"""What a recording for others is told of moments and events."""

from __future__ import annotations

import dataclasses
import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.model.ct.hiding import Hiding
from ctconsole.model.event import Event, EventKind
from ctconsole.observe.recording.hidden import HidingMoments
from ctconsole.observe.recording.moment import NodeMoment
from tests.support.ct_tables import Entry, ct_table

if TYPE_CHECKING:
    from ctconsole.model.ct.table import CtTable

KEY = bytes(32)


def moment_of(table: CtTable) -> NodeMoment:
    title = f"{os.uname().nodename} · Cilium 1.18.3 · /sys/fs/bpf"
    tables = MappingProxyType({"ct4": table})
    return NodeMoment(1.0, None, tables, title=title, error="of 10.0.1.7")


def test_a_moment_has_other_addresses_and_no_name() -> None:
    table = ct_table(Entry("10.0.1.7:1", "10.0.2.9:443"))
    found = HidingMoments(Hiding(KEY)).moment(moment_of(table))
    assert "10.0.1.7" not in found.error
    assert os.uname().nodename not in found.title
    assert "Cilium 1.18.3" in found.title
    assert found.tables["ct4"].keys["saddr"].tolist() != table.keys["saddr"].tolist()


def test_a_table_at_rest_stays_at_rest() -> None:
    """So that a recording of a quiet node stays small."""
    hiding, table = HidingMoments(Hiding(KEY)), ct_table(Entry())
    first = hiding.moment(moment_of(table)).tables["ct4"]
    again = hiding.moment(moment_of(dataclasses.replace(table, taken_at=2000.0))).tables["ct4"]
    assert again.keys is first.keys
    assert (first.taken_at, again.taken_at) == (1000.0, 2000.0)


def test_events_about_maps_keep_their_words_and_others_their_numbers() -> None:
    events = [
        (
            1,
            Event(
                1.0, EventKind.MAP_RECREATED, "observe", "/x/ct4", "by 10.0.1.7", fields={"lost": 3}
            ),
        ),
        (
            2,
            Event(
                2.0,
                EventKind.ENDPOINT_ADDED,
                "agent",
                "shop",
                "Endpoint shop at 10.0.1.7",
                fields={"name": "shop", "id": 7},
            ),
        ),
        (3, Event(3.0, EventKind.DROP, "datapath", "x", "10.0.1.7 -> web", fields={"count": 2})),
    ]
    first, second, third = (event for _, event in HidingMoments(Hiding(KEY)).events(events))
    assert first.message.startswith("by ")
    assert (first.subject, first.fields["lost"]) == ("/x/ct4", 3)
    assert "10.0.1.7" not in first.message
    assert (second.message, second.subject, dict(second.fields)) == (
        "endpoint-added",
        "",
        {"id": 7},
    )
    assert (third.message, dict(third.fields)) == ("drop", {"count": 2})
