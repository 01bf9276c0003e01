"""What is at hand of a live node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ctconsole.history import History
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.model.event import Event, EventKind
from ctconsole.model.explain.questions import asked
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.node.explaining import known_of_node
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Scalar

NAME = "cilium_ct4_global"


def test_a_node_without_an_agent_answers_from_maps_and_history(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    pin, now = bpffs / GLOBALS / NAME, time.time()
    with open_or_create_map(gate, pin, MapSpec(NAME, MapType.LRU_HASH, 14, 56, 4096)).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(2000, lifetime=ktime() + 1000))
        mapwrite.update_batch(gate, live, *ct4_rows(1000, lifetime=1, first=5000))
    with History(tmp_path / "history.db") as history:
        history.append_fills(now - 300, {str(pin): 3500})
        differs: dict[str, Scalar] = {"property": "Max entries", "old": 2048, "new": 4096}
        kinds = EventKind.MAP_MISMATCH
        history.append([Event(now - 900, kinds, "manager", str(pin), "m", fields=differs)])
        passed: dict[str, Scalar] = {"interval": 300.0, "deleted": 7}
        message = "completed ctmap gc pass"
        history.append([Event(now - 60, EventKind.GC_PASS, "agent", NAME, message, fields=passed)])
    known = known_of_node(bpffs, lambda _: None, state_dir=tmp_path)
    told = {one.key: ". ".join(one.answer(known).sentences) for one in asked(())}
    assert f"{NAME} holds 3,000 of 4,096 entries: 73.2% full" in told["full"]
    assert f"{NAME} held at most 3,500 entries" in told["full"]
    assert "1,000 (33.3%) have expired" in told["stays"]
    assert "ago) and deleted 7. it runs every 5m" in told["stays"]
    assert "most by destination: TCP 10.0.0.1:80 3,000 (100.0%)" in told["who"]
    assert f"{NAME} from 2,048 to 4,096 entries" in told["recreated"]
    assert f"{NAME} should have 8,192 entries" in told["size"]
    assert "the clock stood at " in told["expires"]
