from __future__ import annotations

from dataclasses import replace

from ctconsole.agent.evictions import Evictions
from ctconsole.model.ct.changes import KeyedTable, changes_between
from ctconsole.model.ct.evictions import evicted
from tests.support.ct_tables import NOW, Entry, ct_table

TABLE = "cilium_ct4_global"


def test_what_came_and_is_neither_there_nor_collected_was_evicted() -> None:
    assert evicted(came=100, before=400, now=420, collected=50) == 30
    assert evicted(came=0, before=400, now=500) == 0


def test_who_counts_and_who_compares_say_the_same() -> None:
    first = [Entry(source=f"10.1.0.{n}:40000", left=1 if n < 3 else 300) for n in range(10)]
    older = ct_table(*first, taken_at=100.0)
    come = [Entry(source=f"10.2.0.{n}:40000") for n in range(4)]
    # Of the first ten, three were over and are collected, two more are missing.
    newer = ct_table(*first[5:], *come, taken_at=102.0, now=NOW + 2)
    changes = changes_between(KeyedTable(older), KeyedTable(newer))
    assert changes
    evictions = Evictions()
    evictions.estimate(TABLE, {(4, True): 10}, found=10, left=7)
    told = evictions.estimate(TABLE, {(4, True): 14}, found=len(newer), left=len(newer))
    assert (changes.evicted, told) == (2, 2)


def test_nothing_is_said_without_a_clock() -> None:
    older, newer = (ct_table(Entry(), taken_at=at) for at in (1.0, 2.0))
    changes = changes_between(KeyedTable(older), KeyedTable(replace(newer, now=0)))
    assert changes
    assert changes.evicted is None
