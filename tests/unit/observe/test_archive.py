from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ctconsole.observe.archive import Walker, taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def test_no_block_is_asked_for_beyond_the_limit() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"abc"
        yield b"def"
        raise AssertionError("one too many")

    assert taken(blocks(), 5) == (b"abcde", True)
    assert taken([b"abc", b"de"], 5) == (b"abcde", False)


def test_an_unreadable_file_of_a_folder_is_told_by_its_name_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b.tar", "c"):
        (tmp_path / name).write_bytes(b"text")
    opened = Path.open

    def refusing(path: Path, mode: str) -> IO[Any]:
        if path.name in {"a", "b.tar"}:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", refusing)
    walker = Walker(lambda _: True)
    assert [one.name for one in walker.members(tmp_path)] == [str(tmp_path / "c")]
    assert walker.problems == [
        f"{tmp_path / name} cannot be read: Permission denied" for name in ("a", "b.tar")
    ]
