from __future__ import annotations

from pathlib import Path

import pytest

from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.event import Level
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe import splitwatch
from ctconsole.observe.inventory import Inventory, User
from ctconsole.observe.splitwatch import SplitWatch
from ctconsole.observe.usage import MapGeneration, MapUsage

PIN = Path("/bpf/tc/globals/cilium_ct4_global")


def generation(number: int, *, attached: int = 0, loaded: int = 0) -> MapGeneration:
    info = MapInfo(number, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 1024)
    program = ProgramInfo(1, ProgramType.SCHED_CLS, "from_container", "", (number,), 0, 0)
    users = (User(program, (), "attached"),) * attached + (User(program, (), "loaded"),) * loaded
    return MapGeneration(info, pinned=False, users=users, why="")


def test_the_alarm_names_the_generation_that_packets_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    others = (generation(11, loaded=2), generation(10, attached=2))
    usage = MapUsage(PIN, generation(12), others, Level.ERROR, "split")
    monkeypatch.setattr(splitwatch, "map_usage", lambda *_, **__: [usage])
    monkeypatch.setattr(SplitWatch, "_suspicion", lambda *_: frozenset({("map", 10)}))
    (alarm,) = SplitWatch(PIN.parent).step({})
    assert (alarm.fields["used_id"], alarm.fields["left"]) == (10, 2)


def test_a_suspicion_that_was_nothing_is_not_looked_into_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[Level] = []
    level, suspicion = Level.INFO, frozenset({("map", 10)})

    def look(*_: object, **__: object) -> list[MapUsage]:
        looks.append(level)
        return [MapUsage(PIN, generation(12), (generation(10, attached=1),), level, "said")]

    monkeypatch.setattr(splitwatch, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(splitwatch, "map_usage", look)
    monkeypatch.setattr(SplitWatch, "_suspicion", lambda *_: suspicion)
    watch = SplitWatch(PIN.parent)
    assert [watch.step({}) for _ in range(3)] == [[], [], []]
    assert looks == [Level.INFO]
    # Another program uses the lost map: this may be another story, and an alarm is followed.
    level, suspicion = Level.ERROR, suspicion | {("program", 7)}
    assert [len(watch.step({})) for _ in range(3)] == [1, 0, 0]
    level = Level.INFO
    (over,) = watch.step({})
    assert over.level is Level.INFO
    assert len(looks) == 1 + 3 + 1


@pytest.mark.parametrize(
    ("pinned", "used", "said"),
    [
        (True, True, "Programs use the pinned cilium_ct4_global again"),
        (
            True,
            False,
            "No program uses an older cilium_ct4_global any more, and none the pinned one",
        ),
        (False, False, "cilium_ct4_global is not pinned any more, so nothing has come apart there"),
    ],
)
def test_an_alarm_that_is_over_says_why(
    monkeypatch: pytest.MonkeyPatch, *, pinned: bool, used: bool, said: str
) -> None:
    found = [MapUsage(PIN, generation(12), (generation(10, attached=1),), Level.ERROR, "split")]
    monkeypatch.setattr(splitwatch, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(splitwatch, "map_usage", lambda *_, **__: found)
    monkeypatch.setattr(SplitWatch, "_suspicion", lambda *_: frozenset({("map", 10)}))
    programs = [ProgramInfo(1, ProgramType.SCHED_CLS, "p", "", (12,) if used else (), 0, 0)]
    monkeypatch.setattr(Inventory, "programs", lambda _: programs)
    watch = SplitWatch(PIN.parent)
    pins = {PIN: generation(12).map} if pinned else {}
    assert len(watch.step(pins)) == 1
    found.clear()
    (over,) = watch.step(pins)
    assert over.message == said
