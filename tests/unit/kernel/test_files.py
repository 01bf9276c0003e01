from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import files

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced_whole_with_the_mode_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "option"
    path.write_text("old")
    before = os.umask(0)
    try:
        files.write_whole(path, "new\n", mode=0o640)
    finally:
        os.umask(before)
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_on_the_disk_before_it_is_said_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def fsync(fd: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        order.append(f"{(tmp_path / 'f').exists()}")

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_whole(tmp_path / "f", "text")
    assert order == ["file", "False", "folder", "True"]


def test_a_full_disk_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "option"
    path.write_text("old")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_somebody_laid_is_replaced_and_never_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "f").symlink_to(target)
    files.write_whole(tmp_path / "f", "new")
    assert target.read_text() == "precious"
    assert not (tmp_path / "f").is_symlink()
