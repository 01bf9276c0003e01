"""After a change the console tells by itself what came back, and lists it."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import GoneError
from ctconsole.manager.recreate import RecreatePlan
from ctconsole.model.ct.layout import TcpFlag
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.screens.confirm import ConfirmScreen
from ctconsole.ui.screens.details import EntryDetails
from ctconsole.ui.screens.sequel import SequelScreen
from tests.support.fake_actions import FakeActions
from tests.support.fakes import CT4, CT_ANY4, EPOCH, GLOBALS, FakeSource
from tests.support.pilots import (
    first_sample,
    open_entries,
    resample,
    screen_text,
    settle,
    status,
    text_of,
    until,
)

if TYPE_CHECKING:
    from pathlib import PurePath

    from textual.pilot import Pilot

    from ctconsole.model.ct.table import CtTable


class Node:
    """A node in memory whose time a test lets pass."""

    def __init__(self) -> None:
        self.time = EPOCH
        self.source = FakeSource(clock=lambda: self.time)
        self.actions = FakeActions(self.source)
        self.console = ConsoleApp(self.source, self.actions, interval=3600, clock=lambda: self.time)

    async def later(self, pilot: Pilot[None], seconds: float, table: CtTable | None = None) -> None:
        """Let time pass, after which the table is another one."""
        self.time += seconds
        table = table if table is not None else self.source.tables[CT4]
        self.source.tables[CT4] = replace(table, taken_at=self.time)
        await resample(pilot)


async def confirm(pilot: Pilot[None], node: Node) -> None:
    """Type the name and do it; then leave."""
    dialogue = pilot.app.screen
    assert isinstance(dialogue, ConfirmScreen)
    await until(pilot, lambda: dialogue.plan is not None)
    dialogue.query_one("#name").focus()
    await pilot.press(*CT4.name, "enter")
    await until(pilot, lambda: node.actions.done)
    await settle(pilot)


@pytest.mark.key("map.sequel", "sequel.class", "sequel.class-before", "sequel.close")
async def test_what_came_back_of_a_flushed_table_is_told_and_listed() -> None:
    node = Node()
    async with node.console.run_test(size=(140, 40)) as pilot:
        await open_entries(pilot)
        before = node.source.tables[CT4]
        alive = int(before.alive.sum())
        await pilot.press("D")
        await confirm(pilot, node)
        await pilot.press("escape")
        values = before.values[:1000].copy()
        values["rx_flags_seen"][:10] |= np.uint8(TcpFlag.RST)
        some = replace(before, keys=before.keys[:1000], values=values)
        await node.later(pilot, 20, some)
        told = text_of(pilot, "SequelLine")
        assert f"of {alive:,} are there" in told
        assert "20s after, 40s to go" in told
        assert "not known" in told
        assert " broke" in told
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, SequelScreen))
        await pilot.press("tab")
        assert "RST" in text_of(pilot, "#why")
        await pilot.press("tab")
        assert "not known until it speaks" in text_of(pilot, "#why")
        await pilot.press("shift+tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, EntryDetails))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, SequelScreen))
        await pilot.press("L")
        await until(pilot, lambda: not isinstance(pilot.app.screen, SequelScreen))


async def test_after_a_minute_it_is_not_looked_at_any_more_and_later_not_told() -> None:
    node = Node()
    async with node.console.run_test(size=(140, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("D")
        await confirm(pilot, node)
        await pilot.press("escape")
        await node.later(pilot, 5)
        told = text_of(pilot, "SequelLine").split(": ")[1]
        await node.later(pilot, 60, node.source.tables[CT4].take(slice(0, 0)))
        assert text_of(pilot, "SequelLine").split(": ")[1] == told
        assert "to go" not in text_of(pilot, "SequelLine")
        await node.later(pilot, 600)
        assert text_of(pilot, "SequelLine") == ""


async def test_a_table_that_no_view_reads_is_read_for_it() -> None:
    node = Node()
    async with node.console.run_test(size=(140, 40)) as pilot:
        await first_sample(pilot)
        screen = pilot.app.screen
        await until(pilot, lambda: CT4.name in screen_text(pilot))
        node.console.intents.recreate(node.source.rows[CT4])
        await until(pilot, lambda: node.console.sample.table is not None)
        lost = node.source.tables[CT4]
        await confirm(pilot, node)
        await pilot.press("escape")
        assert pilot.app.screen is screen
        await node.later(pilot, 2, lost.take(slice(0, 100)))
        assert "are there" in text_of(pilot, "SequelLine")
        await node.later(pilot, 61)
        await until(pilot, lambda: node.console.sampler.watched is None)


async def test_a_dialogue_that_was_left_leaves_nothing_behind() -> None:
    node = Node()
    async with node.console.run_test(size=(140, 40)) as pilot:
        await first_sample(pilot)
        node.console.intents.recreate(node.source.rows[CT4])
        await until(pilot, lambda: node.console.sampler.watched == CT4)
        await pilot.press("escape")
        await until(pilot, lambda: node.console.sampler.watched is None)
        await pilot.press("L")
        assert status(pilot).flash == "nothing was changed from here yet"


SNAT = GLOBALS / "cilium_snat_v4_external"


class Together(RecreatePlan):
    """Three maps at once, as a restart with another size re-creates them."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return (Path(CT4), Path(CT_ANY4), Path(SNAT))


def three_maps(node: Node) -> None:
    plan_one = node.actions.plan_recreate

    def plan(path: PurePath, max_entries: int) -> RecreatePlan:
        one = plan_one(path, max_entries)
        return Together(**{its.name: getattr(one, its.name) for its in fields(one)})

    node.actions.plan_recreate = plan  # type: ignore[method-assign] # one more kind of plan


@pytest.mark.key("sequel.next", "sequel.before")
async def test_every_map_of_the_change_is_told_and_listed() -> None:
    node = Node()
    three_maps(node)
    async with node.console.run_test(size=(300, 40)) as pilot:
        await open_entries(pilot)
        before = {pin: node.source.table(pin) for pin in (CT4, CT_ANY4)}
        alive = {pin: int(table.alive.sum()) for pin, table in before.items()}
        node.console.intents.recreate(node.source.rows[CT4])
        await confirm(pilot, node)
        await pilot.press("escape")
        row = node.source.rows[SNAT]
        node.source.rows[SNAT] = replace(row, entries=12)
        node.source.tables[CT_ANY4] = replace(
            before[CT_ANY4].take(slice(0, 50)), taken_at=node.time + 20
        )
        await node.later(pilot, 20, before[CT4].take(slice(0, 100)))
        told = text_of(pilot, "SequelLine")
        assert told.startswith("Recreate cilium_ct4_global, 20s after, 40s to go: 3 maps, ")
        assert f"of {alive[CT4] + alive[CT_ANY4]:,} are there" in told
        for pin in (CT4, CT_ANY4):
            own = told.split(f"{pin.name}: ")[1]
            assert f" of {alive[pin]:,} are there" in own.split(";")[0]
        assert f"{SNAT.name}: {row.entries:,} entries before, 12 now, not compared" in told
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, SequelScreen))
        assert f"{CT4.name}, 1 of 2" in text_of(pilot, "#ways")
        await pilot.press("]")
        assert f"{CT_ANY4.name}, 2 of 2   all {len(before[CT_ANY4]):,}" in text_of(pilot, "#ways")
        await pilot.press("[")
        assert f"{CT4.name}, 1 of 2" in text_of(pilot, "#ways")


async def test_a_map_of_the_change_that_cannot_be_read_is_said_not_to_be_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node()
    three_maps(node)
    read = node.source.table

    def table(where: PurePath | int, before: CtTable | None = None) -> CtTable:
        if where == CT_ANY4:
            raise GoneError(2, "BPF_OBJ_GET", str(where))
        return read(where, before)

    async with node.console.run_test(size=(300, 40)) as pilot:
        await open_entries(pilot)
        monkeypatch.setattr(node.source, "table", table)
        node.console.intents.recreate(node.source.rows[CT4])
        await confirm(pilot, node)
        await pilot.press("escape")
        await node.later(pilot, 20)
        told = text_of(pilot, "SequelLine").split(f"{CT_ANY4.name}: ")[1]
        assert told.startswith("what came back is not known: ")
