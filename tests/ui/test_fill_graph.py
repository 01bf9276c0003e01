"""The graph of how full a map was: its scale, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from textual.app import App

from ctconsole.ui.widgets.fill_graph import FillGraph, scale_of
from tests.support.fakes import CT4, EPOCH, FakeSource

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ctconsole.model.fill import Trend
    from ctconsole.observe.source import MapRow


class Drawn(App[None]):
    def compose(self) -> ComposeResult:
        yield FillGraph()


def ct4(entries: int, maximum: int) -> MapRow:
    row = FakeSource().rows[CT4]
    return replace(row, entries=entries, info=replace(row.info, max_entries=maximum))


def minutes(*counts: int) -> Trend:
    last = len(counts) - 1
    return tuple((EPOCH - 60.0 * (last - place), n) for place, n in enumerate(counts))


async def drawn(row: MapRow, trend: Trend) -> list[str]:
    app = Drawn()
    async with app.run_test(size=(100, 12)) as pilot:
        graph = app.query_one(FillGraph)
        graph.show(row, trend)
        await pilot.pause()
        return [graph.render_line(y).text for y in range(graph.size.height)]


@pytest.mark.parametrize(
    ("counts", "maximum", "scale"),
    [
        ((None, 100, 50), 1000, 126),
        ((None, 990), 1000, 1000),
        ((5000, 10), 1000, 5000),
        ((80,), 0, 101),
        ((None, 0), 1000, 1),
        ((), 1000, 1),
    ],
    ids=["little is used", "nearly full", "was larger", "out of a file", "empty", "nothing"],
)
def test_the_scale_reaches_the_highest_column(
    counts: tuple[int | None, ...], maximum: int, scale: int
) -> None:
    assert scale_of(counts, maximum) == scale


async def test_a_map_that_was_larger_before_stands_within_the_scale() -> None:
    told = await drawn(ct4(900, 65_536), minutes(400_000, 400_000, 0, 900))
    assert told[0].endswith("peak 400,000")
    assert "400k▕" in told[1]
    assert "200k▕" in "".join(told)


async def test_the_peak_is_that_of_the_time_that_is_drawn() -> None:
    told = await drawn(ct4(40, 65_536), minutes(30_000, *[40] * 90))
    assert told[0].endswith("peak 40")


async def test_a_map_of_which_no_counts_are_kept_is_not_said_to_have_none() -> None:
    assert (await drawn(ct4(40, 65_536), ()))[0].strip() == "of this map no counts are kept"
    none = replace(ct4(0, 65_536), entries=None)
    assert (await drawn(none, ()))[0].strip() == "this map type has no count"
