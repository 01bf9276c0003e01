"""The way back of a resize, step by step: what one of them fails at, and who goes on then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import DatapathError, FormatError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import open_or_create_map, pinned_id
from ctconsole.manager.resize import journal as journals
from ctconsole.manager.resize.journal import Entry, Journal, Moving, Stage
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.recovery import Recovery, Way
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.sides import Side, pending_pin
from ctconsole.manager.resize.watching import Options, ResizeProgress, Watching
from ctconsole.manager.switch import SwitchEnding
from ctconsole.manager.users import users
from ctconsole.model.ct.layout import Layout, value_dtype
from ctconsole.model.spec import MapSpec, MapType
from tests.support.ct_entries import ct4_rows
from tests.support.resized import ProgramOwner, entries_at, only_pin, packets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.passes import Tally
    from ctconsole.kernel.walk import Bytes

NEW_ROWS = 5
CT4 = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 2048)


class Failing(ProgramOwner):
    """An owner who fails on the way there after one program, and on the way back as told."""

    back: Exception | None = None
    ending = SwitchEnding.STOPPED
    cancels = 0

    def begin(self) -> None:
        if self.begun and self.back is not None:
            raise self.back
        super().begin()

    def cancel(self) -> SwitchEnding:
        self.cancels += 1
        return self.ending


def coming(owner: Failing, keys: Bytes, values: Bytes) -> Failing:
    """Have entries come to the new map once the first program has moved."""

    def traffic(step: int) -> None:
        if step == 1 and owner.begun == 1:
            with BpfMap.open(owner.pin) as new:
                mapwrite.update_batch(owner.gate, new, keys, values)

    owner.fails_at, owner.on_step = 2, traffic
    return owner


@pytest.fixture
def failing(gate: Gate, pin: Path) -> Iterator[Failing]:
    """Three programs; something comes to the new map once the first of them has moved."""
    rows = ct4_rows(NEW_ROWS, lifetime=ktime() + 500, first=9000)
    made = coming(Failing(gate, pin), *rows)
    yield made
    made.close()


def test_the_switch_is_ended_before_another_begins(
    gate: Gate, pin: Path, failing: Failing, journal: Journal
) -> None:
    begun: list[int] = []
    failing.on_step = lambda _: begun.append(failing.cancels)
    resize(gate, plan_resize({pin: MapWish(4096)}), failing, journal)
    assert failing.begun == 2
    assert begun == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "error", [DatapathError("lxc.c does not compile yet"), OSError("the agent's socket broke")]
)
def test_programs_that_stay_on_the_new_map_keep_both_maps(
    gate: Gate, pin: Path, failing: Failing, journal: Journal, error: Exception
) -> None:
    before, old = entries_at(pin), pinned_id(pin)
    failing.back = error
    report = resize(gate, plan_resize({pin: MapWish(4096)}), failing, journal)
    assert f"; and moving the programs back failed: {error}" in report.failure
    assert "The old map is pinned again, and 2 programs still use the new one" in report.failure
    new = report.maps[0].new_id
    assert pinned_id(pin) == old
    assert report.left == users(new)
    entry = journal.read()
    assert entry
    assert entry.stage is Stage.ROLL_BACK
    # What they add is carried as soon as they have moved.
    with BpfMap.from_id(new) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(7, lifetime=ktime() + 500, first=9500))
    failing.back = None
    recovery = Recovery(gate, journal, lambda _: None)
    assert recovery.prepare() is Way.BACK
    ended = recovery.finish(failing)
    assert ended
    assert ended.left == ()
    assert pinned_id(pin) == old
    after = entries_at(pin)
    assert before.keys() <= after.keys()
    assert len(after) == len(before) + NEW_ROWS + 7
    assert packets(after) == packets(before) + 3 * (NEW_ROWS + 7)
    assert only_pin(pin)


def test_an_agent_of_which_nothing_is_known_may_use_the_new_map_yet(
    gate: Gate, pin: Path, failing: Failing, journal: Journal
) -> None:
    failing.ending = SwitchEnding.UNKNOWN
    old = pinned_id(pin)
    report = resize(gate, plan_resize({pin: MapWish(4096)}), failing, journal)
    assert "and some programs may yet use the new one" in report.failure
    assert (pinned_id(pin), report.left) == (old, ())
    entry = journal.read()
    assert entry
    assert entry.stage is Stage.ROLL_BACK
    recovery = Recovery(gate, journal, lambda _: None)
    assert recovery.prepare() is Way.BACK
    assert recovery.finish(failing)
    assert len(entries_at(pin)) == 1100 + NEW_ROWS
    assert only_pin(pin)


def test_an_option_whose_disk_failed_keeps_none_from_its_pin(
    gate: Gate, pin: Path, failing: Failing, journal: Journal
) -> None:
    old = pinned_id(pin)

    def store(values: Mapping[str, str | None]) -> None:
        if values["size"] == "2048":
            raise OSError("the disk failed")

    options = Options({"size": "2048"}, {"size": "4096"}, store)
    plan = plan_resize({pin: MapWish(4096)})
    report = resize(gate, plan, failing, journal, options=options)
    assert "The way back did not reach its end: the disk failed. Both maps are kept" in (
        report.failure
    )
    assert pinned_id(pin) == old
    assert journal.read()


def test_each_map_gets_what_came_to_its_own(gate: Gate, pin: Path, journal: Journal) -> None:
    other = pin.with_name("cilium_ct_any4_global")
    spec = MapSpec(other.name, MapType.LRU_HASH, 14, 56, 2048)
    with open_or_create_map(gate, other, spec).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 1000))
    pins_of = (pin, other)
    old = [pinned_id(one) for one in pins_of]

    def come(step: int) -> None:
        if step == 1 and owner.begun == 1:
            for number, one in enumerate(pins_of, 1):
                with BpfMap.open(one) as new:
                    rows = ct4_rows(number, lifetime=ktime() + 500, first=9000)
                    mapwrite.update_batch(gate, new, *rows)

    owner = Failing(gate, pin)
    owner.fails_at, owner.on_step = 2, come
    try:
        plan = plan_resize({one: MapWish(4096) for one in pins_of})
        report = resize(gate, plan, owner, journal)
    finally:
        owner.close()
    assert "Every program uses the old map" in report.failure
    assert [pinned_id(one) for one in pins_of] == old
    assert [len(entries_at(one)) for one in pins_of] == [1101, 52]
    assert set(pinned_maps(pin.parent)) == set(pins_of)


def test_where_there_is_room_what_is_over_comes_back_too(
    gate: Gate, bpffs: Path, journal: Journal
) -> None:
    path = bpffs / "cilium_ct4_global"
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 1000))
    owner = coming(Failing(gate, path), *ct4_rows(9, lifetime=1, first=9000))
    try:
        resize(gate, plan_resize({path: MapWish(4096)}), owner, journal)
    finally:
        owner.close()
    assert len(entries_at(path)) == 59


def test_where_it_may_get_tight_what_closes_comes_back_and_what_is_over_does_not(
    gate: Gate, pin: Path, failing: Failing, journal: Journal
) -> None:
    keys, values = ct4_rows(9, lifetime=ktime() + 20, first=9000)
    rows = values.view(value_dtype(Layout.V1_9))
    rows["flags"] |= 3
    rows["lifetime"][:4] = 1
    coming(failing, keys, values)
    resize(gate, plan_resize({pin: MapWish(4096)}), failing, journal)
    assert len(entries_at(pin)) == 1105


def test_ctrl_c_while_programs_move_leads_back(
    gate: Gate, pin: Path, failing: Failing, journal: Journal
) -> None:
    old = pinned_id(pin)
    failing.fails_at = None

    def press(step: int) -> None:
        if step == 1 and failing.begun == 1:
            raise KeyboardInterrupt

    failing.on_step = press
    report = resize(gate, plan_resize({pin: MapWish(4096)}), failing, journal)
    assert "KeyboardInterrupt. Every program uses the old map" in report.failure
    assert pinned_id(pin) == old
    assert only_pin(pin)


def test_what_somebody_else_deleted_on_the_way_back_is_told(
    gate: Gate, pin: Path, failing: Failing, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Side.finish

    def taken(side: Side) -> Tally:
        found = finish(side)
        mapwrite.delete(gate, side.new, ct4_rows(1, lifetime=0)[0][0].tobytes())
        return found

    monkeypatch.setattr(Side, "finish", taken)
    report = resize(gate, plan_resize({pin: MapWish(4096)}), failing, journal)
    assert "1 entries that came to cilium_ct4_global meanwhile are not in the old map" in (
        report.failure
    )


def test_what_was_made_before_a_process_died_is_let_go_of(
    gate: Gate, pin: Path, failing: Failing, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, old = entries_at(pin), pinned_id(pin)

    def die(_: Journal, __: object) -> None:
        # Whatever comes after is as little done as by a process that was killed.
        monkeypatch.setattr(Side, "release", lambda _: None)
        monkeypatch.setattr(Journal, "clear", lambda _: None)
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "prepare", die)
        with pytest.raises(OSError, match="killed"):
            resize(gate, plan_resize({pin: MapWish(4096)}), failing, journal)
    monkeypatch.undo()
    assert not only_pin(pin)
    recovery = Recovery(gate, journal, lambda _: None)
    assert recovery.prepare() is Way.NOTHING
    assert recovery.finish(failing)
    assert (pinned_id(pin), entries_at(pin)) == (old, before)
    assert only_pin(pin)
    assert journal.read() is None


def test_what_is_pinned_since_another_boot_is_left_alone(
    gate: Gate, pin: Path, journal: Journal
) -> None:
    """The maps of that resize went with the boot, and their numbers are others' now."""
    waiting = pending_pin(pin)
    with open_or_create_map(gate, waiting, CT4).map as live:
        moving = Moving(str(pin), live.info.id, pinned_id(pin))
    journal.write(Entry(Stage.SWITCH, "an earlier boot", 1, (moving,)))
    recovery = Recovery(gate, journal, lambda _: None)
    assert recovery.prepare() is Way.NOTHING
    assert recovery.finish()
    assert set(pinned_maps(pin.parent)) == {pin, waiting}
    assert len(entries_at(pin)) == 1100
    assert journal.read() is None


def test_a_journal_that_takes_a_prepared_place_is_on_the_disk(
    gate: Gate, pin: Path, failing: Failing, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is synced after each rename, and after the file is gone."""
    synced: list[str] = []

    def sync(folder: Path) -> None:
        assert folder == journal.path.parent
        entry = journal.read()
        synced.append(entry.stage if entry else "")

    monkeypatch.setattr(journals, "sync_folder", sync)
    told: list[tuple[Stage, bool]] = []

    def tell(progress: ResizeProgress) -> None:
        if progress.stage is not Stage.STAGE:
            told.append((progress.stage, synced[-1:] == [progress.stage]))

    plan = plan_resize({pin: MapWish(4096)})
    resize(gate, plan, failing, journal, watching=Watching(tell))
    assert {stage for stage, _ in told} == {Stage.SWITCH, Stage.ROLL_BACK}
    assert all(done for _, done in told)
    assert synced[-1] == ""


def test_a_journal_of_another_version_is_refused(journal: Journal) -> None:
    journal.path.write_text('{"form": 2, "stage": "switch", "boot": "", "pid": 1, "maps": []}')
    with pytest.raises(FormatError, match="form 2, not 1"):
        journal.read()
