"""Whatever fails in whichever stage: nothing is lost, and the words are what is so."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import AgentError, BpfError, ConfigError, DatapathError
from ctconsole.kernel import mapwrite, mounts, pins
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import open_or_create_map, pinned_id
from ctconsole.manager.resize import run as running
from ctconsole.manager.resize import sides
from ctconsole.manager.resize.journal import Journal, Stage
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.recovery import Recovery, Way
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.watching import Options, ResizeProgress, Watching
from ctconsole.model.ct.joining import joining_of
from ctconsole.model.spec import MapSpec, MapType
from tests.support.ct_entries import CT4, ct4_rows
from tests.support.resized import ProgramOwner, entries_at, only_pin, packets, used_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.report import ResizeReport
    from ctconsole.model.ct.joining import Joining
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.spec import MapInfo

OTHER = MapSpec("other", MapType.LRU_HASH, 14, 56, 1024)


def at(stage: Stage, do: Callable[[], None]) -> Watching:
    """Whoever watches does something as a stage begins."""

    def tell(progress: ResizeProgress) -> None:
        if progress.stage is stage:
            do()

    return Watching(tell)


@dataclass
class Disk:
    """A small disk with a journal on it."""

    journal: Journal

    def fill(self) -> None:
        """Take all the room there is."""
        with pytest.raises(OSError, match="No space left"):
            list(map(self._write, count()))

    def _write(self, number: int) -> None:
        (self.journal.path.parent / f"filler{number}").write_bytes(b"x" * 4096)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    mounts.mount("none", tmp_path, "tmpfs", options="size=128k")
    try:
        yield Disk(Journal(tmp_path / "resize.json"))
    finally:
        mounts.unmount(tmp_path)


@dataclass
class FiledOptions:
    """The option that sizes the table; its folder may fill up, too."""

    now: str | None = "2048"
    full: bool = False
    stored: list[str | None] = field(default_factory=list)

    def options(self, after: str = "4096") -> Options:
        return Options({"size": self.now}, {"size": after}, self.store)

    def store(self, values: Mapping[str, str | None]) -> None:
        if self.full:
            raise ConfigError("The option size cannot be written: No space left on device")
        self.now = values["size"]


def is_as_before(pin: Path, owner: ProgramOwner, before: Mapping[bytes, bytes], old: int) -> None:
    """The old map is pinned, used by all, has every entry; nothing is beside it."""
    assert pinned_id(pin) == old
    assert used_by(old, len(owner.fds))
    assert entries_at(pin).items() >= before.items()
    assert only_pin(pin)


def test_a_disk_full_from_the_start_changes_nothing(
    gate: Gate, pin: Path, owner: ProgramOwner, disk: Disk
) -> None:
    before, old = entries_at(pin), pinned_id(pin)
    disk.fill()
    with pytest.raises(OSError, match="No space left on device"):
        resize(gate, plan_resize({pin: MapWish(4096)}), owner, disk.journal)
    is_as_before(pin, owner, before, old)
    assert disk.journal.read() is None


def test_a_disk_that_is_full_when_the_new_map_is_changes_nothing(
    gate: Gate, pin: Path, owner: ProgramOwner, disk: Disk
) -> None:
    before, old = entries_at(pin), pinned_id(pin)
    watching = at(Stage.STAGE, disk.fill)
    with pytest.raises(OSError, match="No space left on device"):
        resize(gate, plan_resize({pin: MapWish(4096)}), owner, disk.journal, watching=watching)
    is_as_before(pin, owner, before, old)
    assert owner.begun == 0
    assert disk.journal.read() is None


@pytest.mark.parametrize("stage", [Stage.SWITCH, Stage.SETTLE, Stage.RELEASE])
def test_a_disk_that_fills_up_later_stops_nothing(
    gate: Gate, pin: Path, owner: ProgramOwner, disk: Disk, stage: Stage
) -> None:
    before = entries_at(pin)
    plan = plan_resize({pin: MapWish(4096)})
    report = resize(gate, plan, owner, disk.journal, watching=at(stage, disk.fill))
    report.check()
    is_as_before(pin, owner, before, report.maps[0].new_id)
    assert disk.journal.read() is None
    assert report.undo or "No space left" in report.no_undo


def test_a_disk_that_fills_up_leaves_the_way_back_open(
    gate: Gate, pin: Path, owner: ProgramOwner, disk: Disk
) -> None:
    before, old = entries_at(pin), pinned_id(pin)
    owner.fails_at = 1
    plan = plan_resize({pin: MapWish(4096)})
    report = resize(gate, plan, owner, disk.journal, watching=at(Stage.SWITCH, disk.fill))
    assert "Every program uses the old map, which is pinned again" in report.failure
    is_as_before(pin, owner, before, old)
    assert [path.name for path in disk.journal.path.parent.glob(".resize*")] == []
    assert disk.journal.read() is None


def test_an_option_that_cannot_be_stored_leads_back(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    before, old = entries_at(pin), pinned_id(pin)
    filed = FiledOptions()

    def fill() -> None:
        filed.full = True

    def empty() -> None:
        filed.full = False

    watching = Watching(
        lambda progress: fill() if progress.stage is Stage.SWITCH else empty(),
    )
    plan = plan_resize({pin: MapWish(4096)})
    report = resize(gate, plan, owner, journal, options=filed.options(), watching=watching)
    assert "The option size cannot be written: No space left on device" in report.failure
    assert (filed.now, owner.begun) == ("2048", 0)
    is_as_before(pin, owner, before, old)
    assert journal.read() is None


def test_an_option_that_cannot_be_put_back_is_put_back_by_the_next_start(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    before, old = entries_at(pin), pinned_id(pin)
    filed = FiledOptions()

    def fill(step: int) -> None:
        filed.full = step == 1
        if filed.full:
            raise DatapathError("lxc.c does not compile")

    owner.on_step = fill
    plan = plan_resize({pin: MapWish(4096)})
    report = resize(gate, plan, owner, journal, options=filed.options())
    assert "The way back did not reach its end: The option size cannot be written" in report.failure
    assert "ctconsole's next start goes on with it" in report.failure
    assert filed.now == "4096"
    filed.full, owner.on_step = False, lambda _: None
    recovery = Recovery(gate, journal, filed.store)
    assert recovery.prepare() is Way.BACK
    ended = recovery.finish(owner)
    assert ended
    assert ended.left == ()
    assert filed.now == "2048"
    is_as_before(pin, owner, before, old)


def test_no_memory_for_the_second_map_leaves_the_first_alone(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    """The kernel refuses the memory itself: no map of so many entries fits its counting."""
    before, old = entries_at(pin), pinned_id(pin)
    second = pin.with_name("other")
    open_or_create_map(gate, second, OTHER).map.close()
    plan = plan_resize({pin: MapWish(4096), second: MapWish(2048)})
    huge = replace(plan.maps[1], wish=replace(plan.maps[1].wish, max_entries=1 << 31))
    with pytest.raises(BpfError) as caught:
        resize(gate, replace(plan, maps=(plan.maps[0], huge)), owner, journal)
    assert caught.value.errno in {errno.ENOMEM, errno.E2BIG}
    pins.unpin(gate, second)
    is_as_before(pin, owner, before, old)
    assert journal.read() is None


def test_passes_that_the_verifier_rejects_change_nothing(
    gate: Gate,
    pin: Path,
    owner: ProgramOwner,
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def beyond(info: MapInfo, layout: Layout | None) -> Joining:
        return replace(joining_of(info, layout), lifetime_at=4096)

    before, old = entries_at(pin), pinned_id(pin)
    monkeypatch.setattr(sides, "joining_of", beyond)
    with pytest.raises(DatapathError, match="invalid access"):
        resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal)
    is_as_before(pin, owner, before, old)
    assert journal.read() is None


def replaced(gate: Gate, pin: Path) -> int:
    """Somebody else pins a map of their own, with 7 entries; its id."""
    pins.unpin(gate, pin)
    with open_or_create_map(gate, pin, replace(CT4, max_entries=1024)).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(7, lifetime=ktime() + 500, first=50_000))
        return live.info.id


def test_a_pin_that_somebody_else_replaced_before_the_switch_is_theirs(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    theirs: list[int] = []
    with BpfMap.open(pin) as old:
        watching = at(Stage.SWITCH, lambda: theirs.append(replaced(gate, pin)))
        report = resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal, watching=watching)
        assert old.count() == 1100
        assert used_by(old.info.id, 3)
    assert f"map {theirs[0]} is pinned at {pin} now, which was map" in report.failure
    assert report.failure.endswith("Nothing of the old map was changed")
    assert (pinned_id(pin), len(entries_at(pin))) == (theirs[0], 7)
    assert only_pin(pin)
    assert journal.read() is None


def test_a_pin_replaced_at_the_very_moment_is_theirs_as_well(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look and the exchange."""
    theirs: list[int] = []
    exchange = pins.exchange

    def late(gate: Gate, one: Path, other: Path) -> None:
        if not theirs:
            theirs.append(replaced(gate, pin))
        exchange(gate, one, other)

    monkeypatch.setattr(pins, "exchange", late)
    report = resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal)
    assert "was left alone" in report.failure
    assert (pinned_id(pin), len(entries_at(pin))) == (theirs[0], 7)
    assert only_pin(pin)


def test_a_pin_that_somebody_else_replaced_during_the_switch_is_kept_beside(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    before, old = entries_at(pin), pinned_id(pin)
    theirs: list[int] = []

    def interfere(step: int) -> None:
        if step == 1 and not theirs:
            with BpfMap.open(pin) as new:
                rows = ct4_rows(5, lifetime=ktime() + 500, first=9000)
                mapwrite.update_batch(gate, new, *rows)
            theirs.append(replaced(gate, pin))
            raise AgentError("another map is pinned there now")

    owner.on_step = interfere
    report = resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal)
    aside = pin.with_name(f"{pin.name}:{theirs[0]}")
    assert f"pinned map {theirs[0]} there meanwhile, which is kept as {aside.name}" in (
        report.failure
    )
    assert (pinned_id(aside), len(entries_at(aside))) == (theirs[0], 7)
    pins.unpin(gate, aside)
    is_as_before(pin, owner, before, old)
    assert packets(entries_at(pin)) == packets(before) + 15
    assert journal.read() is None


def test_a_pin_that_somebody_else_replaced_after_the_switch_is_told(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    theirs: list[int] = []
    watching = at(Stage.RELEASE, lambda: theirs.append(replaced(gate, pin)))
    report = resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal, watching=watching)
    assert f"map {theirs[0]} is pinned at {pin} now" in report.failure
    with BpfMap.from_id(report.maps[0].new_id) as new:
        assert new.count() == 1100
    assert pinned_id(pin) == theirs[0]
    assert only_pin(pin)


def test_an_error_that_nobody_thought_of_leads_back_as_well(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(ticket: object) -> object:
        del ticket
        raise RuntimeError("can't start new thread")

    before, old = entries_at(pin), pinned_id(pin)
    monkeypatch.setattr(running, "Waiting", no_thread)
    report: ResizeReport = resize(gate, plan_resize({pin: MapWish(4096)}), owner, journal)
    assert "RuntimeError: can't start new thread" in report.failure
    is_as_before(pin, owner, before, old)
    assert [path for path in pinned_maps(pin.parent) if ":" in path.name] == []
