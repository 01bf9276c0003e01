from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole import private

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where the cache is, and where it is else."""
    first, second = tmp_path / "home/cache", tmp_path / "run"
    monkeypatch.setenv("XDG_CACHE_HOME", str(first))
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(second))
    first.mkdir(parents=True)
    return first / "ctconsole/things", second / "cache/things"


def test_the_cache_is_this_user_s_alone(homes: tuple[Path, Path]) -> None:
    assert private.cache("things") == homes[0]
    assert homes[0].stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
@pytest.mark.parametrize("above", [0, 1, 2, 3])
def test_a_cache_that_others_can_write_to_is_not_taken(
    homes: tuple[Path, Path], above: int, mode: int
) -> None:
    homes[0].mkdir(parents=True)
    (homes[0], *homes[0].parents)[above].chmod(mode)
    assert private.cache("things") == homes[1]


def test_a_folder_in_which_all_keep_what_is_theirs_may_be_above_it(
    homes: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "home").chmod(0o1777)
    assert private.cache("things") == homes[0]


def test_a_link_counts_by_where_it_leads(homes: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "open/mine").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    homes[0].parent.symlink_to(tmp_path / "open/mine")
    assert private.cache("things") == homes[1]


def test_there_may_be_no_cache(homes: tuple[Path, Path]) -> None:
    for home in homes:
        home.parent.mkdir(parents=True)
        home.write_text("no folder")
    assert private.cache("things") is None


def test_where_others_can_write_everywhere_there_is_no_cache(homes: tuple[Path, Path]) -> None:
    for home in homes:
        home.mkdir(parents=True)
        home.chmod(0o777)
    assert private.cache("things") is None
