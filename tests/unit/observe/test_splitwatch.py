from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.event import Level
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe import splitwatch
from ctconsole.observe.inventory import User
from ctconsole.observe.splitwatch import SplitWatch
from ctconsole.observe.usage import MapGeneration, MapUsage

if TYPE_CHECKING:
    import pytest

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
    monkeypatch.setattr(SplitWatch, "_suspicious", lambda *_: True)
    (alarm,) = SplitWatch(PIN.parent).step({})
    assert (alarm.fields["used_id"], alarm.fields["left"]) == (10, 2)
