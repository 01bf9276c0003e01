from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control
from ctconsole.agent.control import AgentSettings
from ctconsole.config import write_option
from ctconsole.kernel import mapwrite, pacing
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from tests.support.ct_entries import ALIVE, CT4, DEAD, ct4_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

SMALL = {
    "bpf-ct-global-tcp-max": "2048",
    "bpf-ct-global-any-max": "1024",
    "enable-ipv6": "false",
    "preallocate-bpf-maps": "false",
}


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests keep every CPU busy; work that holds back for others would take minutes beside them."""
    monkeypatch.setattr(pacing, "LEAST", 0.5)


@pytest.fixture
def path(bpffs: Path) -> Path:
    """Where the conntrack table is pinned."""
    return bpffs / CT4.name


@pytest.fixture
def table(gate: Gate, path: Path) -> Iterator[BpfMap]:
    """A table with `ALIVE` living and `DEAD` expired entries."""
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(ALIVE, lifetime=ktime() + 100))
        mapwrite.update_batch(gate, live, *ct4_rows(DEAD, lifetime=1, first=5000))
        yield live


@pytest.fixture
def settings(bpffs: Path, tmp_path: Path) -> Iterator[AgentSettings]:
    """Settings of a small agent on a private bpffs, which is stopped afterwards."""
    for name, value in SMALL.items():
        write_option(tmp_path / "config", name, value)
    made = AgentSettings(tmp_path / "state", tmp_path / "config", bpffs)
    yield made
    control.stop(made)
