from __future__ import annotations

from ctconsole.agent.evictions import Evictions

TABLE = "cilium_ct4_global"
TCP = (4, True)


def test_what_was_created_and_is_not_there_was_evicted() -> None:
    evictions = Evictions()
    assert evictions.estimate(TABLE, {TCP: 1000}, found=400, left=400) is None
    # 500 more were created, 100 more are there.
    assert evictions.estimate(TABLE, {TCP: 1500}, found=500, left=450) == 400
    # The 50 that the pass itself deleted are no evictions.
    assert evictions.estimate(TABLE, {TCP: 1500}, found=450, left=450) == 0
    assert evictions.total == 400


def test_tables_are_told_apart() -> None:
    evictions = Evictions()
    created = {TCP: 0, (6, True): 0, (4, False): 0}
    names = (TABLE, "cilium_ct6_global", "cilium_ct_any4_global")
    for name in names:
        evictions.estimate(name, created, 0, 0)
    created = {TCP: 3, (6, True): 5, (4, False): 7}
    assert [evictions.estimate(name, created, 0, 0) for name in names] == [3, 5, 7]


def test_more_entries_than_were_counted_are_no_negative_number() -> None:
    evictions = Evictions()
    evictions.estimate(TABLE, {}, 0, 0)
    assert evictions.estimate(TABLE, {TCP: 1}, found=9, left=9) == 0


def test_nothing_is_said_of_what_nobody_counts() -> None:
    evictions = Evictions()
    assert evictions.estimate("cilium_ct4_00571", {TCP: 1}, 0, 0) is None
    assert evictions.estimate(TABLE, None, 0, 0) is None
