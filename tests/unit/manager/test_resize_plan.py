"""Which size is enough, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.cli.map.prestage import require_room
from ctconsole.errors import UsageError
from ctconsole.manager.resize.pace import Estimate
from ctconsole.manager.resize.plan import MapPlan, ResizePlan
from ctconsole.model.catalogue import LIMIT_TABLE_MAX
from ctconsole.model.ct.reading import PLAIN
from ctconsole.model.spec import MapInfo, MapType, spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

INFO = MapInfo(7, "table", MapType.LRU_HASH, 14, 56, 8192)


def short_of(smallest: int, name: str = "cilium_ct4_global", wish: int = 4096) -> MapPlan:
    """A map of whose living entries some have no room in the size wished for."""
    return MapPlan(
        path=Path("/sys/fs/bpf/tc/globals") / name,
        info=INFO,
        wish=spec_of(INFO, max_entries=wish),
        layout=None,
        differences=(),
        entries=smallest - 512,
        alive=None,
        expired=None,
        closing=None,
        room=wish - 256,
        growth=256,
        smallest=smallest,
        dropped={"alive": 300},
        memory_old=0,
        memory_new=0,
        memory_passes=0,
        forecasts={},
    )


def planned(*maps: MapPlan) -> ResizePlan:
    return ResizePlan(maps, 1 << 30, Estimate(1.0, "by a guess", 0), (), PLAIN.clock)


def row(plan: ResizePlan, label: str) -> str:
    return next(row.text for row in plan.rows if row.label == label)


def test_a_size_that_keeps_all_is_named() -> None:
    plan = planned(short_of(5120))
    assert plan.maps[0].keeping == "5120 is the smallest size that keeps them all"
    assert row(plan, "dropped") == "300 alive; none from 5,120 on"
    with pytest.raises(UsageError, match="300 living entries do not fit") as raised:
        require_room(plan, drop=False, undo=False)
    assert raised.value.hint == "Give 5120 or more, or --drop to leave them behind"
    require_room(plan, drop=True, undo=False)


def test_where_the_largest_map_is_too_small_no_size_is_offered() -> None:
    plan = planned(short_of(17_000_192, wish=LIMIT_TABLE_MAX - 128))
    told = "no size keeps them all: 17000192 would, and 16777216 is the largest"
    assert plan.maps[0].keeping == told
    assert row(plan, "dropped") == f"300 alive; {told}"
    with pytest.raises(UsageError) as raised:
        require_room(plan, drop=False, undo=False)
    assert raised.value.hint == "Give --drop to leave them behind"


@pytest.mark.parametrize(
    ("maps", "enough"),
    [
        # Of those that get the same size the one with the most entries counts, wherever it stands.
        ((short_of(5120), short_of(6144, "cilium_ct6_global")), 6144),
        ((replace(short_of(2048), dropped={}), short_of(6144, "cilium_ct6_global")), 6144),
        ((replace(short_of(2048), dropped={"expired": 9}),), 4096),
        # The size of translations follows others as well.
        ((short_of(5120), short_of(6144, "cilium_snat_v4_external", wish=2048)), None),
    ],
)
def test_the_size_named_is_enough_for_every_map_that_gets_it(
    maps: Sequence[MapPlan], enough: int | None
) -> None:
    assert planned(*maps).enough == enough
