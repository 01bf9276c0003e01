from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.resize.journal import Journal
from ctconsole.model.spec import MapSpec, MapType
from tests.support.ct_entries import ct4_rows
from tests.support.resized import ProgramOwner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

CT4 = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 2048)


@pytest.fixture
def pin(gate: Gate, bpffs: Path) -> Path:
    """A table with 1,000 living entries and 100 expired ones."""
    path = bpffs / "cilium_ct4_global"
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(1000, lifetime=ktime() + 1000))
        mapwrite.update_batch(gate, live, *ct4_rows(100, lifetime=1, first=5000))
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "resize.json")


@pytest.fixture
def owner(gate: Gate, pin: Path) -> Iterator[ProgramOwner]:
    """Three programs that use the table."""
    made = ProgramOwner(gate, pin)
    yield made
    made.close()


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """This thread and those it starts stay on one CPU.

    Each CPU has lists of its own of an LRU map's entries: what one of them stored last is spared
    by all that others store (kernel/bpf/bpf_lru_list.c).
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)
