"""``record --anonymize``: what was recorded, but no address and no name of this node."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.model.ct.hiding import Hiding
from ctconsole.observe.recording.reader import Recording
from ctconsole.observe.recording.seeker import Seeker
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate


def test_no_address_is_in_it(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, bpffs / GLOBALS / CT4.name)
        mapwrite.update_batch(gate, live, *ct4_rows(30, lifetime=ktime() + 1000))
    file, key = tmp_path / "x.ctrec", tmp_path / "key"
    argv = ["record", file, "--for", "1", "--anonymize", key, "--bpf-root", bpffs]
    done = subprocess.run(
        [sys.executable, "-m", "ctconsole", *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[4],
    )
    assert done.returncode == 0, done.stderr
    hiding = Hiding(key.read_bytes())
    with Recording(file) as recording:
        assert recording.head.hidden
        title = recording.head.title
        moment = Seeker(recording.moments).at(0)
    [table] = moment.tables.values()
    assert len(table) == 30
    for told in (title, moment.title):
        assert told.startswith(f"{hiding.name(os.uname().nodename)} ")
    raw = ct4_rows(30, lifetime=1)[0]
    assert {row.tobytes() for row in table.keys["daddr"]} == {
        row.tobytes() for row in hiding.addresses(raw[:, :4])
    }
    assert ip_address("10.0.0.1").packed not in {row.tobytes() for row in table.keys["saddr"]}
