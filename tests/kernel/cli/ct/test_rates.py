"""``ct stats --over`` on a live map."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ctconsole.kernel.gate import Gate


def test_what_comes_goes_and_is_evicted_between_two_looks(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bpffs / GLOBALS / CT4.name
    pins.make_folder(gate, path.parent)
    with open_or_create_map(gate, path, CT4).map as live:
        alive, _ = rows = ct4_rows(20, lifetime=ktime() + 100)
        mapwrite.update_batch(gate, live, *rows)
        dead, _ = rows = ct4_rows(5, lifetime=1, first=100)
        mapwrite.update_batch(gate, live, *rows)
        pause = time.sleep

        def meanwhile(seconds: float) -> None:
            mapwrite.update_batch(gate, live, *ct4_rows(30, lifetime=ktime() + 100, first=200))
            for key in (*alive[:3], *dead):
                mapwrite.delete(gate, live, key.tobytes())
            pause(seconds)

        monkeypatch.setattr("time.sleep", meanwhile)
        done = CliRunner().invoke(
            cli,
            ["ct", "stats", "--bpf-root", str(bpffs), "--over", "0.5", "--json"],
            standalone_mode=False,
        )
    [found] = json.loads(done.stdout)
    rates = found["rates"]
    assert rates["seconds"] >= 0.5
    assert round(rates["new_per_second"] * rates["seconds"]) == 30
    assert round(rates["gone_per_second"] * rates["seconds"]) == 8
    # Those whose lifetime was not over.
    assert rates["evicted"] == 3
