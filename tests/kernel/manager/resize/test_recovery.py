"""A process is killed in the middle of a resize; the next one ends it."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from ctconsole.errors import AgentError, FormatError, GoneError, UsageError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import open_or_create_map, pinned_id
from ctconsole.manager.resize.journal import Journal, Stage
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.recovery import Ended, Recovery, Way
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.sides import Side, known_pin
from ctconsole.manager.resize.undo import Undos
from ctconsole.manager.resize.watching import Options, ResizeProgress, Watching
from ctconsole.manager.users import left_on
from ctconsole.model.spec import MapSpec, MapType
from tests.support.churner import compiled
from tests.support.ct_entries import ct4_rows
from tests.support.foreign import until
from tests.support.map_users import CountingUsers, PinnedUsers
from tests.support.resized import used_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.switch import Switch, Ticket

CT4: Final = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 16384)
ENTRIES: Final = 5000


class Node:
    """A pinned table, programs that use it, and an option that sizes it."""

    def __init__(self, gate: Gate, root: Path, journal: Journal) -> None:
        self.gate, self.journal = gate, journal
        self.pin = root / "globals" / "cilium_ct4_global"
        with open_or_create_map(gate, self.pin, CT4).map as live:
            mapwrite.update_batch(gate, live, *ct4_rows(ENTRIES, lifetime=ktime() + 5000))
            self.old_id = live.info.id
        self.users: PinnedUsers = PinnedUsers(gate, self.pin)
        self.users.load_all()
        self.option = journal.path.with_name("option")
        self.option.write_text("16384")

    def store(self, options: Mapping[str, str | None]) -> None:
        self.option.write_text(options["size"] or "")

    def resize(self, tell: Callable[[ResizeProgress], None]) -> None:
        plan = plan_resize({self.pin: MapWish(32768)})
        options = Options({"size": "16384"}, {"size": "32768"}, self.store)
        resize(
            self.gate, plan, self.users, self.journal, options=options, watching=Watching(tell)
        ).check()

    def in_a_child(self, work: Callable[[], None]) -> int:
        child = os.fork()
        if not child:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        return child

    def end(self, switch: Switch | None = None) -> Ended | None:
        recovery = Recovery(self.gate, self.journal, self.store)
        recovery.prepare()
        return recovery.finish(switch or self.users)

    def check(self, counted: int | None = None) -> None:
        """One map, one pin, every entry, every count once, option and size agreeing.

        Args:
            counted: packets that were added to the entries; None where nothing counts.
        """
        assert list(pinned_maps(self.pin.parent)) == [self.pin]
        assert self.journal.read() is None
        with BpfMap.open(self.pin) as live:
            assert used_by(live.info.id, 3)
            dump = live.read()
            assert live.info.max_entries == int(self.option.read_text())
            if live.info.id != self.old_id:
                assert left_on(self.old_id) == ()
        keys, values = ct4_rows(ENTRIES, lifetime=0)
        assert {key.tobytes() for key in dump.keys} == {key.tobytes() for key in keys}
        if counted is not None:
            packets = np.ascontiguousarray(dump.values[:, :8]).view(np.uint64)
            assert int(packets.sum()) == 3 * ENTRIES + counted
            return
        assert dump.values[:, 0].tolist() == values[:, 0].tolist() == [3] * ENTRIES


@pytest.fixture
def node(gate: Gate, bpffs: Path, tmp_path: Path) -> Node:
    return Node(gate, bpffs, Journal(tmp_path / "resize.json"))


@pytest.mark.parametrize(
    ("stage", "way"),
    [
        (Stage.STAGE, Way.NOTHING),
        (Stage.SWITCH, Way.BACK),
        (Stage.SETTLE, Way.FORWARD),
        (Stage.RELEASE, Way.FORWARD),
    ],
)
def test_killed_as_a_stage_begins(node: Node, stage: Stage, way: Way) -> None:
    def die(progress: ResizeProgress) -> None:
        if progress.stage is stage:
            os.kill(os.getpid(), signal.SIGKILL)

    child = node.in_a_child(lambda: node.resize(die))
    assert os.waitpid(child, 0)[1] == signal.SIGKILL

    def moved_for_nothing(path: Path, _: int) -> Ticket:
        raise AssertionError(path)

    ended = node.end(moved_for_nothing)
    assert ended
    assert (ended.way, ended.left) == (way, ())
    assert "was cut off" in ended.sentence
    node.check()


def is_there(number: int) -> bool:
    try:
        BpfMap.from_id(number).close()
    except GoneError:
        return False
    return True


def test_where_it_is_not_known_any_more_what_both_had_counted_no_count_is_added(
    node: Node,
) -> None:
    def die(progress: ResizeProgress) -> None:
        if progress.stage is Stage.SETTLE:
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(node.in_a_child(lambda: node.resize(die)), 0)
    entry = node.journal.read()
    assert entry
    [told] = entry.maps
    pins.unpin(node.gate, known_pin(node.pin))
    assert until(lambda: not is_there(told.known_id))
    ended = node.end()
    assert ended
    assert "what both maps of cilium_ct4_global had counted was not there any more" in (
        ended.sentence
    )
    node.check()


def test_killed_while_programs_move_it_goes_forward(node: Node) -> None:
    def die(step: int) -> None:
        if step == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        node.users.on_step = die
        node.resize(lambda _: None)

    child = node.in_a_child(work)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    ended = node.end()
    assert ended
    assert ended.way is Way.FORWARD
    node.check()


def test_without_anybody_who_moves_the_programs_nothing_is_let_go_of(node: Node) -> None:
    def work() -> None:
        node.users.on_step = lambda step: os.kill(os.getpid(), signal.SIGKILL) if step else None
        node.resize(lambda _: None)

    os.waitpid(node.in_a_child(work), 0)
    recovery = Recovery(node.gate, node.journal, node.store)
    recovery.prepare()
    waiting = recovery.finish(None)
    assert waiting
    assert len(waiting.left) == 2
    assert node.journal.read() is not None
    ended = node.end()
    assert ended
    assert ended.left == ()
    node.check()


@pytest.mark.parametrize("moment", ["begins", "programs are back", "is over"])
def test_killed_on_the_way_back(node: Node, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the new map took in meanwhile has no other home than that map."""
    more = ct4_rows(9, lifetime=ktime() + 5000, first=50_000)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def fail(step: int) -> None:
        if step == 2:
            with BpfMap.open(node.pin) as new:
                mapwrite.update_batch(node.gate, new, *more)
            node.users.on_step = lambda _: None
            raise AgentError("lxc.c does not compile")

    def tell(progress: ResizeProgress) -> None:
        if progress.stage is Stage.ROLL_BACK and moment == "begins":
            die()

    def work() -> None:
        if moment == "programs are back":
            monkeypatch.setattr(Side, "reversed", die)
        elif moment == "is over":
            monkeypatch.setattr(Side, "release", die)
        node.users.on_step = fail
        node.resize(tell)

    assert os.waitpid(node.in_a_child(work), 0)[1] == signal.SIGKILL
    left = node.journal.read()
    assert left
    # Nobody else holds it: the kernel frees what is not pinned some moments later.
    assert left.maps[0].new_id in {one.id for one in pinned_maps(node.pin.parent).values()}
    ended = node.end()
    assert ended
    assert (ended.way, ended.left) == (Way.BACK, ())
    with BpfMap.open(node.pin) as live:
        assert live.info.id == node.old_id
        for key, value in zip(*more, strict=True):
            assert live.lookup(key.tobytes()) == value.tobytes()
        assert mapwrite.delete_batch(node.gate, live, more[0]) == 9
    node.check()


def test_a_killed_shrink_drops_no_more_than_it_had_chosen(node: Node) -> None:
    """And all of that: what one process has left behind the next one does not carry after it."""
    dead = ct4_rows(3000, lifetime=1, first=100_000)
    with BpfMap.open(node.pin) as live:
        mapwrite.update_batch(node.gate, live, *dead)

    def die(progress: ResizeProgress) -> None:
        if progress.stage is Stage.SETTLE:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        plan = plan_resize({node.pin: MapWish(6144)})
        options = Options({"size": "16384"}, {"size": "6144"}, node.store)
        resize(node.gate, plan, node.users, node.journal, options=options, watching=Watching(die))

    assert os.waitpid(node.in_a_child(work), 0)[1] == signal.SIGKILL
    ended = node.end()
    assert ended
    assert ended.way is Way.FORWARD
    assert "which has everything but what was to be left behind" in ended.sentence
    with BpfMap.open(node.pin) as live:
        assert [key for key in dead[0] if live.lookup(key.tobytes()) is not None] == []
    node.check()


@pytest.mark.parametrize(("stage", "kept"), [(Stage.SETTLE, True), (Stage.ROLL_BACK, False)])
def test_what_was_ended_forward_can_be_undone_and_nothing_else(
    node: Node, stage: Stage, *, kept: bool
) -> None:
    def die(progress: ResizeProgress) -> None:
        if progress.stage is stage:
            os.kill(os.getpid(), signal.SIGKILL)

    def fail(step: int) -> None:
        if step == 0:
            raise AgentError("lxc.c does not compile")

    def work() -> None:
        if stage is Stage.ROLL_BACK:
            node.users.on_step = fail
        node.resize(die)

    assert os.waitpid(node.in_a_child(work), 0)[1] == signal.SIGKILL
    assert node.end()
    undos = Undos(node.journal.path)
    if kept:
        assert undos.of(node.pin).maps[0].max_entries == CT4.max_entries
    else:
        with pytest.raises(UsageError, match="there is nothing to undo"):
            undos.of(node.pin)


def test_what_the_new_map_lacks_is_told(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(progress: ResizeProgress) -> None:
        if progress.stage is Stage.SETTLE:
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.waitpid(node.in_a_child(lambda: node.resize(die)), 0)[1] == signal.SIGKILL
    monkeypatch.setattr(Side, "lacking", lambda _: "of cilium_ct4_global 3 entries are not there")
    ended = node.end()
    assert ended
    assert ended.sentence.endswith("; of cilium_ct4_global 3 entries are not there")


def test_somebody_elses_map_is_kept_beside_the_one_that_comes_back(node: Node) -> None:
    def die(progress: ResizeProgress) -> None:
        if progress.stage is Stage.ROLL_BACK:
            os.kill(os.getpid(), signal.SIGKILL)

    def fail(step: int) -> None:
        if step == 0:
            raise AgentError("lxc.c does not compile")

    def work() -> None:
        node.users.on_step = fail
        node.resize(die)

    assert os.waitpid(node.in_a_child(work), 0)[1] == signal.SIGKILL
    pins.unpin(node.gate, node.pin)
    with open_or_create_map(node.gate, node.pin, CT4).map as live:
        theirs = live.info.id
    ended = node.end()
    assert ended
    aside = node.pin.with_name(f"{node.pin.name}:{theirs}")
    assert f"had pinned map {theirs} there meanwhile, which is kept as {aside.name}" in (
        ended.sentence
    )
    assert pinned_id(aside) == theirs
    pins.unpin(node.gate, aside)
    node.check()


def test_killed_at_any_moment(node: Node, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Beneath a program that counts all the time: no entry is missing to it at any moment."""
    counting = CountingUsers(node.gate, node.pin, compiled(tmp_path), ENTRIES)
    node.users = counting
    counting.load_all()
    with counting.running():
        _kill_at_moments(node, counting, pytestconfig.getoption("moments"))


def _kill_at_moments(node: Node, counting: CountingUsers, number: int) -> None:
    started = time.monotonic()
    child = node.in_a_child(lambda: node.resize(lambda _: None))
    assert os.waitpid(child, 0)[1] == 0
    whole = time.monotonic() - started
    moments = random.Random(7)  # noqa: S311 - moments, no secrets
    ways = set()
    for _ in range(number):
        with BpfMap.open(node.pin) as live:
            node.old_id, entries = live.info.id, live.info.max_entries
        wish = 16384 if entries == 32768 else 32768

        def work(wish: int = wish, entries: int = entries) -> None:
            plan = plan_resize({node.pin: MapWish(wish)})
            options = Options({"size": str(entries)}, {"size": str(wish)}, node.store)
            resize(node.gate, plan, node.users, node.journal, options=options)

        child = node.in_a_child(work)
        time.sleep(moments.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        ended = node.end()
        ways.add(ended.way if ended else None)
        with counting.still() as state:
            node.check(int(state["counted"]))
            assert state["missing"] == 0
    with counting.still() as state:
        assert state["counted"] > 0
    assert len(ways) > 1


def test_a_journal_that_is_none_is_refused(node: Node) -> None:
    for text in ("", "[]", "{}", '{"form": 2}', '{"form": 1, "stage": "dance"}'):
        node.journal.path.write_text(text)
        with pytest.raises(FormatError, match="no journal of a resize"):
            Recovery(node.gate, node.journal, node.store)
