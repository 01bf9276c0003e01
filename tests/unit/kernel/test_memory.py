"""What a new map can have, of a machine and of cgroups that are files here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import memory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hierarchy whose root is mounted here; nobody is in it yet."""
    root = tmp_path / "cgroup"
    root.mkdir()
    monkeypatch.setattr(memory, "mounted", lambda kind: [root] if kind == "cgroup2" else [])
    return root


def set_up(cgroups: Path, monkeypatch: pytest.MonkeyPatch, path: str, **files: str) -> None:
    """Put this process into a cgroup with these files."""
    place = cgroups / path.lstrip("/")
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / name.replace("_", ".", 1)).write_text(text, encoding="ascii")
    own = cgroups.parent / "own"
    own.write_text(f"0::{path}\n", encoding="ascii")
    monkeypatch.setattr(memory, "_CGROUPS", own)


def test_without_a_limit_it_is_the_machines(cgroups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(cgroups, monkeypatch, "/pod", memory_max="max\n", memory_current="5000\n")
    assert memory.free_memory().limit == ""


def test_the_tightest_cgroup_above_decides(cgroups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(cgroups, monkeypatch, "/pods", memory_max="9000000\n", memory_current="8000000\n")
    set_up(cgroups, monkeypatch, "/pods/one", memory_max="5000000\n", memory_current="1000\n")
    assert memory.free_memory() == memory.FreeMemory(1_000_000, "the cgroup /pods")


def test_file_pages_count_as_free(cgroups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = "anon 3000000\ninactive_file 700000\n"
    set_up(
        cgroups,
        monkeypatch,
        "/pod",
        memory_max="4000000\n",
        memory_current="4000000\n",
        memory_stat=stat,
    )
    assert memory.free_memory().free == 700_000


def test_a_mount_that_begins_at_the_containers_own_cgroup(
    cgroups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(cgroups, monkeypatch, "/", memory_max="2000000\n", memory_current="500000\n")
    (cgroups.parent / "own").write_text("0::/kubepods/pod1\n", encoding="ascii")
    assert memory.free_memory() == memory.FreeMemory(1_500_000, "the cgroup")
