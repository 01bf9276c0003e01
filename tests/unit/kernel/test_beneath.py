from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel.beneath import read_beneath

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a plain file in a folder of it, beside a file that nobody may be led to."""
    inside = tmp_path / "folder"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep" / "file").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"secret")
    return inside


def refusal(folder: Path, name: str) -> int:
    try:
        read_beneath(folder, name, 100)
    except OSError as error:
        return error.errno or 0
    pytest.fail("it was read")


def test_a_plain_file_is_read_as_far_as_was_asked_for(folder: Path) -> None:
    assert read_beneath(folder, "deep/file", 100) == b"inside"
    assert read_beneath(folder, "deep/../deep/file", 3) == b"ins"


def test_links_are_followed_as_long_as_they_stay_inside(folder: Path) -> None:
    (folder / "..data").symlink_to("deep")
    (folder / "option").symlink_to("..data/file")
    (folder / "deep" / "up").symlink_to("../option")
    assert read_beneath(folder, "option", 100) == b"inside"
    assert read_beneath(folder, "deep/up", 100) == b"inside"


@pytest.mark.parametrize("target", ["../secret", "deep/../../secret", "/etc/passwd"])
def test_nobody_is_led_out(folder: Path, target: str) -> None:
    (folder / "option").symlink_to(target)
    assert refusal(folder, "option") == errno.EXDEV
    assert refusal(folder, target) == errno.EXDEV


def test_a_link_to_itself_ends(folder: Path) -> None:
    (folder / "option").symlink_to("option")
    assert refusal(folder, "option") == errno.ELOOP


def test_what_is_no_plain_file_is_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert refusal(folder, "pipe") == errno.EINVAL
    assert refusal(folder, "deep") == errno.EINVAL
    assert refusal(folder, "none") == errno.ENOENT


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given", ["deep", "deep/file"])
def test_what_belongs_to_somebody_else_is_not_read(folder: Path, given: str) -> None:
    os.chown(folder / given, 65534, 65534)
    assert refusal(folder, "deep/file") == errno.EPERM
