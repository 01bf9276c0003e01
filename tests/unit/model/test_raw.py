"""One raw table for what is read live, by id and from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import FormatError
from ctconsole.model.ct.clock import ClockSource, Moment
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.reading import Reading
from ctconsole.model.raw import Raw, check_conntrack, settled, whole_maps
from ctconsole.model.spec import MapInfo, MapType
from tests.support.ct_tables import Entry, ct_table

if TYPE_CHECKING:
    from ctconsole.model.ct.guess import Guess

INFO = MapInfo(
    7, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 0, pin=PurePath("/b/cilium_ct4_global")
)


def raw(*entries: Entry, layout: Layout = Layout.V1_18) -> Raw:
    table = ct_table(*entries, layout=layout)
    keys = table.keys.view(np.uint8).reshape(-1, 14)
    values = table.values.view(np.uint8).reshape(-1, 56).copy()
    # Where 1.9 counts received packets, and 1.18 has nothing.
    values[:, 0] = layout is Layout.V1_9
    return Raw(INFO, keys, values)


TWO = (Entry(), Entry(source="10.0.1.1:40001"))
OLD, NEW = raw(*TWO, layout=Layout.V1_9), raw(*TWO)


def test_what_is_known_of_the_node_is_in_its_table() -> None:
    reading = Reading(ClockSource("jiffies", 250), Layout.V1_16)
    table = NEW.known(reading, Moment(5, 900, 250, 1000.0)).table()
    assert (table.layout, table.now, table.hertz, table.taken_at) == (Layout.V1_16, 900, 250, 1000)


def test_a_table_without_a_layout_asks_its_entries() -> None:
    assert (OLD.table().layout, NEW.table().layout) == (Layout.V1_9, Layout.V1_18)


def test_stamps_are_jiffies_where_they_are_counted_and_else_seconds() -> None:
    assert (Moment(5).stamp, Moment(5, 900, 250).stamp, Moment().stamp) == (5, 900, 0)


def test_another_map_s_records_count_seconds_and_know_the_jiffies() -> None:
    info = replace(INFO, pin=PurePath("/b/cilium_ipcache"), key_size=24, value_size=12)
    one = Raw(info, np.zeros((1, 24), np.uint8), np.zeros((1, 12), np.uint8))
    table = replace(one, at=Moment(5, 900, 250)).records()
    assert (table.now, table.jiffies, table.hertz) == (5, 900, 250)
    with pytest.raises(FormatError, match="no layout known"):
        NEW.records()


@pytest.mark.parametrize(
    ("name", "sizes", "is_conntrack", "is_missized"),
    [
        ("cilium_ct4_global", (14, 56), True, False),
        ("cilium_per_cluster_ct_tcp4_00001", (14, 56), True, False),
        ("mine", (38, 56), True, False),
        ("cilium_ct6_global", (38, 48), False, True),
        ("cilium_snat_v6_external", (38, 56), False, False),
        ("cilium_ct4_global", (16, 56), False, False),
    ],
)
def test_conntrack_maps_are_known_by_sizes_and_by_not_being_another(
    name: str, sizes: tuple[int, int], *, is_conntrack: bool, is_missized: bool
) -> None:
    info = replace(INFO, pin=PurePath(name), key_size=sizes[0], value_size=sizes[1])
    one = replace(NEW, info=info)
    assert (one.is_conntrack, one.is_missized) == (is_conntrack, is_missized)


def test_only_maps_out_of_files_tell_nodes_apart() -> None:
    assert (NEW.node, replace(NEW, file="/b/ct.json").node) == ("", "/b")


def test_short_values_are_filled_with_zeros() -> None:
    short = replace(NEW, info=replace(INFO, value_size=48), values=NEW.values[:, :48])
    filled = short.fitted().values
    assert (filled[:, :48] == NEW.values[:, :48]).all()
    assert filled.shape == (2, 56)
    assert not filled[:, 48:].any()


@pytest.mark.parametrize(
    "odd", [replace(INFO, value_size=48), replace(INFO, type=MapType.PERCPU_HASH)]
)
def test_a_live_map_with_other_values_is_no_conntrack_map(odd: MapInfo) -> None:
    check_conntrack(INFO)
    with pytest.raises(FormatError, match="a conntrack map has 56"):
        check_conntrack(odd)


def layouts(found: list[Raw]) -> list[Layout | None]:
    return [one.layout for one in found]


def test_the_layout_asked_for_goes_before_what_a_map_tells_and_that_before_its_entries() -> None:
    told = replace(NEW, layout=Layout.V1_16)
    guesses: list[Guess] = []
    asked = settled([told, OLD], Layout.V1_15, guessed=guesses.append)
    assert layouts(asked) == [Layout.V1_15, Layout.V1_15]
    assert layouts(settled([told], guessed=guesses.append)) == [Layout.V1_16]
    assert guesses == []
    assert layouts(settled([told, OLD], guessed=guesses.append)) == [Layout.V1_16, Layout.V1_9]
    assert [one.layout for one in guesses] == [Layout.V1_9]
    assert layouts(settled([raw()], peers=[OLD])) == [Layout.V1_9]


def test_entries_of_other_maps_are_not_asked_for_the_layout() -> None:
    nat = replace(OLD, info=replace(INFO, pin=PurePath("cilium_snat_v4_external")))
    assert layouts(settled([nat, NEW])) == [Layout.V1_18, Layout.V1_18]


def test_parts_are_put_together_to_their_maps() -> None:
    first, second = whole_maps([NEW.part(), OLD, NEW])
    assert (len(first.keys), len(first.values), first.last) == (4, 4, True)
    assert second is NEW
